//! The head of the log, remembered outside sled: only something outside can tell that the newest
//! records are missing.
//!
//! ```text
//! two slots, 4,096 bytes apart, written in turn:
//!   magic 8 · size 8 · root 32 · length of sled's file 8 · CRC-32 of all that 4
//! ```
//! A slot lies within one sector, so a torn write spoils at most one of them. It is written after
//! every commit, when the log itself is already on disk, and synced by a thread of its own at least
//! every 50 ms and when the store is closed: a killed process leaves it exact, a power cut at most
//! 50 ms behind, and never ahead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use event_log::{Hash, Head};
use parking_lot::{Condvar, Mutex};
use types::Position;

use crate::directory::sync_directory;

const MAGIC: &[u8; 8] = b"MUSTERH1";
const SLOT_DISTANCE: u64 = 4_096;
const SLOT_BYTES: usize = 60;
const SYNC_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RememberedHead {
    pub(crate) head: Head,
    /// sled's file was at least this long, in bytes.
    pub(crate) log_bytes: u64,
}

pub(crate) struct HeadFile {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

struct Shared {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next_slot: u64,
    dirty: bool,
    closing: bool,
    failed: bool,
}

pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("head")
}

/// What the file says; `None` if neither slot can be trusted.
pub(crate) fn read(data: &Path) -> io::Result<Option<RememberedHead>> {
    let file = File::open(path(data))?;
    Ok(newest(&file)?.map(|(_, head)| head))
}

/// Makes the file for a log with this head, in place of any other.
pub(crate) fn create(data: &Path, head: RememberedHead) -> io::Result<()> {
    let unfinished = data.join("head.new");
    let file = File::create(&unfinished)?;
    file.write_all_at(&encode(head), 0)?;
    file.write_all_at(&encode(head), SLOT_DISTANCE)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path(data))?;
    sync_directory(data)
}

impl HeadFile {
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path(data))?;
        // The newest slot stays untouched by the next write.
        let next_slot = newest(&file)?.map_or(0, |(slot, _)| 1 - slot);
        let state = State {
            next_slot,
            dirty: false,
            closing: false,
            failed: false,
        };
        let shared = Arc::new(Shared {
            file,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let syncer = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("head-sync".to_owned())
                .spawn(move || shared.run())?
        };
        Ok(Self {
            shared,
            syncer: Some(syncer),
        })
    }

    /// Has what was written on disk before it returns.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let synced = self.shared.file.sync_data();
        if synced.is_err() {
            self.shared.state.lock().failed = true;
        }
        synced
    }

    pub(crate) fn write(&self, head: RememberedHead) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if state.failed {
            return Err(io::Error::other("an earlier sync of the head file failed"));
        }
        self.shared
            .file
            .write_all_at(&encode(head), state.next_slot * SLOT_DISTANCE)?;
        state.next_slot = 1 - state.next_slot;
        if !state.dirty {
            state.dirty = true;
            self.shared.changed.notify_one();
        }
        Ok(())
    }
}

impl Drop for HeadFile {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(syncer) = self.syncer.take() {
            // A panic in the thread has already been reported by it.
            let _ = syncer.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            while !state.dirty && !state.closing {
                self.changed.wait(&mut state);
            }
            if !state.closing {
                // Under load one sync serves all commits of the interval.
                self.changed.wait_for(&mut state, SYNC_INTERVAL);
            }
            if state.dirty {
                state.dirty = false;
                let synced =
                    parking_lot::MutexGuard::unlocked(&mut state, || self.file.sync_data());
                if let Err(error) = synced {
                    tracing::error!(%error, "the head file cannot be synced");
                    state.failed = true;
                }
            }
            if state.closing && !state.dirty {
                return;
            }
        }
    }
}

fn newest(file: &File) -> io::Result<Option<(u64, RememberedHead)>> {
    let mut found: Option<(u64, RememberedHead)> = None;
    for slot in 0..2 {
        let mut bytes = [0; SLOT_BYTES];
        let whole = match file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        if let Some(head) = whole
            && found.is_none_or(|(_, other)| head.head.position > other.head.position)
        {
            found = Some((slot, head));
        }
    }
    Ok(found)
}

fn encode(remembered: RememberedHead) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&remembered.head.position.0.to_be_bytes());
    bytes[16..48].copy_from_slice(&remembered.head.root.0);
    bytes[48..56].copy_from_slice(&remembered.log_bytes.to_be_bytes());
    let checksum = crc32fast::hash(&bytes[..56]);
    bytes[56..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<RememberedHead> {
    let number = |range: std::ops::Range<usize>| bytes[range].try_into().map(u64::from_be_bytes);
    if bytes[..8] != MAGIC[..] || crc32fast::hash(&bytes[..56]).to_be_bytes() != bytes[56..] {
        return None;
    }
    Some(RememberedHead {
        head: Head {
            position: Position(number(8..16).ok()?),
            root: Hash(bytes[16..48].try_into().ok()?),
        },
        log_bytes: number(48..56).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(size: u64) -> RememberedHead {
        RememberedHead {
            head: Head {
                position: Position(size),
                root: Hash([size.to_le_bytes()[0]; 32]),
            },
            log_bytes: size * 10,
        }
    }

    #[test]
    fn the_newest_head_counts_and_either_slot_may_be_spoilt() {
        let data = tempfile::tempdir().unwrap();
        create(data.path(), remembered(0)).unwrap();
        let file = HeadFile::open(data.path()).unwrap();
        file.write(remembered(1)).unwrap();
        file.write(remembered(2)).unwrap();
        drop(file);
        assert_eq!(read(data.path()).unwrap(), Some(remembered(2)));
        let mut bytes = std::fs::read(path(data.path())).unwrap();
        let second = usize::try_from(SLOT_DISTANCE).unwrap();
        // The second write went into the slot of the creation, the first into the other.
        for flipped in [20, second + 20] {
            bytes[flipped] ^= 1;
            std::fs::write(path(data.path()), &bytes).unwrap();
            assert!(
                [Some(remembered(1)), Some(remembered(2))].contains(&read(data.path()).unwrap())
            );
            bytes[flipped] ^= 1;
        }
        bytes[20] ^= 1;
        bytes[second + 20] ^= 1;
        std::fs::write(path(data.path()), &bytes).unwrap();
        assert_eq!(read(data.path()).unwrap(), None);
    }
}
