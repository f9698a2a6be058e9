use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a template, of a tenant or of everybody.
    pub enum TemplateEvent {
        Saved(TemplateSaved) = "template.saved", v 1;
        Published(TemplatePublished) = "template.published", v 1;
        Archived(TemplateArchived) = "template.archived", v 1;
    }
}

/// A further version was written, which nobody is told until it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateSaved {
    /// From 1; one more than that of before, also across an end.
    pub version: u32,
    /// The content, and what is to hold where a message does not say otherwise.
    pub template: JsonDocument,
}

/// From here on this version is what is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplatePublished {
    pub version: u32,
}

/// It is used no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateArchived {}
