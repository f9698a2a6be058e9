//! The state as of a position, in a file: a start then folds only what followed.
//!
//! A snapshot is only a cache. One that cannot be used, for whatever reason, is passed over, and the
//! log, which has it all, is folded from further back.

mod chunks;
mod file;
mod retention;

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_log::{EventLog, Head};
use parking_lot::Mutex;
use types::Position;

pub use self::chunks::{Checksum, ChunkCipher, ChunkPlace};
pub use self::file::SnapshotError;
use self::file::{Header, read, read_header, write};
use self::retention::to_remove;
use crate::event_store::EventStore;
use crate::replay::{Rebuilt, ReplayError, Until, replay_on};

const ENDING: &str = "snapshot";
/// What is not a snapshot yet.
const UNFINISHED: &str = "unfinished";

/// The snapshots of a data directory.
pub struct Snapshots {
    directory: PathBuf,
    cipher: Arc<dyn ChunkCipher>,
    /// How often all snapshots were forgotten; held while files come and go.
    forgotten: Mutex<u64>,
}

/// The right to write a snapshot, which ends when all are forgotten: to be asked for before the state
/// is built, for what is to be forgotten may be in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    forgotten: u64,
    epoch: u32,
}

/// A snapshot that was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub position: Position,
    pub bytes: u64,
    pub took: Duration,
}

impl Snapshots {
    /// Makes the directory where there is none.
    pub fn open(directory: PathBuf, cipher: Arc<dyn ChunkCipher>) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        for path in files(&directory, UNFINISHED)? {
            fs::remove_file(path)?;
        }
        Ok(Self {
            directory,
            cipher,
            forgotten: Mutex::default(),
        })
    }

    /// The positions of all that are there, ascending, good or not.
    pub fn positions(&self) -> io::Result<Vec<Position>> {
        positions(&self.directory)
    }

    /// The state at the position or time, from the nearest snapshot before it that can be used, and the
    /// events that follow. `progress` hears of every piece of the log, and may end it early.
    pub fn rebuild(
        &self,
        store: &EventStore,
        until: Until,
        progress: &mut dyn FnMut(Position) -> ControlFlow<()>,
    ) -> Result<Rebuilt, ReplayError> {
        let nearest = self.nearest(&store.log, until).unwrap_or_default();
        replay_on(store, nearest, until, progress)
    }

    /// The state as the newest snapshot holds it that is not past the place and can be used.
    pub(crate) fn nearest(&self, log: &Arc<dyn EventLog>, until: Until) -> Option<Rebuilt> {
        let positions = self.positions().unwrap_or_else(|error| {
            tracing::warn!(%error, "the directory of snapshots cannot be read");
            Vec::new()
        });
        positions.into_iter().rev().find_map(|position| {
            let path = self.path(position, ENDING);
            match self.usable(log, &path, until) {
                Ok(rebuilt) => rebuilt,
                Err(error) => {
                    let snapshot = path.display();
                    tracing::warn!(%snapshot, %error, "a snapshot cannot be used and is passed over");
                    None
                }
            }
        })
    }

    /// Nothing if the snapshot is past the place.
    fn usable(
        &self,
        log: &Arc<dyn EventLog>,
        path: &Path,
        until: Until,
    ) -> Result<Option<Rebuilt>, SnapshotError> {
        let header = read_header(path)?;
        let is_past = match until {
            Until::Head => false,
            Until::Position(position) => header.position > position,
            Until::Time(time) => header.recorded_at > time,
        };
        if is_past {
            return Ok(None);
        }
        let head = head_at(log, header.position)?;
        if head.root.0 != header.root {
            return Err(SnapshotError::OtherLog);
        }
        read(path, &*self.cipher).map(Some)
    }

    /// To be asked for before the state is built that is to be written.
    pub fn turn(&self) -> Turn {
        let forgotten = *self.forgotten.lock();
        let epoch = self.cipher.epoch();
        Turn { forgotten, epoch }
    }

    /// Writes the state, which nobody may change meanwhile, and removes what is not to be kept beside
    /// it. Nothing if nobody wants it any more, or all snapshots were forgotten since the turn began.
    pub fn write(
        &self,
        turn: Turn,
        log: &Arc<dyn EventLog>,
        rebuilt: &Rebuilt,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<Written>, SnapshotError> {
        let began = Instant::now();
        let position = rebuilt.read_models.checkpoint();
        let head = head_at(log, position)?;
        let header = Header::of(rebuilt, head);
        let (unfinished, path) = (self.path(position, UNFINISHED), self.path(position, ENDING));
        let label = header.label(turn.epoch);
        let written = write(
            &unfinished,
            &header,
            label,
            rebuilt,
            &*self.cipher,
            still_wanted,
        );
        let forgotten = self.forgotten.lock();
        let bytes = match written {
            Ok(Some(bytes)) if *forgotten == turn.forgotten => bytes,
            Ok(_) => {
                fs::remove_file(&unfinished)?;
                return Ok(None);
            }
            Err(error) => {
                // What is left of it is removed at the next start.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        fs::rename(&unfinished, &path)?;
        File::open(&self.directory)?.sync_all()?;
        for position in to_remove(&positions(&self.directory)?) {
            fs::remove_file(self.path(position, ENDING))?;
        }
        drop(forgotten);
        Ok(Some(Written {
            position,
            bytes,
            took: began.elapsed(),
        }))
    }

    /// Deletes every snapshot, those that are being written too.
    pub fn forget_all(&self) -> io::Result<()> {
        let mut forgotten = self.forgotten.lock();
        *forgotten += 1;
        for path in files(&self.directory, ENDING)? {
            fs::remove_file(path)?;
        }
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, position: Position, ending: &str) -> PathBuf {
        self.directory.join(format!("{:020}.{ending}", position.0))
    }
}

/// The size and root of the log as it was at the position, where a block ends there.
fn head_at(log: &Arc<dyn EventLog>, position: Position) -> Result<Head, SnapshotError> {
    if position == log.head().position {
        return Ok(log.head());
    }
    if position > log.head().position {
        return Err(SnapshotError::PastTheHead(position));
    }
    let blocks = log.read(position, 1)?;
    let block = blocks.first().map(|block| *block.header());
    let block = block.filter(|block| block.last() == position);
    let block = block.ok_or(SnapshotError::NoBlockEnds(position))?;
    Ok(Head {
        position,
        root: block.root_after,
    })
}

fn files(directory: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == ending) {
            files.push(path);
        }
    }
    Ok(files)
}

fn positions(directory: &Path) -> io::Result<Vec<Position>> {
    let files = files(directory, ENDING)?;
    let position = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok().map(Position);
    let mut positions: Vec<Position> = files.iter().filter_map(position).collect();
    positions.sort_unstable();
    Ok(positions)
}
