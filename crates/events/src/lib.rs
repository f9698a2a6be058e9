//! What can have happened, and its durable form.
//!
//! The contract with the past: payloads, the envelope around them, the codec and the upcasters. A
//! released shape never changes; golden files prove it. Nothing here knows how events come about
//! or what they are good for.

mod audience;
mod brand;
mod bulk;
mod clock;
pub mod codec;
mod envelope;
mod inbox;
mod key;
mod list;
mod list_member;
mod message;
mod personal;
mod preference;
mod preference_page;
mod profile;
mod registry;
mod request;
mod section;
mod subject;
mod subject_set;
mod template;
mod tenant;
mod tenant_member;
mod token;
mod topic;
mod track;
mod webhook;

pub use audience::{AudienceDefined, AudienceDeleted, AudienceEvent};
pub use brand::{BrandCreated, BrandDeleted, BrandDetails, BrandEvent, BrandUpdated};
pub use bulk::{BulkCreated, BulkEvent, BulkStarted, BulkUsersIngested};
pub use clock::{ClockAdvanced, ClockEvent};
pub use codec::DecodeError;
pub use envelope::{Actor, Envelope, Metadata};
pub use inbox::{InboxEmptied, InboxEvent, InboxMarked, InboxReceived};
pub use key::{KeyEvent, KeyExpirySet, KeyIssued, KeyRevoked, KeyUsed, KeyUserTokenIssued};
pub use list::{ListCreated, ListDeleted, ListEvent, ListRestored, ListUpdated};
pub use list_member::{
    ListMemberAdded, ListMemberEvent, ListMemberRemoved, ListMemberUpdated, ListMembersAdded,
    ListMembersRemoved,
};
pub use message::{
    ChannelOutcome, MessageAccepted, MessageArchived, MessageCanceled, MessageEvent,
    MessageOutcome, MessageResolved, MessageSettled, MessageTarget, MessageText, TargetPeople,
    TargetProblem, TargetTrouble,
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
pub use subject_set::SubjectSet;
pub use template::{TemplateArchived, TemplateEvent, TemplatePublished, TemplateSaved};
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
pub use track::{TrackEvent, TrackForgotten, TrackRecorded};
pub use webhook::{WebhookEvent, WebhookRedeliveryRequested, WebhookRegistered, WebhookRemoved};
