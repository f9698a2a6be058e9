//! Opening, which must never make damage worse: sled takes a bad checksum for the end of its log
//! and overwrites the rest, so a store is tried on a copy first.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use event_log::{BlockIndex, Frontier, Hash, LogIndex, ReadError, leaf_hash};
use types::Position;

use crate::commit::{Edge, SETTINGS};
use crate::directory::{count_files, create_synced, move_aside, remove_if_there, sync_directory};
use crate::head_file::{self, HeadFile, RememberedHead};
use crate::keys;
use crate::sled_tree::{SEGMENT_BYTES, SledTree};
use crate::store::{Opened, SledLog};
use crate::survey::survey;
use crate::trial::judge_copy;

/// How much of the index is read at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// Nothing to choose yet: what could be chosen would change the format.
#[derive(Clone, Debug, Default)]
pub struct SledLogOptions {}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data directory is in use by process {0}")]
    InUse(String),
    #[error(
        "the store was made with other settings: it has `{found}`, this version needs `{SETTINGS}`"
    )]
    Settings { found: String },
    #[error(
        "the log ends at position {found}, but position {remembered} was acknowledged: the newest \
         events are missing. No record was changed. `muster log doctor` says what can be done"
    )]
    Behind {
        found: Position,
        remembered: Position,
    },
    #[error(
        "at position {position} the log has another root than the one that was acknowledged. \
         No record was changed. `muster log doctor` says what can be done"
    )]
    OtherRoot { position: Position },
    #[error(
        "the head file is missing or unreadable although the log holds events. No record was changed. `muster log doctor` says what can be done"
    )]
    NoHead,
    #[error(
        "the log is damaged at position {position} (the last good one is {last_good}): {what}. \
         No record was changed. `muster log doctor` says what can be done"
    )]
    Damaged {
        position: Position,
        last_good: Position,
        what: String,
    },
    #[error("sled keeps {0} files beside its log, which it never syncs")]
    Blobs(u64),
    #[error("{context}: {error}")]
    Io { context: String, error: io::Error },
}

impl OpenError {
    pub(crate) fn io(context: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            context: context.to_owned(),
            error,
        }
    }
}

pub(crate) fn log_directory(data: &Path) -> PathBuf {
    data.join("log")
}

pub(crate) fn open(data: &Path, _: &SledLogOptions) -> Result<SledLog, OpenError> {
    create_synced(data).map_err(OpenError::io("the data directory cannot be made"))?;
    let lock = lock(data)?;
    finish_compaction(data).map_err(OpenError::io("an interrupted compaction"))?;
    let log = log_directory(data);
    let remembered = remembered(data)?;
    match remembered {
        Some(remembered) if looks_whole(&log, remembered)? => {}
        Some(remembered) => judge_copy(data, &log, |opened| compare(&opened, remembered))?,
        // Only a creation that says so itself may be begun anew; a head file that is merely missing
        // was lost.
        None if log.exists() && !creating(data).exists() => return Err(OpenError::NoHead),
        None if log.exists() => match judge_copy(data, &log, |opened| refuse_events(&opened)) {
            Ok(())
            | Err(OpenError::Damaged {
                last_good: Position::START,
                ..
            }) => {
                let moved = move_aside(data, &log);
                let moved = moved.map_err(OpenError::io("an unfinished log cannot be moved"))?;
                tracing::warn!(to = %moved.display(), "a log that was never finished is moved aside");
                create(data, &log)?;
            }
            Err(error) => return Err(error),
        },
        None => create(data, &log)?,
    }
    finish_creation(data).map_err(OpenError::io("the mark of a creation cannot be removed"))?;
    let opened = open_log(&log)?;
    if let Some(remembered) = remembered {
        compare(&opened, remembered)?;
    }
    let log_file =
        File::open(log.join("db")).map_err(OpenError::io("sled's file cannot be opened"))?;
    // What recovery wrote is on disk before anything is built on it.
    log_file
        .sync_all()
        .map_err(OpenError::io("sled's file cannot be synced"))?;
    let log_bytes = log_file.metadata().map(|it| it.len());
    let log_bytes = log_bytes.map_err(OpenError::io("sled's file"))?;
    let head_file =
        HeadFile::open(data).map_err(OpenError::io("the head file cannot be opened"))?;
    let head = opened.head();
    if remembered.is_some_and(|remembered| remembered.head != head) {
        // After a power cut the head file may be behind. What is about to be shown must be
        // remembered, or its loss would go unnoticed.
        head_file
            .write(RememberedHead { head, log_bytes })
            .and_then(|()| head_file.sync())
            .map_err(OpenError::io("the head file cannot be written"))?;
    }
    Ok(SledLog::from_parts(log, opened, log_file, head_file, lock))
}

/// Holds the data directory until the file is dropped.
pub(crate) fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(OpenError::io("the lock file cannot be opened"))?;
    match file.try_lock() {
        Ok(()) => {
            let written = file
                .set_len(0)
                .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
            written.map_err(OpenError::io("the lock file cannot be written"))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = Vec::new();
            // Only for the message: whoever it is, the directory is in use.
            let _ = file.read_to_end(&mut holder);
            let holder = String::from_utf8_lossy(&holder).trim().to_owned();
            Err(OpenError::InUse(if holder.is_empty() {
                "unknown".to_owned()
            } else {
                holder
            }))
        }
        Err(TryLockError::Error(error)) => Err(OpenError::io("the lock cannot be taken")(error)),
    }
}

