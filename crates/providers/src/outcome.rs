/// A provider took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the provider calls it, if it said so.
    pub provider_message_id: Option<String>,
    pub attempts: u32,
}

/// No provider took it, or none said so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (attempts: {attempts})")]
pub struct Undelivered {
    pub kind: FailureKind,
    /// One short sentence without address, content or credential.
    pub reason: String,
    pub attempts: u32,
}

impl Undelivered {
    pub(crate) fn withdrawn(attempts: u32) -> Self {
        Self {
            kind: FailureKind::Withdrawn,
            reason: "it is not to go out any more".to_owned(),
            attempts,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The provider will not take this message, however often it is asked.
    Refused,
    /// The mailbox or the device is gone.
    DeadAddress,
    /// The provider was not reached, or could not take it, until attempts or time were used up.
    Unavailable,
    /// It was handed over, and no answer told whether it was taken. It is not sent again.
    Unknown,
    /// The address or the content cannot be given to this provider.
    Malformed,
    /// Whoever has it sent does not want that any more. It was not handed over after they said so.
    Withdrawn,
}

impl FailureKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::DeadAddress => "dead_address",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::Withdrawn => "withdrawn",
        }
    }
}
