use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::OfPerson;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a bulk job until it is sent. From then on it is a message of the same
    /// id.
    pub enum BulkEvent {
        Created(BulkCreated) = "bulk.created", v 1;
        UsersIngested(BulkUsersIngested) = "bulk.users_ingested", v 1;
        Started(BulkStarted) = "bulk.started", v 1;
    }
}

/// People can be gathered for a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkCreated {
    /// Courier's message without `to`.
    pub message: JsonDocument,
    /// The job's message as it was given, which the job shows.
    pub definition: JsonDocument,
}

/// These people, the subjects, are among those to whom it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkUsersIngested {
    /// What was given for those for whom something was, by ascending place.
    pub users: Vec<OfPerson<JsonDocument>>,
}

/// Nobody joins any more: it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkStarted {}
