use serde::{Deserialize, Serialize};
use types::Channel;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a section of topics.
    pub enum SectionEvent {
        Created(SectionCreated) = "section.created", v 1;
        Updated(SectionUpdated) = "section.updated", v 1;
        Deleted(SectionDeleted) = "section.deleted", v 1;
    }
}

/// All that a section is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionDetails {
    pub name: String,
    pub description: Option<String>,
    /// Whether people may choose channels for its topics.
    pub has_custom_routing: bool,
    pub routing_options: Vec<Channel>,
}

/// A section came to be, without topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionCreated(pub SectionDetails);

/// All that the section is was replaced. Its topics stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionUpdated(pub SectionDetails);

/// The section, which had no topics, is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionDeleted {}
