use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use event_log::{EventLog, ReadError, Scan, leaf_hash};
use parking_lot::{Mutex, MutexGuard};
use proofs::{
    Checkpoint, ConsistencyProof, Frontier, InclusionProof, InvalidNote, Tile, TreeHead,
    TrustedKey, VerifierKey, verify_inclusion,
};
use types::Position;

use crate::anchors::{Anchor, AnchorError, checkpoint_in, compare};
use crate::files::{Readable, read, replace};
use crate::keys::{KeyError, Keys};
use crate::tree::{Tree, TreeError};

const CHECKPOINT: &str = "checkpoint";

/// What an operator chooses.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub data_dir: PathBuf,
    /// Where the signing key is; in the data directory, and made there, unless given.
    pub key: Option<PathBuf>,
    /// What the log is called; made up at the first start unless given.
    pub origin: Option<String>,
    /// Files elsewhere that get every checkpoint and are compared at a start.
    pub anchors: Vec<PathBuf>,
}

/// The log as it can be checked from outside.
pub struct TransparencyLog {
    pub(crate) log: Arc<dyn EventLog>,
    keys: Keys,
    directory: PathBuf,
    tree: Mutex<Tree>,
    published: Mutex<Published>,
    pub(crate) anchors: Vec<Arc<Anchor>>,
    /// The tiles are to be made again.
    rebuild: AtomicBool,
    pub(crate) counts: Counts,
    /// Anchors have threads of their own.
    pub(crate) is_running: AtomicBool,
}

struct Published {
    head: TreeHead,
    note: String,
}

#[derive(Default)]
pub(crate) struct Counts {
    published: AtomicU64,
    pub(crate) scrubbed: AtomicU64,
    pub(crate) scrubs: AtomicU64,
    pub(crate) damage: AtomicU64,
    rebuilt: AtomicU64,
}

/// For whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Records that the newest checkpoint covers.
    pub checkpoint: u64,
    /// Up to where the scrubber has read this time.
    pub scrubbed: u64,
    /// How often it has read everything.
    pub scrubs: u64,
    /// The position of the first damaged record that it found; 0 if it found none.
    pub damage: u64,
    /// How often tiles were not as they should be, and were made again.
    pub tiles_rebuilt: u64,
    /// Anchors that could not be written the last time.
    pub anchors_failing: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("the tiles cannot be kept: {0}")]
    Tiles(String),
    #[error("no checkpoint can be signed: {0}")]
    Sign(#[from] InvalidNote),
}

/// What is asked for cannot be proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error("there is no record at position {position}: the log ends at {head}")]
    NoSuchPosition { position: u64, head: u64 },
    #[error("the log has {head} records, not {size}")]
    NoSuchSize { size: u64, head: u64 },
    #[error("a tree of {size} records does not hold position {position}")]
    NotInTree { position: u64, size: u64 },
    #[error("a log of {from} records is not the beginning of one of {to}")]
    Backwards { from: u64, to: u64 },
    #[error("the tiles are being made again")]
    Rebuilding,
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("the proof cannot be made: {0}")]
    Failed(String),
}

impl From<TreeError> for OpenError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Log(error) => Self::Log(error),
            TreeError::Io(_) | TreeError::Tiles(_) => Self::Tiles(error.to_string()),
        }
    }
}

impl TransparencyLog {
    /// Reads the keys, brings the tiles up to the head of the log, and compares the log with the anchors.
    ///
    /// # Errors
    /// If an anchor says something else than the log, keys are missing, or the log cannot be read.
    pub fn open(log: Arc<dyn EventLog>, options: &Options) -> Result<Self, OpenError> {
        let data = &options.data_dir;
        let keys = Keys::open(data, options.key.as_deref(), options.origin.as_deref())?;
        let directory = data.join("tiles");
        let counts = Counts::default();
        let mut tree = open_tree(&*log, &directory, &counts)?;
        let trusted = keys.history().all();
        let found = checkpoints(options, &trusted)?;
        let size = tree.head().size;
        for (path, checkpoint) in &found {
            compare(path, checkpoint, size, |size| {
                head_at(&mut tree, &*log, &directory, size, &counts)
            })?;
        }
        let anchors = options
            .anchors
            .iter()
            .map(|path| Arc::new(Anchor::at(path)));
        let origin = keys.signer().verifier().name().to_owned();
        let checkpoint = Checkpoint {
            origin,
            head: tree.head(),
        };
        let published = Published {
            head: checkpoint.head,
            note: checkpoint.sign(keys.signer())?,
        };
        let opened = Self {
            log,
            keys,
            directory,
            tree: Mutex::new(tree),
            published: Mutex::new(published),
            anchors: anchors.collect(),
            rebuild: AtomicBool::new(false),
            counts,
            is_running: AtomicBool::new(false),
        };
        opened.write_out(&opened.published.lock(), &mut opened.tree.lock());
        Ok(opened)
    }

