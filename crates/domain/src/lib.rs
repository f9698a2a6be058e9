//! What may happen: commands in, events or a refusal out. No clock, no randomness, no IO.

mod audience;
mod brand;
mod bulk_job;
mod change;
mod decider;
mod key;
pub mod limits;
mod list;
mod list_member;
mod message;
mod preference;
mod profile;
mod section;
mod shape;
mod template;
mod tenant;
mod tenant_member;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod topic;
mod webhook;

pub use audience::{
    Audience, AudienceCommand, AudiencePut, AudienceRefusal, AudienceState, audiences_of,
    refuse_chain, refuse_cycle,
};
pub use brand::{BRAND_WORDS, Brand, BrandCommand, BrandRefusal};
pub use bulk_job::{BulkCommand, BulkJob, BulkRefusal, BulkState};
pub use change::Change;
pub use decider::Decider;
pub use key::{Key, KeyCommand, KeyRefusal, KeyState};
pub use list::{List, ListCommand, ListRefusal, ListState};
pub use list_member::{ListMember, ListMemberCommand, ListMemberState};
pub use message::{Message, MessageCommand, MessageRefusal, MessageState};
pub use preference::{
    ChoiceRequest, ChosenTopic, Preference, PreferenceCommand, PreferenceRefusal, TopicRules,
    change_quiet_hours, replace_recipient_preferences,
};
pub use profile::{Profile, ProfileCommand, ProfileRefusal, ProfileState};
pub use section::{Section, SectionCommand, SectionRefusal};
pub use shape::{
    BRAND_SETTINGS, BRAND_SNIPPETS, DIGEST, InvalidMember, Member, RECIPIENT_PREFERENCES, Shape,
};
pub use template::{Template, TemplateCommand, TemplateRefusal, TemplateState};
pub use tenant::{Tenant, TenantCommand, TenantRefusal, refuse_ancestry};
pub use tenant_member::{TenantMember, TenantMemberCommand, TenantMemberState};
pub use token::{
    Token, TokenAction, TokenCommand, TokenRefusal, is_expired, parse_token, token_object,
};
pub use topic::{Topic, TopicCommand, TopicPut, TopicRefusal, TopicState, Topics, topic_bytes};
pub use webhook::{Webhook, WebhookCommand, WebhookRefusal, WebhookState};
