use serde::{Deserialize, Serialize};
use types::{DeviceToken, JsonDocument, ProviderKey, Timestamp, TokenStatus};

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to the device tokens of one person. That one expires is no event:
    /// it follows from the time of whatever happens next.
    pub enum TokenEvent {
        Added(TokenAdded) = "token.added", v 1;
        Updated(TokenUpdated) = "token.updated", v 1;
        Removed(TokenRemoved) = "token.removed", v 1;
    }
}

/// All that is known about a token but the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDetails {
    pub provider_key: ProviderKey,
    pub status: TokenStatus,
    pub status_reason: Option<String>,
    pub device: Option<JsonDocument>,
    pub tracking: Option<JsonDocument>,
    pub properties: Option<JsonDocument>,
    /// From then on the token is gone; never if there is no such time.
    pub expires_at: Option<Timestamp>,
}

/// A token was registered that was not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAdded {
    pub token: Personal<DeviceToken>,
    pub details: Personal<TokenDetails>,
}

/// All that is known about the token was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUpdated {
    pub token: Personal<DeviceToken>,
    pub details: Personal<TokenDetails>,
}

/// A token is gone before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRemoved {
    pub token: Personal<DeviceToken>,
}
