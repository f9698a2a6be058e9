use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a list as such. Its subscribers have events of their own.
    pub enum ListEvent {
        Created(ListCreated) = "list.created", v 1;
        Updated(ListUpdated) = "list.updated", v 1;
        Deleted(ListDeleted) = "list.deleted", v 1;
        Restored(ListRestored) = "list.restored", v 1;
    }
}

/// A list came to be, without subscribers. Where a deleted one held the id, that one and its
/// subscribers are now history only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCreated {
    pub name: String,
    pub preferences: Option<JsonDocument>,
}

/// Name and preferences were replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUpdated {
    pub name: String,
    pub preferences: Option<JsonDocument>,
}

/// The list was put aside together with its subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListDeleted {}

/// The deleted list came back together with its subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRestored {}
