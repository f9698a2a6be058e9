//! What can have happened, and its durable form.
//!
//! The contract with the past: payloads, the envelope around them, the codec and the upcasters. A
//! released shape never changes; golden files prove it. Nothing here knows how events come about
//! or what they are good for.

mod audience;
mod brand;
mod clock;
pub mod codec;
mod envelope;
mod key;
mod list;
mod list_member;
mod personal;
mod preference;
mod preference_page;
mod profile;
mod registry;
mod request;
mod section;
mod subject;
mod tenant;
mod tenant_member;
mod token;
mod topic;
mod webhook;

pub use audience::{AudienceDefined, AudienceDeleted, AudienceEvent};
pub use brand::{BrandCreated, BrandDeleted, BrandDetails, BrandEvent, BrandUpdated};
pub use clock::{ClockAdvanced, ClockEvent};
pub use codec::DecodeError;
pub use envelope::{Actor, Envelope, Metadata};
pub use key::{KeyEvent, KeyExpirySet, KeyIssued, KeyRevoked, KeyUsed, KeyUserTokenIssued};
pub use list::{ListCreated, ListDeleted, ListEvent, ListRestored, ListUpdated};
pub use list_member::{
    ListMemberAdded, ListMemberEvent, ListMemberRemoved, ListMemberUpdated, ListMembersAdded,
    ListMembersRemoved,
};
pub use personal::{OfPerson, Payload, Personal, PersonalBytes};
pub use preference::{
    PersonalChoice, PreferenceCleared, PreferenceEvent, PreferenceSet, QuietHoursChanged,
    RecipientPreferencesReplaced,
};
pub use preference_page::{PreferencePageEvent, PreferencePagePublished};
pub use profile::{ProfileDeleted, ProfileEvent, ProfileUpdate, ProfileUpdated};
pub use registry::{Event, EventPayload};
pub use request::{RequestAnswered, RequestEvent};
pub use section::{SectionCreated, SectionDeleted, SectionDetails, SectionEvent, SectionUpdated};
pub use subject::{SubjectErased, SubjectEvent, SubjectRegistered};
pub use tenant::{
    TenantCreated, TenantDefaultPreferenceCleared, TenantDefaultPreferenceSet, TenantDeleted,
    TenantDetails, TenantEvent, TenantHistoryRecorded, TenantUpdated,
};
pub use tenant_member::{
    TenantMemberAdded, TenantMemberEvent, TenantMemberRemoved, TenantMemberUpdated,
    TenantMembersAdded, TenantMembersRemoved,
};
pub use token::{TokenAdded, TokenDetails, TokenEvent, TokenRemoved, TokenUpdated};
pub use topic::{TopicCreated, TopicDeleted, TopicDetails, TopicEvent, TopicUpdated};
pub use webhook::{WebhookEvent, WebhookRedeliveryRequested, WebhookRegistered, WebhookRemoved};
