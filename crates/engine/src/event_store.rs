use std::sync::Arc;

use event_log::{EventLog, MemoryLog, ReadError, Span};
use events::{EventPayload as _, SubjectErased};
use types::{Position, SubjectId};
use vault::{Vault, VaultError};

use crate::history::Reader;

/// The event log, and the keys that open what it says of people.
#[derive(Clone)]
pub struct EventStore {
    pub log: Arc<dyn EventLog>,
    pub vault: Arc<Vault>,
}

/// Why the two do not go together.
#[derive(Debug, thiserror::Error)]
pub enum EventStoreError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Erasures looked at in one go.
const PIECE: usize = 256;

impl EventStore {
    /// Takes a log and its vault, and destroys the keys of those whom the log says to be erased, should
    /// a crash have come between the one and the other.
    pub fn open(log: Arc<dyn EventLog>, vault: Arc<Vault>) -> Result<Self, EventStoreError> {
        let store = Self { log, vault };
        let unfinished = store.unfinished_erasures()?;
        if !unfinished.is_empty() {
            tracing::warn!(
                people = unfinished.len(),
                "erasures that were cut short are finished"
            );
            store.vault.erase(&unfinished)?;
        }
        Ok(store)
    }

    /// An empty log in memory, with keys that end with the process.
    pub fn in_memory() -> Self {
        Self {
            log: Arc::new(MemoryLog::default()),
            vault: Arc::new(Vault::ephemeral()),
        }
    }

    /// Those who are erased in the log and still have a key. Keys are destroyed in the order of the log,
    /// so the newest tell.
    fn unfinished_erasures(&self) -> Result<Vec<SubjectId>, ReadError> {
        let mut reader = Reader::of(&*self.log);
        let mut unfinished = Vec::new();
        let mut before = self.log.head().position.next();
        loop {
            let span = Span {
                after: Position::START,
                before,
                newest_first: true,
                at_most: PIECE,
            };
            let erasures = self.log.index().by_type(SubjectErased::TYPE, span);
            let Some(oldest) = erasures.last() else {
                return Ok(unfinished);
            };
            before = *oldest;
            for position in erasures {
                let record = reader.record(position)?;
                let so_far = unfinished.len();
                let subjects = record.subjects.iter();
                unfinished.extend(subjects.filter(|it| !self.vault.is_erased(*it)));
                if unfinished.len() == so_far {
                    return Ok(unfinished);
                }
            }
        }
    }
}