    /// Whether the keys that are there can be read. Changes nothing, and needs no log: opening one that was
    /// not closed well writes to it, which nobody should do who is then to refuse it.
    pub fn check_keys(options: &Options) -> Result<(), OpenError> {
        Ok(Keys::check(&options.data_dir, options.key.as_deref())?)
    }

    /// Compares the log with the anchors and with what was published from here, and changes nothing. Where
    /// there are no keys yet there is nothing to compare.
    pub fn compare(log: &Arc<dyn EventLog>, options: &Options) -> Result<(), OpenError> {
        let data = &options.data_dir;
        let Some(keys) = Keys::existing(data, options.key.as_deref())? else {
            return Ok(());
        };
        let found = checkpoints(options, &keys.history().all())?;
        if found.is_empty() {
            return Ok(());
        }
        // From the records and nothing else: the tiles are not to be trusted here.
        let sizes: Vec<u64> = found.iter().map(|it| it.1.head.size).collect();
        let heads = heads_at(&**log, &sizes)?;
        let size = log.head().position.0;
        for ((path, checkpoint), head) in found.iter().zip(heads) {
            compare(path, checkpoint, size, |_| Ok::<_, OpenError>(head))?;
        }
        Ok(())
    }

    /// The directory with the tiles and the newest checkpoint.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The signed checkpoint of the head that the log has now. A new one is also written to where it is
    /// published, and to the anchors.
    pub fn checkpoint(&self) -> Result<String, ProveError> {
        let mut published = self.published.lock();
        let mut tree = self.caught_up()?;
        let head = tree.head();
        if published.head != head {
            published.note = self.sign(head)?;
            published.head = head;
            self.write_out(&published, &mut tree);
        }
        Ok(published.note.clone())
    }

    /// The proof that the record at this position is in the log, in the tree of the first `size` records
    /// or of all.
    pub fn inclusion(
        &self,
        position: Position,
        size: Option<u64>,
    ) -> Result<InclusionProof, ProveError> {
        let head = self.log.head().position.0;
        let size = size.unwrap_or(head);
        let position = position.0;
        if position == 0 || position > head {
            return Err(ProveError::NoSuchPosition { position, head });
        }
        if size > head {
            return Err(ProveError::NoSuchSize { size, head });
        }
        if position > size {
            return Err(ProveError::NotInTree { position, size });
        }
        let leaf = leaf_hash(&self.record(Position(position))?);
        let index = position - 1;
        let mut tree = self.caught_up()?;
        let made = tree.head_at(size).and_then(|tree_head| {
            let hashes = tree.inclusion(index, size)?;
            verify_inclusion(leaf, index, &tree_head, &hashes)
                .map_err(|error| TreeError::Tiles(error.to_string()))?;
            Ok((tree_head, hashes))
        });
        drop(tree);
        let (tree_head, hashes) = made.map_err(|error| self.fail(error))?;
        Ok(InclusionProof {
            index,
            hashes,
            checkpoint: self.sign(tree_head)?,
        })
    }

    /// The proof that the log of `to` records goes on from that of `from`, or the whole log does.
    pub fn consistency(&self, from: u64, to: Option<u64>) -> Result<ConsistencyProof, ProveError> {
        let head = self.log.head().position.0;
        let to = to.unwrap_or(head);
        if from > to {
            return Err(ProveError::Backwards { from, to });
        }
        if to > head {
            return Err(ProveError::NoSuchSize { size: to, head });
        }
        let mut tree = self.caught_up()?;
        let made = tree.head_at(to).and_then(|tree_head| {
            let old = tree.head_at(from)?;
            let hashes = tree.consistency(from, to)?;
            proofs::verify_consistency(&old, &tree_head, &hashes)
                .map_err(|error| TreeError::Tiles(error.to_string()))?;
            Ok((tree_head, hashes))
        });
        drop(tree);
        let (tree_head, hashes) = made.map_err(|error| self.fail(error))?;
        Ok(ConsistencyProof {
            from,
            hashes,
            checkpoint: self.sign(tree_head)?,
        })
    }

