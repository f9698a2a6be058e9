use serde::{Deserialize, Serialize};
use types::{Channel, JsonDocument, PreferenceControl, PreferenceStatus, SectionId};

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a topic.
    pub enum TopicEvent {
        Created(TopicCreated) = "topic.created", v 1;
        Updated(TopicUpdated) = "topic.updated", v 1;
        Deleted(TopicDeleted) = "topic.deleted", v 1;
    }
}

/// All that a topic is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDetails {
    pub name: String,
    pub description: Option<String>,
    /// What holds where nobody has chosen anything.
    pub default_status: PreferenceStatus,
    /// What people may set besides.
    pub allowed_preferences: Vec<PreferenceControl>,
    pub include_unsubscribe_header: bool,
    /// The channels used where nobody has chosen any.
    pub routing_options: Vec<Channel>,
    /// Whatever the caller keeps with it: an object.
    pub topic_data: JsonDocument,
    /// How deliveries are collected: an object with `schedules`, each with a `schedule_id`.
    pub digest: Option<JsonDocument>,
}

/// A topic came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCreated {
    pub section: SectionId,
    pub details: TopicDetails,
}

/// All that the topic is was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicUpdated(pub TopicDetails);

/// The topic is gone. What people chose about it is kept for the case that it returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDeleted {}
