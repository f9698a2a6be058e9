use serde::{Deserialize, Serialize};
use types::{JsonDocument, Timestamp};

use crate::Personal;
use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to requests that carry an idempotency key.
    pub enum RequestEvent {
        Answered(RequestAnswered) = "request.answered", v 2, from [1 => v1::RequestAnswered];
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
    /// The length of the body, which is counted also when it is erased.
    pub body_bytes: u32,
    /// From then on the same request is a new one.
    pub expires_at: Timestamp,
}

mod v1 {
    use serde::{Deserialize, Serialize};
    use types::{JsonDocument, Timestamp};

    use crate::Personal;

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestAnswered {
        request: String,
        owner: String,
        status: u16,
        body: Option<Personal<JsonDocument>>,
        expires_at: Timestamp,
    }

    impl From<RequestAnswered> for super::RequestAnswered {
        fn from(old: RequestAnswered) -> Self {
            let known = old.body.as_ref().and_then(Personal::known);
            let body_bytes = known.map_or(0, |body| body.as_str().len());
            Self {
                request: old.request,
                owner: old.owner,
                status: old.status,
                body: old.body,
                body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
                expires_at: old.expires_at,
            }
        }
    }
}
