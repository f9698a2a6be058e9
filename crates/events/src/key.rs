use serde::{Deserialize, Serialize};
use types::Timestamp;

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to an API key.
    pub enum KeyEvent {
        Issued(KeyIssued) = "key.issued", v 1;
        ExpirySet(KeyExpirySet) = "key.expiry_set", v 1;
        Revoked(KeyRevoked) = "key.revoked", v 1;
        Used(KeyUsed) = "key.used", v 1;
        UserTokenIssued(KeyUserTokenIssued) = "key.user_token_issued", v 1;
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
    /// The key reaches only this tenant and those below it.
    pub tenant_id: Option<String>,
    /// From then on the key is no good; it is for ever if there is no such time.
    pub expires_at: Option<Timestamp>,
}

/// A key ends at another time than it was issued with: it was replaced by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyExpirySet {
    pub expires_at: Timestamp,
}

/// A key is no good any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {}

/// A key was used, for the first time in an hour. Whoever reads writes nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsed {
    pub at: Timestamp,
}

/// The key had a token issued with which users reach what is theirs. Neither the token nor whom it is for
/// is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUserTokenIssued {
    /// The id of the token, `jti`.
    pub token: String,
    /// For how many users it is.
    pub users: u32,
    /// What it allows, such as `read:preferences`.
    pub grants: Vec<String>,
    pub expires_at: Timestamp,
}