/// The remembered head. Where the file is there but cannot be trusted, the log is not opened.
fn remembered(data: &Path) -> Result<Option<RememberedHead>, OpenError> {
    match head_file::read(data) {
        Ok(Some(remembered)) => Ok(Some(remembered)),
        Ok(None) => Err(OpenError::NoHead),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io("the head file cannot be read")(error)),
    }
}

/// There while a log is being made: begun before its first file, removed after the head file.
fn creating(data: &Path) -> PathBuf {
    data.join("creating")
}

/// Makes an empty log. Every step is on disk before the next, and the head file is the last.
fn create(data: &Path, log: &Path) -> Result<(), OpenError> {
    let make = || -> Result<u64, String> {
        File::create(creating(data))
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_directory(data))
            .map_err(|error| error.to_string())?;
        let tree = SledTree::open(log)?;
        let mut batch = sled::Batch::default();
        batch.insert(keys::SETTINGS, SETTINGS);
        tree.write(batch)?;
        drop(tree);
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        for entry in fs::read_dir(log).map_err(|error| error.to_string())? {
            let path = entry.map_err(|error| error.to_string())?.path();
            sync(&path).map_err(|error| error.to_string())?;
        }
        sync(log)
            .and_then(|()| sync(data))
            .map_err(|error| error.to_string())?;
        fs::metadata(log.join("db"))
            .map(|it| it.len())
            .map_err(|error| error.to_string())
    };
    let log_bytes =
        make().map_err(|what| OpenError::io("the log cannot be made")(io::Error::other(what)))?;
    let frontier = Frontier::default();
    let head = event_log::Head {
        position: Position::START,
        root: frontier.root(),
    };
    head_file::create(data, RememberedHead { head, log_bytes })
        .map_err(OpenError::io("the head file cannot be made"))
}

