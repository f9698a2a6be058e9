use std::io;
use std::path::PathBuf;

use event_log::ReadError;
use types::Position;

/// Why there is no backup, or none that can be relied on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("what was sent ends too early")]
    CutShort,
    #[error("what was sent is not a backup: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Damaged(#[from] ReadError),
    #[error(
        "at position {position} the log has another root than the backup: it is another log, or one of \
         the two was altered"
    )]
    OtherLog { position: Position },
    #[error("the log ends at position {head}, and the backup holds events up to {backup}")]
    Behind { head: Position, backup: Position },
    #[error("{0} is no backup: it holds other files")]
    NotABackup(PathBuf),
    #[error("{0} holds no backup: there is no manifest")]
    NoManifest(PathBuf),
    #[error("somebody else is making the backup {0} grow")]
    InUse(PathBuf),
    #[error("{path} is not as the backup was written: {what}")]
    Altered { path: PathBuf, what: &'static str },
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("the log could not be read: {0}")]
    Source(io::Error),
}

impl BackupError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            path: path.to_owned(),
            error,
        }
    }

    pub(crate) fn altered(path: &std::path::Path, what: &'static str) -> Self {
        Self::Altered {
            path: path.to_owned(),
            what,
        }
    }
}
