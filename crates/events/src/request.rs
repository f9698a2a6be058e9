use serde::{Deserialize, Serialize};
use types::{JsonDocument, Timestamp};

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to requests that carry an idempotency key.
    pub enum RequestEvent {
        Answered(RequestAnswered) = "request.answered", v 1;
    }
}

/// A request with an idempotency key took effect and was answered so; sent again it is answered the same
/// and does nothing. Stands in the same group as what the request did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestAnswered {
    /// SHA-256 of the endpoint, what its path names, the context and the idempotency key, in hexadecimal.
    pub request: String,
    /// The credential whose answers it is counted among.
    pub owner: String,
    /// The status code of HTTP.
    pub status: u16,
    pub body: Option<Personal<JsonDocument>>,
    /// From then on the same request is a new one.
    pub expires_at: Timestamp,
}
