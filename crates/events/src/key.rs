use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to an API key.
    pub enum KeyEvent {
        Issued(KeyIssued) = "key.issued", v 1;
    }
}

/// A key was issued. The key itself is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyIssued {
    pub name: String,
    /// The first characters, by which a person recognises the key.
    pub prefix: String,
    /// SHA-256 of the whole key, in hexadecimal. A key holds 256 random bits, so no salt is needed.
    pub hash: String,
    pub scopes: Vec<String>,
    pub tenant_id: Option<String>,
    pub expires_at: Option<Timestamp>,
}
