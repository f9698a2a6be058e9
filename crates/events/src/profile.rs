use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a profile.
    pub enum ProfileEvent {
        Updated(ProfileUpdated) = "profile.updated", v 1;
        Deleted(ProfileDeleted) = "profile.deleted", v 1;
    }
}

/// A profile was created or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileUpdated {
    /// What the caller asked for; the change means the same whichever it was.
    pub update: ProfileUpdate,
    /// What was set, and as `null` what was removed: the smallest merge patch (RFC 7396) that leads
    /// from the old document to the new one. For a profile that was absent it is the document.
    pub changes: Personal<JsonDocument>,
}

/// Stored by number: a further one joins at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileUpdate {
    Merge,
    Replace,
    Patch,
}

/// A profile was deleted. Subscriptions are separate and stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileDeleted {}
