//! What may happen: commands in, events or a refusal out. No clock, no randomness, no IO.

mod audience;
mod decider;
pub mod limits;
mod list;
mod list_member;
mod profile;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use audience::{
    Audience, AudienceCommand, AudiencePut, AudienceRefusal, AudienceState, Change, audiences_of,
    refuse_chain, refuse_cycle,
};
pub use decider::Decider;
pub use list::{List, ListCommand, ListRefusal, ListState};
pub use list_member::{ListMember, ListMemberCommand, ListMemberState};
pub use profile::{Profile, ProfileCommand, ProfileRefusal, ProfileState};
