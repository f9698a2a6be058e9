//! sled, held so that neither its panics nor its errors get past here unnoticed.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use event_log::ReadError;
use types::Position;

use event_log::RawBlock;

use crate::keys;

/// Fixed when a store is made. Four values of the largest size fit into a quarter of a segment many
/// times over: sled puts a larger page into a file of its own, which it never syncs.
pub(crate) const SEGMENT_BYTES: usize = 2 * 1024 * 1024;

/// sled's page cache. It bounds nothing for large values, so the handle is also reopened.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What sled says when its file is locked, and how long to wait for that to end.
const LOCKED: &str = "could not acquire lock";
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(2);

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

pub(crate) struct SledTree {
    db: sled::Db,
}

impl SledTree {
    pub(crate) fn open(log: &Path) -> Result<Self, String> {
        let config = sled::Config::new()
            .path(log)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            // For sled's own collection of garbage; durability never depends on it.
            .flush_every_ms(Some(500));
        // A handle that was dropped may be held for a moment more by sled's own threads, and with it
        // the lock on its file. Other processes are kept away by the data directory's lock.
        let given_up = Instant::now() + LOCK_WAIT_MAX;
        loop {
            match guarded(|| config.open()) {
                Err(error) if error.contains(LOCKED) && Instant::now() < given_up => {
                    thread::sleep(LOCK_RETRY);
                }
                opened => return opened.map(|db| Self { db }),
            }
        }
    }

    /// Writes a batch to sled and sled to its file; whether it is on disk is the caller's to see to.
    pub(crate) fn write(&self, batch: sled::Batch) -> Result<(), String> {
        guarded(|| {
            self.db.apply_batch(batch)?;
            self.db.flush().map(drop)
        })
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        guarded(|| Ok(self.db.get(key)?.map(|value| value.to_vec())))
    }

    pub(crate) fn size_on_disk(&self) -> Result<u64, String> {
        guarded(|| self.db.size_on_disk())
    }

    /// The last key and value in a range.
    pub(crate) fn last_in(&self, from: &[u8], to: &[u8]) -> Result<Option<Entry>, String> {
        guarded(|| {
            let last = self.db.range(from..=to).next_back().transpose()?;
            Ok(last.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    /// Keys and values of a range from its start, about as many bytes as asked for.
    pub(crate) fn piece(
        &self,
        from: &[u8],
        to: &[u8],
        bytes_max: usize,
    ) -> Result<Vec<Entry>, String> {
        guarded(|| {
            let mut bytes = 0;
            let mut piece = Vec::new();
            for entry in self.db.range(from..=to) {
                let (key, value) = entry?;
                bytes += value.len();
                piece.push((key.to_vec(), value.to_vec()));
                if bytes >= bytes_max {
                    break;
                }
            }
            Ok(piece)
        })
    }

    /// The block that holds the position, if there is one that begins at or before it.
    pub(crate) fn block_with(&self, position: Position) -> Result<Option<RawBlock>, ReadError> {
        let (from, to) = (keys::block(Position(0), 0), keys::block(position, u16::MAX));
        let Some((key, _)) = self.last_in(&from, &to).map_err(ReadError::Io)? else {
            return Ok(None);
        };
        let (first, _) = keys::parse_block(&key)
            .ok_or_else(|| ReadError::damaged(position, "a block's key is not one"))?;
        self.block(first).map(Some)
    }

    /// The block that begins here, put together from its parts.
    ///
    /// ```text
    /// part 0: number of parts (2 bytes, big-endian), then bytes;  parts 1…: bytes
    /// ```
    pub(crate) fn block(&self, first: Position) -> Result<RawBlock, ReadError> {
        let part = |part| {
            self.get(&keys::block(first, part))
                .map_err(ReadError::Io)?
                .ok_or_else(|| ReadError::damaged(first, format!("part {part} is missing")))
        };
        let head = part(0)?;
        let Some((count, bytes)) = head.split_first_chunk::<2>() else {
            return Err(ReadError::damaged(
                first,
                "the block has no number of parts",
            ));
        };
        if u16::from_be_bytes(*count) == 0 {
            return Err(ReadError::damaged(first, "the block has no parts"));
        }
        let mut bytes = bytes.to_vec();
        for number in 1..u16::from_be_bytes(*count) {
            bytes.extend(part(number)?);
        }
        RawBlock::from_bytes(first, bytes)
    }
}

/// Runs something of sled's, which panics on some kinds of damage.
fn guarded<T>(run: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    static HOOK: Once = Once::new();
    thread_local! { static QUIET: Cell<bool> = const { Cell::new(false) }; }
    HOOK.call_once(|| {
        // A panic that is caught here becomes an error with a better message than its own.
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    match outcome {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied());
            Err(format!(
                "sled gave up: {}",
                text.unwrap_or("without a reason")
            ))
        }
    }
}
