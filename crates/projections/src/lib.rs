//! Read models: each a pure fold of the events, with the queries that it answers.
//!
//! Queries are synchronous, return owned views and never a guard. Folding is total: an event that
//! cannot be understood has failed to decode long before. Nothing here can reach a decider, a clock
//! or the disk.

mod attributes;
mod audiences;
mod brands;
mod bulk_jobs;
mod by_subject;
mod digest;
mod effective_profile;
mod export;
mod inboxes;
mod keys;
mod lists;
mod members;
mod messages;
mod page;
mod people_within;
mod preferences;
mod profiles;
mod projection;
mod read_models;
mod requests;
mod segments;
mod subjects;
mod targeting;
mod templates;
mod tenant_tree;
mod tenants;
mod tokens;
mod topics;
mod tracked;
mod users;
mod webhooks;

pub use audiences::{
    AudienceOfMember, AudienceView, Audiences, ChangePlace, MemberView, MembersPage,
    MembershipChange, MembershipStep, MembershipSteps, Occasion, RememberedChanges, SelfCheck,
    StepPlace, Unreadable,
};
pub use brands::{BrandView, Brands};
pub use bulk_jobs::{BulkJobView, BulkJobs};
pub use digest::Digest;
pub use effective_profile::{EffectiveProfile, POINTERS_BYTES_MAX, ProfileSource, ProfileSources};
pub use export::{ExportElement, ExportPage, ExportPlace, ExportRow};
pub use inboxes::{INBOX_MESSAGES_MAX, InboxFilter, InboxMessage, Inboxes};
pub use keys::{KeyView, Keys};
pub use lists::{ListStatus, ListView, Lists, SubscriberView, SubscriptionView};
pub use members::JoinKey;
pub use messages::{
    Due, MessageFilter, MessagePlace, MessageView, Messages, Progress, Reached, RequestView,
    ResolvedPeople, WantedRecipient, message_id_of,
};
pub use people_within::PeopleWithin;
pub use preferences::{
    ChannelUse, EffectivePreference, Layer, Layers, OlderChoice, PersonPreferences, Preferences,
    effective, schedules_in_use,
};
pub use profiles::{AttributeFilter, ProfileView, Profiles, ProfilesPage};
pub use projection::Projection;
pub use read_models::{ReadModels, SavedPart};
pub use requests::{Requests, StoredAnswer};
pub use segments::{
    Combination, Comparison, Explanation, MemberWithReason, Prepared, Preview, QueryPage,
    UnknownSet,
};
pub use subjects::Subjects;
pub use targeting::{
    Address, ChannelPlan, Decision, Given, Plan, PlanQuestion, PlannedRoute, PlannedStep,
    Resolution, TemplateChoice,
};
pub use templates::{TemplateVersion, TemplateView, Templates};
pub use tenant_tree::TenantTree;
pub use tenants::{MembershipView, TenantFilter, TenantView, Tenants};
pub use tokens::{TokenView, Tokens};
pub use topics::{PublishedPage, SectionView, TopicView, Topics};
pub use tracked::{TRACKED_EVENTS, Tracked, TrackedEvent};
pub use users::{TopicPreference, UserCounts, UserFilter, UserSummary, UserView, UsersPage};
pub use webhooks::{WebhookView, Webhooks};
