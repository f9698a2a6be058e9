//! A copy of the store, opened in the place of the only one, and read like a log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use event_log::{AppendError, EventLog, Head, LogIndex, NewRecord, RawBlock, ReadError, Stats};
use parking_lot::RwLock;
use types::Position;

use crate::directory::{copy, move_aside, remove_if_there, snapshots, sync_directory};
use crate::open::{OpenError, open_log};
use crate::sled_tree::SledTree;
use crate::store::{Opened, READ_BYTES_BEFORE_REOPEN, read_blocks};

/// The copy of a store, to be read and then thrown away.
pub(crate) struct Trial {
    tree: RwLock<Option<SledTree>>,
    directory: PathBuf,
    head: Head,
    index: LogIndex,
    blocks: u64,
    read_bytes: AtomicU64,
}

/// Copies the store and lets `judge` say what the copy is worth. A snapshot of sled's that is bad
/// is moved aside, because sled rebuilds it; nothing else is changed.
pub(crate) fn judge_copy<T>(
    data: &Path,
    log: &Path,
    judge: impl Fn(Opened) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    if !log.join("db").exists() {
        return Err(OpenError::Damaged {
            position: Position(1),
            last_good: Position::START,
            what: "sled's file is missing".to_owned(),
        });
    }
    let directory = data.join("log.check");
    let judged = match open_copy(log, &directory, Snapshots::Kept).and_then(&judge) {
        Err(first @ (OpenError::Damaged { .. } | OpenError::Behind { .. })) => {
            let without = open_copy(log, &directory, Snapshots::Removed).and_then(&judge);
            if without.is_ok() {
                move_snapshots_aside(data, log)?;
            }
            without.map_err(|_| first)
        }
        judged => judged,
    };
    remove_if_there(&directory).map_err(OpenError::io("the trial copy cannot be removed"))?;
    judged
}

fn move_snapshots_aside(data: &Path, log: &Path) -> Result<(), OpenError> {
    for snapshot in snapshots(log).map_err(OpenError::io("the log directory"))? {
        let moved = move_aside(data, &snapshot);
        let moved = moved.map_err(OpenError::io("a snapshot cannot be moved"))?;
        tracing::warn!(to = %moved.display(), "a damaged snapshot of sled's is moved aside");
    }
    sync_directory(log).map_err(OpenError::io("the log directory"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Snapshots {
    Kept,
    Removed,
}

pub(crate) fn open_copy(
    log: &Path,
    directory: &Path,
    kept: Snapshots,
) -> Result<Opened, OpenError> {
    let io = || OpenError::io("the log cannot be copied for a trial");
    remove_if_there(directory).map_err(io())?;
    copy(log, directory).map_err(io())?;
    if kept == Snapshots::Removed {
        for snapshot in snapshots(directory).map_err(io())? {
            std::fs::remove_file(snapshot).map_err(io())?;
        }
    }
    open_log(directory)
}

impl Trial {
    pub(crate) fn of(opened: Opened, directory: &Path) -> Self {
        Self {
            head: opened.head(),
            tree: RwLock::new(Some(opened.tree)),
            directory: directory.to_owned(),
            index: opened.index,
            blocks: opened.blocks,
            read_bytes: AtomicU64::new(0),
        }
    }
}

impl EventLog for Trial {
    fn append(&self, _: &[NewRecord]) -> Result<Head, AppendError> {
        Err(AppendError::Write("a copy is only read".to_owned()))
    }

    fn head(&self) -> Head {
        self.head
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError> {
        if self.read_bytes.load(Ordering::Relaxed) > READ_BYTES_BEFORE_REOPEN {
            self.release_memory()?;
        }
        let tree = self.tree.read();
        let tree = tree
            .as_ref()
            .ok_or_else(|| ReadError::Io("the copy could not be reopened".to_owned()))?;
        let blocks = read_blocks(tree, from, self.head.position, bytes_max)?;
        let bytes: usize = blocks.iter().map(|block| block.as_bytes().len()).sum();
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(blocks)
    }

    fn index(&self) -> &LogIndex {
        &self.index
    }

    fn stats(&self) -> Result<Stats, ReadError> {
        Ok(Stats {
            events: self.head.position.0,
            blocks: self.blocks,
            ..Stats::default()
        })
    }

    fn release_memory(&self) -> Result<(), ReadError> {
        let mut tree = self.tree.write();
        drop(tree.take());
        *tree = Some(SledTree::open(&self.directory).map_err(ReadError::Io)?);
        self.read_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }
}
