use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use event_log::{
    AppendError, EventLog, Head, Labels, LogIndex, NewRecord, RawBlock, ReadError, Stats,
    check_limits,
};
use parking_lot::{Mutex, RwLock};
use types::Position;

use crate::commit::{Commit, Edge};
use crate::directory::count_files;
use crate::head_file::{HeadFile, RememberedHead};
use crate::open::{self, OpenError, SledLogOptions};
use crate::sled_tree::SledTree;

/// Bytes read through sled after which its handle is reopened, which gives its cache back.
pub(crate) const READ_BYTES_BEFORE_REOPEN: u64 = 256 * 1024 * 1024;

/// The event log on sled, open and locked against other processes.
pub struct SledLog {
    // Fields are dropped in this order: sled, the head file with its last sync, then the lock.
    tree: RwLock<Option<SledTree>>,
    writer: Mutex<WriterState>,
    head: RwLock<Head>,
    index: LogIndex,
    blocks: AtomicU64,
    read_bytes: AtomicU64,
    log: PathBuf,
    head_file: HeadFile,
    _lock: File,
}

struct WriterState {
    edge: Edge,
    /// Our own handle of sled's file, for the sync that sled does not do.
    log_file: File,
    /// After a failed write nothing more is written.
    poisoned: bool,
}

/// What opening has found out.
pub(crate) struct Opened {
    pub(crate) tree: SledTree,
    pub(crate) edge: Edge,
    pub(crate) index: LogIndex,
    pub(crate) blocks: u64,
}

impl Opened {
    pub(crate) fn head(&self) -> Head {
        self.edge.head()
    }
}

impl SledLog {
    /// Opens the log in a data directory, and makes one where there is none.
    pub fn open(data: &Path, options: &SledLogOptions) -> Result<Self, OpenError> {
        open::open(data, options)
    }

    pub(crate) fn from_parts(
        log: PathBuf,
        opened: Opened,
        log_file: File,
        head_file: HeadFile,
        lock: File,
    ) -> Self {
        let head = opened.head();
        Self {
            tree: RwLock::new(Some(opened.tree)),
            writer: Mutex::new(WriterState {
                edge: opened.edge,
                log_file,
                poisoned: false,
            }),
            head: RwLock::new(head),
            index: opened.index,
            blocks: AtomicU64::new(opened.blocks),
            read_bytes: AtomicU64::new(0),
            log,
            head_file,
            _lock: lock,
        }
    }

    /// Lets go of sled's files, has them replaced, and ends; the lock is held all the while.
    pub(crate) fn replace_files(
        self,
        replace: impl FnOnce() -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        drop(self.tree.write().take());
        replace()
    }

    /// Appends records as another store has them, from the next position on. `labels_of` says by what a
    /// record with some metadata is found.
    pub fn append_stored(
        &self,
        group: &[Vec<u8>],
        labels_of: fn(&[u8]) -> Labels,
    ) -> Result<Head, AppendError> {
        self.append_with(group.is_empty(), |edge| {
            Commit::of_stored(group, edge, labels_of).map_err(|error| error.to_string())
        })
    }

    fn append_with(
        &self,
        nothing: bool,
        commit: impl FnOnce(Edge) -> Result<Commit, String>,
    ) -> Result<Head, AppendError> {
        let mut writer = self.writer.lock();
        if writer.poisoned {
            return Err(AppendError::Poisoned);
        }
        if nothing {
            return Ok(self.head());
        }
        commit(writer.edge.clone())
            .and_then(|commit| self.commit(&mut writer, commit))
            .map_err(|error| {
                writer.poisoned = true;
                AppendError::Write(error)
            })
    }

    fn commit(&self, writer: &mut WriterState, commit: Commit) -> Result<Head, String> {
        self.with_tree(|tree| tree.write(commit.batch))?;
        // sled's flush ends in sync_file_range, which a power cut does not respect.
        writer
            .log_file
            .sync_data()
            .map_err(|error| format!("fdatasync: {error}"))?;
        let log_bytes = writer
            .log_file
            .metadata()
            .map_err(|error| error.to_string())?
            .len();
        let head = commit.edge.head();
        self.head_file
            .write(RememberedHead { head, log_bytes })
            .map_err(|error| format!("the head file: {error}"))?;
        for index in &commit.indexes {
            self.index
                .extend(index)
                .map_err(|error| error.to_string())?;
        }
        self.blocks.fetch_add(commit.blocks, Ordering::Relaxed);
        writer.edge = commit.edge;
        *self.head.write() = head;
        Ok(head)
    }

