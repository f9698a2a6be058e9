use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to an audience. Who is in it follows from its rule and is in no
    /// event.
    pub enum AudienceEvent {
        Defined(AudienceDefined) = "audience.defined", v 1;
        Deleted(AudienceDeleted) = "audience.deleted", v 1;
    }
}

/// An audience came to be or was changed; this is all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceDefined {
    pub name: String,
    pub description: String,
    /// The rule in the shape of the API's current answers; without one the audience is empty.
    pub filter: Option<JsonDocument>,
    /// From 1; one more with every change of the rule, and the same when something else changed.
    pub version: u32,
}

/// The audience is gone; the same id defined again is another audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceDeleted {}
