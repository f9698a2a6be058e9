use serde::{Deserialize, Serialize};
use types::{Choice, JsonDocument, PreferenceStatus, QuietHours, Snooze, TenantId, TopicId};

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to what one person chose to receive.
    pub enum PreferenceEvent {
        Set(PreferenceSet) = "preference.set", v 1;
        Cleared(PreferenceCleared) = "preference.cleared", v 1;
        RecipientPreferencesReplaced(RecipientPreferencesReplaced) = "preference.recipient_preferences_replaced", v 1;
        QuietHoursChanged(QuietHoursChanged) = "preference.quiet_hours_changed", v 1;
    }
}

/// What a person chose for a topic. The parts stand together: a new choice replaces the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalChoice {
    pub choice: Choice,
    pub digest_schedule_id: Option<String>,
    pub snoozes: Vec<Snooze>,
}

/// A person chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferenceSet {
    pub topic: TopicId,
    /// The topic's name at that time.
    pub topic_name: String,
    /// The context in which the choice holds; everywhere if there is none.
    pub tenant: Option<TenantId>,
    pub chosen: Personal<PersonalChoice>,
    /// What was chosen before.
    pub previous: Option<Personal<Choice>>,
}

/// A person's choice was given up; defaults hold again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferenceCleared {
    pub topic: TopicId,
    /// The topic's name at that time; its id where there was no such topic any more.
    pub topic_name: String,
    pub tenant: Option<TenantId>,
    /// The topic's default at that time.
    pub default_status: PreferenceStatus,
    /// What was chosen before.
    pub previous: Personal<Choice>,
}

/// A person's preferences in the older form, by category and by notification, were replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientPreferencesReplaced {
    pub preferences: Option<Personal<JsonDocument>>,
}

/// The hours in which a person does not want to be disturbed were set or given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHoursChanged {
    pub quiet_hours: Option<Personal<QuietHours>>,
}
