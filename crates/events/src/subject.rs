use serde::{Deserialize, Serialize};
use types::UserId;

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a person's number.
    pub enum SubjectEvent {
        Registered(SubjectRegistered) = "subject.registered", v 1;
        Erased(SubjectErased) = "subject.erased", v 1;
    }
}

/// A person appeared for the first time and got the number that every other event names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRegistered {
    /// The only place in the log where the caller's id of the person stands.
    pub user_id: Personal<UserId>,
}

/// A person was erased: the key of all that the log says of them is destroyed. Stands after everything
/// else about them, as the last event of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectErased {}