    fn with_tree<T, E: From<String>>(
        &self,
        run: impl FnOnce(&SledTree) -> Result<T, E>,
    ) -> Result<T, E> {
        match &*self.tree.read() {
            Some(tree) => run(tree),
            None => Err("the store could not be reopened".to_owned().into()),
        }
    }

    fn reopen(&self) -> Result<(), String> {
        let mut tree = self.tree.write();
        // sled lets go of its files only when its last handle is gone.
        drop(tree.take());
        *tree = Some(SledTree::open(&self.log)?);
        self.read_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }
}

impl EventLog for SledLog {
    fn append(&self, group: &[NewRecord]) -> Result<Head, AppendError> {
        check_limits(group)?;
        self.append_with(group.is_empty(), |edge| Ok(Commit::of(group, edge)))
    }

    fn head(&self) -> Head {
        *self.head.read()
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError> {
        let head = self.head();
        if from > head.position || from == Position::START {
            return Ok(Vec::new());
        }
        if self.read_bytes.load(Ordering::Relaxed) > READ_BYTES_BEFORE_REOPEN {
            self.release_memory()?;
        }
        let tree = self.tree.read();
        let tree = tree
            .as_ref()
            .ok_or_else(|| ReadError::Io("the store could not be reopened".to_owned()))?;
        let blocks = read_blocks(tree, from, head.position, bytes_max)?;
        let bytes: usize = blocks.iter().map(|block| block.as_bytes().len()).sum();
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(blocks)
    }

    fn index(&self) -> &LogIndex {
        &self.index
    }

    fn stats(&self) -> Result<Stats, ReadError> {
        let io = |error: std::io::Error| ReadError::Io(error.to_string());
        Ok(Stats {
            events: self.head().position.0,
            blocks: self.blocks.load(Ordering::Relaxed),
            disk_bytes: self
                .with_tree(SledTree::size_on_disk)
                .map_err(ReadError::Io)?,
            blobs: count_files(&self.log.join("blobs")).map_err(io)?,
        })
    }

    fn release_memory(&self) -> Result<(), ReadError> {
        // Between commits only: the writer's lock keeps them away.
        let _writer = self.writer.lock();
        self.reopen().map_err(ReadError::Io)
    }

    fn close(&self) -> Result<(), ReadError> {
        // Waits for a commit that is under way; later ones are refused.
        self.writer.lock().poisoned = true;
        self.head_file
            .sync()
            .map_err(|error| ReadError::Io(format!("the head file: {error}")))
    }
}

/// Blocks from the one that holds `from`, each continuing the tree of the one before.
pub(crate) fn read_blocks(
    tree: &SledTree,
    from: Position,
    head: Position,
    bytes_max: usize,
) -> Result<Vec<RawBlock>, ReadError> {
    let mut blocks: Vec<RawBlock> = Vec::new();
    let mut bytes = 0;
    let mut next = from;
    while next <= head && (blocks.is_empty() || bytes < bytes_max) {
        let block = match blocks.last() {
            None => tree.block_with(next)?.ok_or_else(|| missing(next))?,
            Some(_) => tree.block(next)?,
        };
        let header = block.header();
        if header.last() < next {
            return Err(missing(next));
        }
        if let Some(before) = blocks.last()
            && header.root_before != before.header().root_after
        {
            let what = "the tree does not go on where it ended";
            return Err(ReadError::damaged(next, what));
        }
        next = header.last().next();
        bytes += block.as_bytes().len();
        blocks.push(block);
    }
    Ok(blocks)
}

fn missing(position: Position) -> ReadError {
    ReadError::damaged(
        position,
        "the block that should hold this position is missing",
    )
}
