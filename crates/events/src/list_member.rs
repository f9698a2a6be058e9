use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;
use crate::{OfPerson, Personal};

aggregate_events! {
    /// Everything that can happen to subscriptions. Who is meant stands in the envelope's subjects.
    pub enum ListMemberEvent {
        Added(ListMemberAdded) = "list.member_added", v 1;
        Updated(ListMemberUpdated) = "list.member_updated", v 1;
        Removed(ListMemberRemoved) = "list.member_removed", v 1;
        ManyAdded(ListMembersAdded) = "list.members_added", v 1;
        ManyRemoved(ListMembersRemoved) = "list.members_removed", v 1;
    }
}

/// One person was subscribed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMemberAdded {
    pub preferences: Option<Personal<JsonDocument>>,
}

/// The preferences of one subscription were replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMemberUpdated {
    pub preferences: Option<Personal<JsonDocument>>,
}

/// One person was unsubscribed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMemberRemoved {}

/// Several people were subscribed in one request, in the list's own stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMembersAdded {
    /// Preferences of those who have any, by ascending place.
    pub preferences: Vec<OfPerson<JsonDocument>>,
}

/// Several people were unsubscribed in one request, in the list's own stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMembersRemoved {}
