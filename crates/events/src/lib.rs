//! What can have happened, and its durable form.
//!
//! The contract with the past: payloads, the envelope around them, the codec and the upcasters. A
//! released shape never changes; golden files prove it. Nothing here knows how events come about
//! or what they are good for.

mod audience;
mod clock;
pub mod codec;
mod envelope;
mod key;
mod list;
mod list_member;
mod personal;
mod profile;
mod registry;
mod subject;

pub use audience::{AudienceDefined, AudienceDeleted, AudienceEvent};
pub use clock::{ClockAdvanced, ClockEvent};
pub use codec::DecodeError;
pub use envelope::{Actor, Envelope, Metadata};
pub use key::{KeyEvent, KeyIssued};
pub use list::{ListCreated, ListDeleted, ListEvent, ListRestored, ListUpdated};
pub use list_member::{
    ListMemberAdded, ListMemberEvent, ListMemberRemoved, ListMemberUpdated, ListMembersAdded,
    ListMembersRemoved,
};
pub use personal::Personal;
pub use profile::{ProfileDeleted, ProfileEvent, ProfileUpdate, ProfileUpdated};
pub use registry::{Event, EventPayload};
pub use subject::{SubjectEvent, SubjectRegistered};
