use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a brand.
    pub enum BrandEvent {
        Created(BrandCreated) = "brand.created", v 1;
        Updated(BrandUpdated) = "brand.updated", v 1;
        Deleted(BrandDeleted) = "brand.deleted", v 1;
    }
}

/// All that a brand is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandDetails {
    pub name: String,
    pub settings: Option<JsonDocument>,
    pub snippets: Option<JsonDocument>,
}

/// A brand came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandCreated(pub BrandDetails);

/// All that the brand is was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandUpdated(pub BrandDetails);

/// The brand, which nobody used, is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandDeleted {}
