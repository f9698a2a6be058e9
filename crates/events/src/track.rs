use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// What one person did elsewhere, as somebody told.
    pub enum TrackEvent {
        Recorded(TrackRecorded) = "track.recorded", v 1;
        Forgotten(TrackForgotten) = "track.forgotten", v 1;
    }
}

/// The person did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecorded {
    pub event: Personal<String>,
    pub properties: Option<Personal<JsonDocument>>,
}

/// Nothing is known any more of what the person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackForgotten {}
