//! Read models: each a pure fold of the events, with the queries that it answers.
//!
//! Queries are synchronous, return owned views and never a guard. Folding is total: an event that
//! cannot be understood has failed to decode long before. Nothing here can reach a decider, a clock
//! or the disk.

mod audiences;
mod digest;
mod keys;
mod lists;
mod members;
mod profiles;
mod projection;
mod read_models;
mod segments;
mod subjects;

pub use audiences::{
    AudienceOfMember, AudienceView, Audiences, ChangePlace, MemberView, MembersPage,
    MembershipChange, Occasion, RememberedChanges, SelfCheck, Unreadable,
};
pub use digest::Digest;
pub use keys::{KeyView, Keys};
pub use lists::{ListStatus, ListView, Lists, SubscriberView, SubscriptionView};
pub use members::JoinKey;
pub use profiles::{AttributeFilter, ProfileView, Profiles, ProfilesPage};
pub use projection::Projection;
pub use read_models::ReadModels;
pub use segments::{
    Combination, Comparison, Explanation, MemberWithReason, Prepared, Preview, QueryPage,
    UnknownSet,
};
pub use subjects::Subjects;
