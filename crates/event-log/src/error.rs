use types::Position;

/// The log did not take the records. None of them can be relied on, and nothing more is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("writing failed: {0}")]
    Write(String),
    #[error("an earlier write failed, so nothing more is written")]
    Poisoned,
    /// Nothing was written, and the log takes other records as before.
    #[error(
        "{what} of the record at place {place} of the group is {actual}, and at most {max} fit"
    )]
    TooLarge {
        place: usize,
        what: &'static str,
        actual: usize,
        max: usize,
    },
}

/// What was read cannot be trusted, or could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the log is damaged at position {position}: {what}")]
    Damaged { position: Position, what: String },
    #[error("reading failed: {0}")]
    Io(String),
}

impl ReadError {
    pub fn damaged(position: Position, what: impl Into<String>) -> Self {
        Self::Damaged {
            position,
            what: what.into(),
        }
    }
}