    /// The bytes of a tile, if the log is large enough to have it.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, ProveError> {
        let hashes = self.caught_up()?.tile(tile);
        let hashes = hashes.map_err(|error| self.fail(error))?;
        Ok(hashes.map(|hashes| Tile::to_bytes(&hashes)))
    }

    /// The bytes of a record, as the tree covers them.
    pub fn record(&self, position: Position) -> Result<Vec<u8>, ProveError> {
        let head = self.log.head().position.0;
        let none = ProveError::NoSuchPosition {
            position: position.0,
            head,
        };
        let blocks = self.log.read(position, 1)?;
        let Some(block) = blocks.first() else {
            return Err(none);
        };
        let block = block.decode()?;
        let place = position.0.checked_sub(block.header().first.0);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let record = place.and_then(|place| block.record_bytes().nth(place));
        record.map(<[u8]>::to_vec).ok_or(none)
    }

    /// Makes the tiles again if something was found to be wrong with them. To be called now and then.
    pub fn mend(&self) -> Result<(), ProveError> {
        if !self.rebuild.load(Ordering::Acquire) {
            return Ok(());
        }
        let empty = Tree::empty(&self.directory).map_err(|error| self.fail(error))?;
        *self.tree.lock() = empty;
        self.counts.rebuilt.fetch_add(1, Ordering::Relaxed);
        self.rebuild.store(false, Ordering::Release);
        let (published, mut tree) = (self.published.lock(), self.caught_up()?);
        self.write_out(&published, &mut tree);
        Ok(())
    }

    /// Has the tiles made again.
    pub(crate) fn distrust_tiles(&self) {
        self.rebuild.store(true, Ordering::Release);
    }

    pub fn status(&self) -> Status {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let failing = self.anchors.iter().filter(|anchor| anchor.is_failing());
        Status {
            checkpoint: read(&self.counts.published),
            scrubbed: read(&self.counts.scrubbed),
            scrubs: read(&self.counts.scrubs),
            damage: read(&self.counts.damage),
            tiles_rebuilt: read(&self.counts.rebuilt),
            anchors_failing: failing.count() as u64,
        }
    }

    /// Whether the log has gone on since the newest checkpoint.
    pub(crate) fn is_behind(&self) -> bool {
        self.log.head().position.0 != self.counts.published.load(Ordering::Relaxed)
    }

    /// The tree, brought up to the head of the log and compared with it. As long as it is held, its head is
    /// one that the log had.
    fn caught_up(&self) -> Result<MutexGuard<'_, Tree>, ProveError> {
        loop {
            if self.rebuild.load(Ordering::Acquire) {
                return Err(ProveError::Rebuilding);
            }
            // A piece at a time, so that others get their turn.
            let mut tree = self.tree.lock();
            let head = self.log.head();
            let is_done = tree.read_on(&*self.log, head.position);
            if !is_done.map_err(|error| self.fail(error))? {
                continue;
            }
            let reached = tree.head();
            if reached.size == head.position.0 && reached.root == head.root {
                return Ok(tree);
            }
            let what = "the records have another root than the head of the log".to_owned();
            return Err(self.fail(TreeError::Tiles(what)));
        }
    }

    fn sign(&self, head: TreeHead) -> Result<String, ProveError> {
        let origin = self.keys.signer().verifier().name().to_owned();
        let note = Checkpoint { origin, head }.sign(self.keys.signer());
        note.map_err(|error| ProveError::Failed(error.to_string()))
    }

    /// Puts a checkpoint where it is published. First the tiles, so that nobody looks for one in vain.
    fn write_out(&self, published: &Published, tree: &mut Tree) {
        let size = published.head.size;
        let written = tree.write_edge(size).and_then(|()| {
            let keys = self.keys.history().to_string();
            replace(
                &self.directory.join("keys"),
                keys.as_bytes(),
                Readable::ByAll,
            )?;
            let path = self.directory.join(CHECKPOINT);
            Ok(replace(&path, published.note.as_bytes(), Readable::ByAll)?)
        });
        if let Err(error) = written {
            tracing::warn!(%error, size, "the checkpoint cannot be published");
        }
        self.counts.published.store(size, Ordering::Relaxed);
        for anchor in &self.anchors {
            if self.is_running.load(Ordering::Relaxed) {
                anchor.offer(&published.note);
            } else {
                anchor.write(&published.note);
            }
        }
    }

    fn fail(&self, error: TreeError) -> ProveError {
        match error {
            TreeError::Log(error) => ProveError::Log(error),
            TreeError::Io(_) => ProveError::Failed(error.to_string()),
            TreeError::Tiles(_) => {
                tracing::error!(%error, "the tiles are made again");
                self.distrust_tiles();
                ProveError::Rebuilding
            }
        }
    }
}

