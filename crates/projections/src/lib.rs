//! Read models: each a pure fold of the events, with the queries that it answers.
//!
//! Queries are synchronous, return owned views and never a guard. Folding is total: an event that
//! cannot be understood has failed to decode long before. Nothing here can reach a decider, a clock
//! or the disk.

mod audiences;
mod brands;
mod digest;
mod effective_profile;
mod export;
mod keys;
mod lists;
mod members;
mod page;
mod people_within;
mod preferences;
mod profiles;
mod projection;
mod read_models;
mod requests;
mod segments;
mod subjects;
mod tenant_tree;
mod tenants;
mod tokens;
mod topics;
mod users;
mod webhooks;

pub use audiences::{
    AudienceOfMember, AudienceView, Audiences, ChangePlace, MemberView, MembersPage,
    MembershipChange, MembershipStep, MembershipSteps, Occasion, RememberedChanges, SelfCheck,
    StepPlace, Unreadable,
};
pub use brands::{BrandView, Brands};
pub use digest::Digest;
pub use effective_profile::{EffectiveProfile, POINTERS_BYTES_MAX, ProfileSource, ProfileSources};
pub use export::{ExportElement, ExportPage, ExportPlace, ExportRow};
pub use keys::{KeyView, Keys};
pub use lists::{ListStatus, ListView, Lists, SubscriberView, SubscriptionView};
pub use members::JoinKey;
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
pub use tenant_tree::TenantTree;
pub use tenants::{MembershipView, TenantFilter, TenantView, Tenants};
pub use tokens::{TokenView, Tokens};
pub use topics::{PublishedPage, SectionView, TopicView, Topics};
pub use users::{TopicPreference, UserCounts, UserFilter, UserSummary, UserView, UsersPage};
pub use webhooks::{WebhookView, Webhooks};
