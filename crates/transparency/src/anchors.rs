//! Checkpoints kept elsewhere: only something outside the host can tell that the newest records were
//! cut off, or that another history was put in place.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use proofs::{Checkpoint, InvalidCheckpoint, TreeHead, TrustedKey};

use crate::files::{Readable, read, replace};

/// After a failed write it is tried again so often, with the newest checkpoint by then.
const RETRY: Duration = Duration::from_secs(5);

/// A file elsewhere that is given every checkpoint.
pub(crate) struct Anchor {
    path: PathBuf,
    slot: Mutex<Slot>,
    changed: Condvar,
    failing: AtomicBool,
}

#[derive(Default)]
struct Slot {
    /// The newest checkpoint that is not written yet.
    waiting: Option<String>,
    is_writing: bool,
    closing: bool,
}

/// An anchor says something else than the log.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    #[error(
        "the anchor {path} holds no checkpoint of this log: {error}. Anchors of different logs need \
         files of their own; if it is this log's and was spoilt, look at it and move it away"
    )]
    NotOurs {
        path: PathBuf,
        error: InvalidCheckpoint,
    },
    #[error(
        "the log ends at position {found}, but the anchor {path} has a checkpoint of {size} records: \
         the newest are missing. Put back the log as it was, from a backup that reaches at least to \
         position {size}; if going back is what you want, move the anchor away, and keep it: it \
         proves what was there"
    )]
    Shorter {
        path: PathBuf,
        size: u64,
        found: u64,
    },
    #[error(
        "the first {size} records of the log are not those of which the anchor {path} has a \
         checkpoint: the log was altered, or another one put in its place. `muster log verify` says \
         whether it agrees with itself; put it back from a backup that agrees with the anchor"
    )]
    OtherRoot { path: PathBuf, size: u64 },
}

/// The checkpoint in a file, if there is one that these keys signed. What cannot be reached is no
/// checkpoint; what can and is something else is an error.
pub(crate) fn checkpoint_in(
    path: &Path,
    keys: &[TrustedKey],
) -> Result<Option<Checkpoint>, AnchorError> {
    let note = match read(path) {
        Ok(Some(note)) => note,
        Ok(None) => {
            tracing::warn!(path = %path.display(), "the anchor is not there yet");
            return Ok(None);
        }
        Err(error) => {
            let path = path.display();
            tracing::warn!(%path, %error, "the anchor cannot be read, so nothing is compared with it");
            return Ok(None);
        }
    };
    Checkpoint::open(&note, keys)
        .map(Some)
        .map_err(|error| AnchorError::NotOurs {
            path: path.to_owned(),
            error,
        })
}

/// Whether the log, of which `head_at` tells the root at any of its sizes, goes on from the checkpoint.
pub(crate) fn compare<E: From<AnchorError>>(
    path: &Path,
    checkpoint: &Checkpoint,
    found: u64,
    head_at: impl FnOnce(u64) -> Result<TreeHead, E>,
) -> Result<(), E> {
    let (path, size) = (path.to_owned(), checkpoint.head.size);
    if size > found {
        return Err(AnchorError::Shorter { path, size, found }.into());
    }
    if head_at(size)? == checkpoint.head {
        Ok(())
    } else {
        Err(AnchorError::OtherRoot { path, size }.into())
    }
}

impl Anchor {
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            slot: Mutex::default(),
            changed: Condvar::new(),
            failing: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Has the newest checkpoint written by the thread that [`Anchor::run`]s. One that was not written yet
    /// is passed over.
    pub(crate) fn offer(&self, note: &str) {
        self.slot.lock().waiting = Some(note.to_owned());
        self.changed.notify_all();
    }

    /// Writes what is offered until it is closed and nothing waits. A disk that hangs holds up nobody
    /// else.
    pub(crate) fn run(&self) {
        let mut slot = self.slot.lock();
        loop {
            while slot.waiting.is_none() {
                if slot.closing {
                    return;
                }
                self.changed.wait(&mut slot);
            }
            let Some(note) = slot.waiting.take() else {
                continue;
            };
            slot.is_writing = true;
            let written = parking_lot::MutexGuard::unlocked(&mut slot, || {
                replace(&self.path, note.as_bytes(), Readable::ByAll)
            });
            slot.is_writing = false;
            self.failing.store(written.is_err(), Ordering::Relaxed);
            if let Err(error) = written {
                let path = self.path.display();
                tracing::warn!(%path, %error, "the anchor cannot be written");
                if slot.closing {
                    return;
                }
                slot.waiting.get_or_insert(note);
                self.changed.wait_for(&mut slot, RETRY);
            }
            self.changed.notify_all();
        }
    }

    /// Has what waits written, and waits for that until `deadline`. Says whether it was.
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        let mut slot = self.slot.lock();
        slot.closing = true;
        self.changed.notify_all();
        while slot.waiting.is_some() || slot.is_writing {
            if self.changed.wait_until(&mut slot, deadline).timed_out() {
                return false;
            }
        }
        !self.is_failing()
    }

    /// As [`Anchor::offer`], at once and in this thread.
    pub(crate) fn write(&self, note: &str) {
        let written = replace(&self.path, note.as_bytes(), Readable::ByAll);
        self.failing.store(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the anchor cannot be written");
        }
    }
}
