use std::time::Duration;

use crate::breaker::Health;
use crate::outcome::FailureKind;

/// How long a reason may be, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// Why one attempt came to nothing. A reason is made of our own words, numbers and codes of a protocol:
/// what a provider writes in its answers may repeat the address or the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Another attempt may go better; not before `after`, if the provider said so.
    Retry {
        after: Option<Duration>,
        fault: Fault,
        reason: String,
    },
    Refused(String),
    DeadAddress(String),
    Unknown(String),
    Malformed(String),
}

/// Who an attempt failed for. The circuit breaker counts only what would have failed for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Provider,
    Recipient,
}

impl Failure {
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Retry {
            after: None,
            fault: Fault::Provider,
            reason: reason.into(),
        }
    }

    /// What it says of the provider.
    pub(crate) fn health(&self) -> Health {
        match self {
            Self::Retry { fault, .. } if *fault == Fault::Provider => Health::Failed,
            Self::Unknown(_) => Health::Failed,
            Self::Retry { .. } | Self::Refused(_) | Self::DeadAddress(_) => Health::Well,
            // It may have been told here, without asking.
            Self::Malformed(_) => Health::Untold,
        }
    }

    /// What it is called once there are no more attempts.
    pub(crate) fn into_kind_and_reason(self) -> (FailureKind, String) {
        let (kind, mut reason) = match self {
            Self::Retry { reason, .. } => (FailureKind::Unavailable, reason),
            Self::Refused(reason) => (FailureKind::Refused, reason),
            Self::DeadAddress(reason) => (FailureKind::DeadAddress, reason),
            Self::Unknown(reason) => (FailureKind::Unknown, reason),
            Self::Malformed(reason) => (FailureKind::Malformed, reason),
        };
        reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
        (kind, reason)
    }
}

/// A code out of a provider's answer that may stand in a reason: a word of a protocol, or nothing.
pub(crate) fn code(text: &str) -> Option<&str> {
    const CODE_BYTES_MAX: usize = 64;
    let is_word = |it: &str| {
        it.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && it.bytes().filter(u8::is_ascii_digit).count() <= 5
    };
    (!text.is_empty() && text.len() <= CODE_BYTES_MAX && is_word(text)).then_some(text)
}
