use serde::{Deserialize, Serialize};

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to the clock.
    pub enum ClockEvent {
        Advanced(ClockAdvanced) = "clock.advanced", v 1;
    }
}

/// Time passed, up to the moment at which this was recorded, and moved somebody over the edge of a
/// window. Every other event moves the clock too; this one is written when there is no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAdvanced {}
