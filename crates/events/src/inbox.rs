use serde::{Deserialize, Serialize};
use types::{InboxMark, JsonDocument, MessageId, TenantId};

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to the inbox of one person.
    pub enum InboxEvent {
        Received(InboxReceived) = "inbox.received", v 1;
        Marked(InboxMarked) = "inbox.marked", v 1;
        Emptied(InboxEmptied) = "inbox.emptied", v 1;
    }
}

/// A message lies in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxReceived {
    pub message: MessageId,
    /// In whose context, if in any.
    pub tenant: Option<TenantId>,
    /// What it says: title, body, actions, data.
    pub content: Personal<JsonDocument>,
}

/// The person did something with messages of the inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMarked {
    pub mark: InboxMark,
    pub messages: Vec<MessageId>,
}

/// Nothing lies in it any more, because the person was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxEmptied {}
