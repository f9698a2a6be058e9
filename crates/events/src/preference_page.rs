use serde::{Deserialize, Serialize};

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to the page on which people choose.
    pub enum PreferencePageEvent {
        Published(PreferencePagePublished) = "preference_page.published", v 1;
    }
}

/// The page was published as the sections and topics stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferencePagePublished {
    pub page_id: String,
    /// `default`, `none` or the id of a brand.
    pub brand_id: Option<String>,
    pub heading: Option<String>,
    pub description: Option<String>,
}
