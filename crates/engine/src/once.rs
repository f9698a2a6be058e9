use domain::limits::IDEMPOTENCY_LIFETIME_MAX;
use projections::StoredAnswer;
use sha2::{Digest as _, Sha256};
use types::{JsonDocument, Timestamp, hex};

use crate::handle::Committed;

/// A request that is to take effect once, however often it is sent, and to be answered the same each
/// time.
pub struct Once {
    pub request: RequestKey,
    /// How long the answer is kept.
    pub expires_at: Timestamp,
    /// What the request is answered if it takes effect; asked before that is durable, and by the thread
    /// that decides, so it works out nothing that takes long.
    pub answer: Box<dyn FnOnce(&Committed) -> Answer + Send>,
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code of HTTP.
    pub status: u16,
    pub body: Option<JsonDocument>,
}

/// By what a request is known, as SHA-256 in hexadecimal, so that neither a user id nor the caller's key is
/// kept; and whose answers its answer is counted among.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    hash: String,
    owner: String,
}

impl RequestKey {
    /// Of the parts by which the request is known; `owner` is whose answers it is counted among.
    pub fn new(parts: &[&str], owner: &str) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self {
            hash: hex(&hash.finalize()),
            owner: owner.to_owned(),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.hash
    }

    /// The credential whose answers there are only so many of.
    pub fn owner(&self) -> &str {
        &self.owner
    }
}

/// An answer whose body is longer than this, in bytes, is not kept: the request is then decided anew.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

impl Once {
    /// The expiry as it is recorded: not beyond what is ever kept.
    pub(crate) fn expires_at(&self, now: Timestamp) -> Timestamp {
        let latest = now.0.saturating_add(IDEMPOTENCY_LIFETIME_MAX);
        self.expires_at.min(Timestamp(latest))
    }
}

impl From<StoredAnswer> for Answer {
    fn from(stored: StoredAnswer) -> Self {
        Self {
            status: stored.status,
            body: stored.body,
        }
    }
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Once").field(&self.request).finish()
    }
}
