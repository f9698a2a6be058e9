//! ```text
//! lock                     held while the backup grows
//! manifest                 what there is, with checksums; replaced last
//! <first>-<last>.records   blocks, each after its length in 4 bytes, big-endian
//! vault.<position> …       files besides the log, as they were then
//! *.part                   what is being written; cleared away the next time
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use event_log::{Block, Frontier, Head, RawBlock, Record, fill_encoded, leaf_hash};
use sha2::{Digest as _, Sha256};
use types::{Position, hex};

use crate::BackupError;
use crate::frame::{Frame, NamedFile, read_frame};
use crate::manifest::{KeptFile, Manifest, Segment, sha256};

/// A block of a backup claims at most so many bytes.
const BLOCK_BYTES_MAX: u32 = 80 * 1024 * 1024;

/// A directory with a backup, or for one.
pub struct BackupSet {
    directory: PathBuf,
    manifest: Manifest,
    /// Held by whoever makes it grow.
    _lock: Option<File>,
}

const LOCK: &str = "lock";

/// Told of every record: its position, its parts, and its bytes as the tree covers them.
pub type EachRecord<'a, E> =
    dyn FnMut(Position, &Record<'_>, &[u8]) -> Result<ControlFlow<()>, E> + 'a;

impl BackupSet {
    /// The backup that is there, to grow; an empty one where nothing is.
    pub fn open_or_create(directory: &Path) -> Result<Self, BackupError> {
        fs::create_dir_all(directory).map_err(BackupError::io(directory))?;
        let is_empty = is_empty(directory).map_err(BackupError::io(directory))?;
        if !is_empty && !directory.join(LOCK).exists() {
            return Err(BackupError::NotABackup(directory.to_owned()));
        }
        let lock = create(&directory.join(LOCK)).map_err(BackupError::io(directory))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(BackupError::io(directory)(error)),
        }
        clear(directory).map_err(BackupError::io(directory))?;
        if let Some(manifest) = Manifest::read(directory)? {
            let set = Self::of(directory, manifest, Some(lock));
            set.clear_unfinished().map_err(BackupError::io(directory))?;
            return Ok(set);
        }
        // First of all, so that one that is cut short can be gone on with.
        let manifest = Manifest::empty();
        manifest
            .write(directory)
            .map_err(BackupError::io(directory))?;
        Ok(Self::of(directory, manifest, Some(lock)))
    }

    /// The backup that is there.
    pub fn open(directory: &Path) -> Result<Self, BackupError> {
        let manifest = Manifest::read(directory)?;
        let manifest = manifest.ok_or_else(|| BackupError::NoManifest(directory.to_owned()))?;
        Ok(Self::of(directory, manifest, None))
    }

    fn of(directory: &Path, manifest: Manifest, lock: Option<File>) -> Self {
        Self {
            directory: directory.to_owned(),
            manifest,
            _lock: lock,
        }
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Takes in what [`crate::send`] gave for everything after the backup's head. Every record is
    /// checked against the tree, and what was written is read back, before the backup holds it. Until
    /// then it is as it was.
    pub fn take(
        &mut self,
        from: &mut dyn Read,
        progress: &mut dyn FnMut(Position),
    ) -> Result<(), BackupError> {
        let frontier = self.manifest.frontier().unwrap_or_default();
        let mut segment = SegmentWriter::new(&self.directory, frontier)?;
        let mut files = Vec::new();
        let head = loop {
            match read_frame(from)? {
                Frame::Block(block) => {
                    segment.take(&block.decode()?)?;
                    progress(Position(segment.frontier.size()));
                }
                Frame::File(file) => files.push(file),
                Frame::End(head) => break head,
            }
        };
        self.check_end(&segment.frontier, head)?;
        let (segment, frontier) = segment.finish()?;
        let mut next = self.manifest.clone();
        next.segments.extend(segment);
        next.note(&frontier);
        next.files = self.keep(files, frontier.size())?;
        next.write(&self.directory)
            .map_err(BackupError::io(&self.directory))?;
        let before = std::mem::replace(&mut self.manifest, next);
        self.forget(&before)
            .map_err(BackupError::io(&self.directory))
    }

    fn check_end(&self, taken: &Frontier, head: Head) -> Result<(), BackupError> {
        let (head_at, position) = (head.position, Position(taken.size()));
        if head_at < self.manifest.head() {
            let backup = self.manifest.head();
            return Err(BackupError::Behind {
                head: head_at,
                backup,
            });
        }
        if head_at != position {
            return Err(BackupError::CutShort);
        }
        if head.root != taken.root() {
            return Err(BackupError::OtherLog { position });
        }
        Ok(())
    }

    fn keep(&self, files: Vec<NamedFile>, position: u64) -> Result<Vec<KeptFile>, BackupError> {
        let mut kept = Vec::new();
        for NamedFile { name, content } in files {
            let known = self.manifest.files.iter().find(|it| it.name == name);
            let sum = sha256(&content);
            if let Some(known) = known.filter(|it| it.sha256 == sum) {
                kept.push(known.clone());
                continue;
            }
            // No other content has that name, so what the manifest names is never overwritten.
            let kept_as = format!("{}.{position}.{}", name.replace('/', "_"), &sum[..16]);
            let path = self.directory.join(&kept_as);
            replace(&path, &content).map_err(BackupError::io(&path))?;
            kept.push(KeptFile {
                name,
                kept_as,
                sha256: sum,
            });
        }
        Ok(kept)
    }

    /// Removes what somebody who was interrupted had written and the manifest does not name: there can be
    /// keys among it of people who are erased since.
    fn clear_unfinished(&self) -> io::Result<()> {
        let is_named = |name: &str| {
            let segments = self.manifest.segments.iter().map(|it| it.name.as_str());
            let files = self.manifest.files.iter().map(|it| it.kept_as.as_str());
            segments.chain(files).any(|it| it == name)
        };
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_ours(&name) && !is_named(&name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes the files that only the manifest of before named: an older vault above all. What somebody
    /// else has put there stays.
    fn forget(&self, before: &Manifest) -> io::Result<()> {
        let is_kept = |kept_as: &str| self.manifest.files.iter().any(|it| it.kept_as == kept_as);
        let gone = before.files.iter().filter(|it| !is_kept(&it.kept_as));
        for file in gone {
            match fs::remove_file(self.directory.join(&file.kept_as)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Reads the files besides the log.
    pub fn files(&self) -> Result<Vec<NamedFile>, BackupError> {
        let files = self.manifest.files.iter().map(|kept| {
            let path = self.directory.join(&kept.kept_as);
            let content = fs::read(&path).map_err(BackupError::io(&path))?;
            if sha256(&content) != kept.sha256 {
                let what = "it does not match its checksum";
                return Err(BackupError::altered(&path, what));
            }
            let name = kept.name.clone();
            Ok(NamedFile { name, content })
        });
        files.collect()
    }

    /// Reads every record in order, each block checked against the tree before, and each segment
    /// against its checksum, until told to stop. Gives the tree over what was read.
    pub fn read<E: From<BackupError>>(&self, each: &mut EachRecord<'_, E>) -> Result<Frontier, E> {
        let mut frontier = Frontier::default();
        for segment in &self.manifest.segments {
            let path = self.directory.join(&segment.name);
            if segment.first != frontier.size() + 1 {
                let what = "a segment before it is missing";
                return Err(BackupError::altered(&path, what).into());
            }
            if read_segment(&path, segment, &mut frontier, each)?.is_break() {
                return Ok(frontier);
            }
        }
        if frontier.root().to_string() != self.manifest.root {
            let what = "its segments have another root";
            return Err(BackupError::altered(&self.directory, what).into());
        }
        Ok(frontier)
    }

    /// Reads everything, and says whether it is as it was written.
    pub fn verify(&self) -> Result<(), BackupError> {
        self.files()?;
        self.read(&mut |_, _, _| Ok::<_, BackupError>(ControlFlow::Continue(())))
            .map(|_| ())
    }
}

fn read_segment<E: From<BackupError>>(
    path: &Path,
    segment: &Segment,
    frontier: &mut Frontier,
    each: &mut EachRecord<'_, E>,
) -> Result<ControlFlow<()>, E> {
    let altered = |what| BackupError::altered(path, what);
    let file = File::open(path).map_err(BackupError::io(path))?;
    let mut blocks = Summed::of(BufReader::new(file));
    while frontier.size() < segment.last {
        let first = Position(frontier.size() + 1);
        let raw = blocks
            .block(first)
            .map_err(BackupError::io(path))?
            .ok_or_else(|| altered("it ends too early"))?;
        let block = raw.map_err(BackupError::from)?;
        let block = block.decode().map_err(BackupError::from)?;
        let mut after = frontier.clone();
        for bytes in block.record_bytes() {
            after.append(leaf_hash(bytes));
        }
        if block.header().root_after != after.root() {
            return Err(altered("a block has another root").into());
        }
        for (bytes, record) in block.record_bytes().zip(block.records()) {
            let record = record.map_err(BackupError::from)?;
            if each(record.position, &record, bytes)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            frontier.append(leaf_hash(bytes));
        }
    }
    let more = blocks.block(Position(segment.last + 1));
    if frontier.size() != segment.last || more.map_err(BackupError::io(path))?.is_some() {
        return Err(altered("it holds other positions").into());
    }
    if hex(&blocks.sum.finalize()) != segment.sha256 {
        return Err(altered("it does not match its checksum").into());
    }
    Ok(ControlFlow::Continue(()))
}

/// Blocks of a file, and the checksum of all that was read.
struct Summed<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Summed<R> {
    fn of(from: R) -> Self {
        let sum = Sha256::new();
        Self { from, sum }
    }

    /// The next block; `None` at the end of the file. A file that cannot be read, its end, and a block that is none are three things.
    fn block(
        &mut self,
        first: Position,
    ) -> io::Result<Option<Result<RawBlock, event_log::ReadError>>> {
        let mut length = [0; 4];
        let mut filled = 0;
        while filled < length.len() {
            match self.from.read(&mut length[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        self.sum.update(&length[..filled]);
        if filled < length.len() {
            return Ok(None);
        }
        let length = u32::from_be_bytes(length).min(BLOCK_BYTES_MAX);
        let mut bytes = Vec::new();
        (&mut self.from)
            .take(u64::from(length))
            .read_to_end(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(Some(RawBlock::from_bytes(first, bytes)))
    }
}

/// Writes what is new, in blocks of its own: those of the log may begin before it.
struct SegmentWriter {
    directory: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    sum: Sha256,
    first: u64,
    /// Of what was taken.
    frontier: Frontier,
    /// Of what was written.
    written: Frontier,
    waiting: Vec<Vec<u8>>,
}

/// Records that wait to be written as blocks.
const WAITING_MAX: usize = 1_024;

impl SegmentWriter {
    fn new(directory: &Path, frontier: Frontier) -> Result<Self, BackupError> {
        let path = directory.join("records.part");
        let file = create(&path).map_err(BackupError::io(&path))?;
        Ok(Self {
            directory: directory.to_owned(),
            path,
            file: BufWriter::new(file),
            sum: Sha256::new(),
            first: frontier.size() + 1,
            written: frontier.clone(),
            frontier,
            waiting: Vec::new(),
        })
    }

    fn take(&mut self, block: &Block) -> Result<(), BackupError> {
        let (first, last) = (block.header().first.0, block.header().last().0);
        if first > self.frontier.size() + 1 {
            return Err(BackupError::Malformed("a block is missing"));
        }
        for (position, bytes) in (first..).zip(block.record_bytes()) {
            if position > self.frontier.size() {
                self.frontier.append(leaf_hash(bytes));
                self.waiting.push(bytes.to_owned());
            }
        }
        if last == self.frontier.size() && block.header().root_after != self.frontier.root() {
            let position = Position(last);
            return Err(BackupError::OtherLog { position });
        }
        if self.waiting.len() >= WAITING_MAX {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> Result<(), BackupError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let first = Position(self.written.size() + 1);
            let records = fill_encoded(rest.iter().cloned());
            rest = &rest[records.len()..];
            let block = RawBlock::encode(first, &records, &mut self.written);
            let bytes = block.as_bytes();
            let length = u32::try_from(bytes.len()).expect("blocks are far below 4 GiB");
            for part in [&length.to_be_bytes()[..], bytes] {
                self.sum.update(part);
                self.file
                    .write_all(part)
                    .map_err(BackupError::io(&self.path))?;
            }
        }
        Ok(())
    }

    /// The segment, on disk and read back; none if nothing is new.
    fn finish(mut self) -> Result<(Option<Segment>, Frontier), BackupError> {
        self.write_waiting()?;
        let io = BackupError::io;
        self.file.flush().map_err(io(&self.path))?;
        self.file.get_ref().sync_all().map_err(io(&self.path))?;
        let last = self.frontier.size();
        if last < self.first {
            fs::remove_file(&self.path).map_err(io(&self.path))?;
            return Ok((None, self.frontier));
        }
        let sum = hex(&self.sum.finalize());
        if file_sha256(&self.path).map_err(io(&self.path))? != sum {
            let what = "what was written does not read back the same";
            return Err(BackupError::altered(&self.path, what));
        }
        let name = format!("{:020}-{last:020}.records", self.first);
        fs::rename(&self.path, self.directory.join(&name)).map_err(io(&self.path))?;
        sync_directory(&self.directory).map_err(io(&self.directory))?;
        let segment = Segment {
            name,
            first: self.first,
            last,
            sha256: sum,
        };
        Ok((Some(segment), self.frontier))
    }
}

fn file_sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&sum.finalize())),
            read => sum.update(&piece[..read]),
        }
    }
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

/// Whether a file is called as those of a backup are.
fn is_ours(name: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    let Some((front, back)) = name.rsplit_once('.') else {
        return false;
    };
    if back == "records" {
        return front.split('-').all(digits);
    }
    let is_sum = back.len() == 16 && back.bytes().all(|it| it.is_ascii_hexdigit());
    is_sum && front.rsplit_once('.').is_some_and(|it| digits(it.1))
}

/// Removes what was being written when somebody was interrupted.
fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "part") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn create(path: &Path) -> io::Result<File> {
    // What a backup holds is as secret as what it was made of.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Puts a small file in the place of another, whole or not at all.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = create(&part)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