/// Lets a new key follow the one that signs now, and returns its verifier key. The log must be open, so
/// that no server has it.
pub fn rotate_key(log: &Arc<dyn EventLog>, options: &Options) -> Result<VerifierKey, OpenError> {
    let opened = TransparencyLog::open(Arc::clone(log), options)?;
    let head = opened.published.lock().head;
    let mut keys = opened.keys;
    keys.rotate(&options.data_dir, options.key.as_deref(), head)?;
    Ok(keys.signer().verifier().clone())
}

/// What the anchors say, and what was published from here as far as it can be read: that can be made
/// again.
fn checkpoints(
    options: &Options,
    trusted: &[TrustedKey],
) -> Result<Vec<(PathBuf, Checkpoint)>, OpenError> {
    let mut found = Vec::new();
    for path in &options.anchors {
        let checkpoint = checkpoint_in(path, trusted)?;
        found.extend(checkpoint.map(|checkpoint| (path.clone(), checkpoint)));
    }
    let own = options.data_dir.join("tiles").join(CHECKPOINT);
    let note = read(&own).ok().flatten();
    let checkpoint = note.and_then(|note| Checkpoint::open(&note, trusted).ok());
    found.extend(checkpoint.map(|checkpoint| (own, checkpoint)));
    Ok(found)
}

/// The heads that the log had at these sizes, read from its records; at one that it never had, that of
/// the whole.
fn heads_at(log: &dyn EventLog, sizes: &[u64]) -> Result<Vec<TreeHead>, ReadError> {
    let mut frontier = Frontier::default();
    let mut heads = vec![frontier.head(); sizes.len()];
    let mut scan = Scan::of(log);
    let note = &mut |leaf| {
        frontier.append(leaf);
        for (head, size) in heads.iter_mut().zip(sizes) {
            if frontier.size() == *size {
                *head = frontier.head();
            }
        }
    };
    while scan.next(note)?.is_some() {}
    Ok(heads)
}

/// The tree up to the head of the log, from the tiles that are there if they are those of the log.
fn open_tree(log: &dyn EventLog, directory: &Path, counts: &Counts) -> Result<Tree, TreeError> {
    let head = log.head();
    let read = |mut tree: Tree| {
        while !tree.read_on(log, head.position)? {}
        Ok::<_, TreeError>(tree)
    };
    let kept = Tree::open(directory, head.position.0).and_then(read);
    match kept {
        Ok(tree) if tree.head().root == head.root => return Ok(tree),
        Err(TreeError::Log(error)) => return Err(error.into()),
        Ok(_) | Err(TreeError::Io(_) | TreeError::Tiles(_)) => {}
    }
    tracing::warn!("the tiles are not those of the log and are made again");
    counts.rebuilt.fetch_add(1, Ordering::Relaxed);
    let tree = read(Tree::empty(directory)?)?;
    if tree.head().root == head.root {
        return Ok(tree);
    }
    let what = "the records have another root than the head of the log";
    Err(ReadError::damaged(head.position, what).into())
}

/// The root at a size, if need be from tiles that are made again for it.
fn head_at(
    tree: &mut Tree,
    log: &dyn EventLog,
    directory: &Path,
    size: u64,
    counts: &Counts,
) -> Result<TreeHead, OpenError> {
    match tree.head_at(size) {
        Err(TreeError::Tiles(error)) => {
            tracing::warn!(%error, "the tiles are made again");
            Tree::empty(directory)?;
            *tree = open_tree(log, directory, counts)?;
            Ok(tree.head_at(size)?)
        }
        told => Ok(told?),
    }
}