/// Removes the mark of a creation that came to its end.
fn finish_creation(data: &Path) -> io::Result<()> {
    match fs::remove_file(creating(data)) {
        // Synced before anything is acknowledged: a power cut must not bring the mark back.
        Ok(()) => sync_directory(data),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether sled's files show nothing that sled itself does not leave there, so that sled's open will
/// not overwrite what it does not understand.
fn looks_whole(log: &Path, remembered: RememberedHead) -> Result<bool, OpenError> {
    let segment = SEGMENT_BYTES as u64;
    let survey = match survey(log, segment, remembered.log_bytes) {
        Ok(survey) => survey,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(OpenError::io("the log cannot be read")(error)),
    };
    for finding in &survey.findings {
        let (file, offset) = (finding.file.display(), finding.offset);
        tracing::warn!(%file, offset, "{} The log is tried on a copy first.", finding.what);
    }
    Ok(survey.is_clean())
}

/// What a creation left behind holds no events.
fn refuse_events(opened: &Opened) -> Result<(), OpenError> {
    if opened.head().position > Position::START {
        return Err(OpenError::NoHead);
    }
    Ok(())
}

/// The log must reach at least as far as what was acknowledged, and have the same root there.
pub(crate) fn compare(opened: &Opened, remembered: RememberedHead) -> Result<(), OpenError> {
    let found = opened.head().position;
    let position = remembered.head.position;
    if found < position {
        return Err(OpenError::Behind {
            found,
            remembered: position,
        });
    }
    let root = if position == found {
        opened.head().root
    } else {
        // Not from a block's header: after a compaction the position may lie within a block.
        read_edge(&opened.tree, position)?.frontier.root()
    };
    if root == remembered.head.root {
        Ok(())
    } else {
        Err(OpenError::OtherRoot { position })
    }
}

fn damaged(last_good: Position) -> impl FnOnce(ReadError) -> OpenError {
    move |error| match error {
        ReadError::Damaged { position, what } => OpenError::Damaged {
            position,
            last_good,
            what,
        },
        ReadError::Io(what) => OpenError::Damaged {
            position: last_good.next(),
            last_good,
            what,
        },
    }
}

/// Opens sled and reads what it takes to go on: the index, and the right edge of the tree.
pub(crate) fn open_log(log: &Path) -> Result<Opened, OpenError> {
    let unreadable = |what: String| OpenError::Damaged {
        position: Position(1),
        last_good: Position::START,
        what,
    };
    let tree = SledTree::open(log).map_err(unreadable)?;
    let blobs = count_files(&log.join("blobs")).map_err(OpenError::io("sled's blobs"))?;
    if blobs > 0 {
        return Err(OpenError::Blobs(blobs));
    }
    let settings = tree.get(keys::SETTINGS).map_err(unreadable)?;
    let settings = settings.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match settings {
        None => return Err(unreadable("the store's settings are missing".to_owned())),
        Some(found) if found != SETTINGS => return Err(OpenError::Settings { found }),
        Some(_) => {}
    }
    let (index, blocks, end) = read_index(&tree)?;
    let edge = read_edge(&tree, end)?;
    Ok(Opened {
        tree,
        edge,
        index,
        blocks,
    })
}

fn read_index(tree: &SledTree) -> Result<(LogIndex, u64, Position), OpenError> {
    let index = LogIndex::default();
    let (mut blocks, mut end) = (0, Position::START);
    loop {
        let from = keys::index(end.next());
        let to = keys::index(Position(u64::MAX));
        let piece = tree
            .piece(&from, &to, PIECE_BYTES)
            .map_err(|what| OpenError::Damaged {
                position: end.next(),
                last_good: end,
                what,
            })?;
        if piece.is_empty() {
            break;
        }
        for (key, value) in piece {
            let first = keys::parse_position(&key);
            if first != Some(end.next()) {
                let what = "the index does not go on where it ended".to_owned();
                return Err(OpenError::Damaged {
                    position: end.next(),
                    last_good: end,
                    what,
                });
            }
            let block = BlockIndex::from_bytes(end.next(), value);
            index.extend(&block).map_err(damaged(end))?;
            end = Position(end.0 + block.count().map_err(damaged(end))?);
            blocks += 1;
        }
    }
    // The last block and the end of the index must be the same place.
    let (from, to) = (
        keys::block(Position(0), 0),
        keys::block(Position(u64::MAX), u16::MAX),
    );
    let last = tree
        .last_in(&from, &to)
        .map_err(|what| damaged(end)(ReadError::Io(what)))?;
    let last = match last.and_then(|(key, _)| keys::parse_block(&key)) {
        Some((first, _)) => tree.block(first).map_err(damaged(end))?.header().last(),
        None => Position::START,
    };
    if last != end {
        let what = format!("the last block ends at {last} and the index at {end}");
        let position = last.min(end).next();
        return Err(OpenError::Damaged {
            position,
            last_good: last.min(end),
            what,
        });
    }
    Ok((index, blocks, end))
}

/// The right edge of the tree after a position: what was noted before it, and the records since
/// then hashed again.
fn read_edge(tree: &SledTree, end: Position) -> Result<Edge, OpenError> {
    let (from, to) = (keys::frontier(Position(0)), keys::frontier(end));
    let noted = tree
        .last_in(&from, &to)
        .map_err(|what| damaged(end)(ReadError::Io(what)))?;
    let mut edge = Edge::default();
    if let Some((key, value)) = noted {
        let roots = value
            .chunks_exact(32)
            .filter_map(|root| root.try_into().ok().map(Hash));
        let size = keys::parse_position(&key).unwrap_or_default().0;
        edge.frontier = Frontier::from_parts(size, roots.collect()).ok_or_else(|| {
            let what = "the noted edge of the tree does not fit its size".to_owned();
            OpenError::Damaged {
                position: Position(size),
                last_good: Position::START,
                what,
            }
        })?;
    }
    let not_continued = |position: Position, last_good: Position| OpenError::Damaged {
        position,
        last_good,
        what: "the block does not continue the tree".to_owned(),
    };
    let noted = Position(edge.frontier.size());
    if noted > Position::START {
        // The note was made at the end of a block, which has the root as well.
        let raw = tree.block_with(noted).map_err(damaged(Position::START))?;
        let agrees = raw.is_some_and(|raw| {
            raw.header().last() == noted && raw.header().root_after == edge.frontier.root()
        });
        if !agrees {
            return Err(not_continued(noted, Position::START));
        }
    }
    while edge.frontier.size() < end.0 {
        let last_good = Position(edge.frontier.size());
        let raw = tree.block(last_good.next()).map_err(damaged(last_good))?;
        let header = *raw.header();
        let block = raw.decode().map_err(damaged(last_good))?;
        let before = edge.frontier.root();
        for bytes in block.record_bytes() {
            if edge.frontier.size() < end.0 {
                edge.frontier.append(leaf_hash(bytes));
            }
        }
        let whole = header.last() <= end;
        if header.root_before != before || whole && header.root_after != edge.frontier.root() {
            return Err(not_continued(header.first, last_good));
        }
        edge.blocks_since_noted += 1;
    }
    Ok(edge)
}

/// A compaction that was cut off is finished or forgotten; either way the log is whole.
///
/// ```text
/// log                      nothing was replaced yet; what is beside it goes
/// log.old, log.compacted   between the two renames: the second is done now
/// log.old                  only if somebody removed the other: the old log is put back
/// log, log.old             done: the old log goes
/// ```
fn finish_compaction(data: &Path) -> io::Result<()> {
    let (log, old) = (log_directory(data), data.join("log.old"));
    let compacted = data.join("log.compacted");
    if !log.exists() {
        let whole = [&compacted, &old].into_iter().find(|path| path.exists());
        let Some(whole) = whole else { return Ok(()) };
        fs::rename(whole, &log)?;
        sync_directory(data)?;
    }
    remove_if_there(&compacted)?;
    remove_if_there(&data.join("log.compact"))?;
    remove_if_there(&old)
}
