use serde::{Deserialize, Serialize};
use types::{AudienceId, Position};

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a webhook. Its secret and its deliveries are in no event.
    pub enum WebhookEvent {
        Registered(WebhookRegistered) = "webhook.registered", v 1;
        Removed(WebhookRemoved) = "webhook.removed", v 1;
        RedeliveryRequested(WebhookRedeliveryRequested) = "webhook.redelivery_requested", v 1;
    }
}

/// From here on what happens is told to this URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRegistered {
    pub url: String,
    /// Types of events, each exact or the beginning of some and `*`; and what becomes of the membership
    /// of audiences.
    pub types: Vec<String>,
    /// Of which audience joining and leaving is told; of all unless given.
    pub audience_id: Option<AudienceId>,
}

/// Nothing more is told to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRemoved {}

/// It is told once more what happened at this position and since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRedeliveryRequested {
    pub from: Position,
}
