//! Reading sled's files without sled, to know whether its store looks damaged before sled opens the
//! only copy: sled takes a bad checksum for the end of its log and overwrites what follows.
//!
//! The format is what the source of sled 0.34.7 writes and reads (`src/pagecache`: `logger.rs`,
//! `iobuf.rs`, `segment.rs`, `iterator.rs`, `snapshot.rs`; `src/serialization.rs`; `src/config.rs`):
//!
//! ```text
//! db       segments of one size, in any order of their numbers; the last one may be cut short
//! segment  CRC-32 4 · LSN 8 · stable LSN 8, then messages up to where 32 bytes or fewer are left
//! message  CRC-32 4 · kind 1 · length · segment's number · page (each a varint), then the body
//! conf     three lines of text · CRC-32 4
//! snap.*   the page table as it was at the last open · its length 8 · CRC-32 4
//! ```
//! An LSN divided by the segment size is a segment's number, which every message repeats. What sled
//! leaves behind, and what is therefore no damage:
//! - A segment that was filled ends in a `Cap` message or in fewer than 32 bytes, and in zeros.
//! - A free segment keeps what it held until it is used again; sled's open makes it all zeros.
//! - The newest segment ends in zeros, or where it was used before, in the end of its earlier life.
//!   sled's open makes its unused part zeros, but for the very last byte, and no more than that.
//!
//! Everything else is a finding. A process that is killed between two of sled's writes can leave
//! one as well: a finding is a reason to try a copy first, not a verdict.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// More would say nothing new.
const FINDINGS_MAX: usize = 64;

/// sled's `SEG_HEADER_LEN`.
const SEGMENT_HEADER_BYTES: usize = 20;

/// sled's `MAX_MSG_HEADER_LEN`: no message begins where fewer bytes are left in its segment.
const MESSAGE_HEADER_BYTES_MAX: usize = 32;

/// The smallest segment that sled takes.
const SEGMENT_BYTES_MIN: u64 = 256;

/// sled keeps an LSN in a segment's header with these bits flipped.
const LSN_MASK: i64 = i64::MAX;

/// sled's `MAX_PID_BITS`.
const PAGE_BITS: u32 = 37;

/// sled's `BATCH_MANIFEST_PID`.
const BATCH_MANIFEST_PAGE: u64 = u64::MAX - 666;

/// More pages than this are not kept account of: it would take more memory than they are worth.
const PAGES_MAX: u64 = 1 << 27;

/// The least that a disk loses at once, from a multiple of it on.
const SECTOR_BYTES: u64 = 512;

/// How much is put through a checksum in search of a message in one segment's remains. Without a
/// bound, bytes made for the purpose would take minutes.
const SEARCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What reading sled's files, without sled, showed.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) findings: Vec<Finding>,
    pub(crate) bytes_read: u64,
    /// Files in `blobs/`, which sled never syncs.
    pub(crate) blobs: u64,
}

/// Something that sled does not leave behind, and where.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Relative to the store's directory.
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: Oddity,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Oddity {
    #[error("The file is missing.")]
    Missing,
    #[error("The file ends here, but it was at least {at_least} bytes long at the last commit.")]
    Shorter { at_least: u64 },
    #[error("The file ends here, inside a segment but not behind the log's last message.")]
    CutShort,
    #[error("The segment's header has a bad checksum or says what cannot be.")]
    SegmentHeader,
    #[error("The segment's header is all zeros, but the segment is not.")]
    SegmentWithoutHeader,
    #[error("The segment is all zeros, but sled wrote to it.")]
    SegmentZeroed,
    #[error(
        "The segment has number {found}, but sled's last open saw number {expected} in it, and the \
         other one is older than that."
    )]
    SegmentOutdated { found: u64, expected: u64 },
    #[error("The segment has number {number}, and so has the one at offset {other}.")]
    SegmentTwice { number: u64, other: u64 },
    #[error(
        "Segment number {missing} is missing before this one: sled would take that for the end of \
         its log."
    )]
    SegmentMissing { missing: u64 },
    #[error("This is the log's newest segment, but it is full: the next one is missing.")]
    NewestSegmentMissing,
    #[error("The log has newer pages, but page {page} is nowhere in it.")]
    PageMissing { page: u64 },
    #[error("A message should begin here, but there is none whose checksum is right.")]
    Message,
    #[error("The message's checksum is right, but sled knows no such kind of message: {kind}.")]
    MessageKind { kind: u8 },
    #[error("The message is about a batch, but it does not say where the batch ends.")]
    BatchManifest,
    #[error("The batch that begins here ends at LSN {end}, but the log ends before that.")]
    BatchCut { end: i64 },
    #[error("The message says that a page is in a file of its own, in `blobs/`.")]
    BlobPointer,
    #[error("Behind the segment's last message all bytes should be zero.")]
    Padding,
    #[error("The bytes here are neither zero nor what is left of an earlier use of the segment.")]
    Remains,
    #[error("The file does not say what sled writes for these settings.")]
    Settings,
    #[error("sled's snapshot has a bad checksum or a wrong length.")]
    SnapshotChecksum,
    #[error("sled's snapshot has the right checksum, but does not read as one.")]
    SnapshotContent,
    #[error("sled's snapshot goes up to LSN {stable}, but the log ends before that.")]
    SnapshotAhead { stable: u64 },
    #[error("sled put a page into a file of its own, which it never syncs.")]
    Blob,
}

impl Survey {
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, file: impl Into<PathBuf>, offset: u64, what: Oddity) {
        let file = file.into();
        self.findings.push(Finding { file, offset, what });
    }

    /// The file's bytes; `None` if it is not there, which is a finding.
    fn read(&mut self, directory: &Path, name: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(directory.join(name)) {
            Ok(bytes) => {
                self.bytes_read += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.add(name, 0, Oddity::Missing);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Reads a sled store's files, and changes nothing.
///
/// `length_at_least` is what is known from elsewhere of the length of `db`: a log that lost its end
/// at the boundary of two messages looks like one that was never longer.
///
/// # Errors
///
/// Where a file cannot be read. What is read never fails, whatever it is.
pub(crate) fn survey(
    directory: &Path,
    segment_size: u64,
    length_at_least: u64,
) -> io::Result<Survey> {
    let segment_bytes = usize::try_from(segment_size).unwrap_or(usize::MAX);
    if segment_size < SEGMENT_BYTES_MIN || segment_bytes == usize::MAX {
        let what = "sled has no segments of this size";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let layout = Layout {
        segment_size,
        segment_bytes,
    };
    let mut survey = Survey::default();
    look_at_settings(&mut survey, directory, segment_size)?;
    look_at_blobs(&mut survey, directory)?;
    let remembered = look_at_snapshots(&mut survey, directory, layout)?;
    look_at_log(&mut survey, directory, layout, &remembered, length_at_least)?;
    let in_order = |finding: &Finding| (finding.file.clone(), finding.offset);
    survey.findings.sort_by_key(in_order);
    survey.findings.truncate(FINDINGS_MAX);
    Ok(survey)
}

/// sled only warns of a bad checksum here, and then trusts what it read (`config.rs`,
/// `read_config`). As nothing in this file varies, it is compared.
fn look_at_settings(survey: &mut Survey, directory: &Path, segment_size: u64) -> io::Result<()> {
    let name = Path::new("conf");
    let Some(found) = survey.read(directory, name)? else {
        return Ok(());
    };
    let text = format!("segment_size: {segment_size}\nuse_compression: false\nversion: 0.34\n");
    let checksum = crc32fast::hash(text.as_bytes());
    let expected = [text.as_bytes(), &checksum.to_le_bytes()].concat();
    if found != expected {
        let same = found.iter().zip(&expected).take_while(|(a, b)| a == b);
        survey.add(name, same.count() as u64, Oddity::Settings);
    }
    Ok(())
}

fn look_at_blobs(survey: &mut Survey, directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory.join("blobs")) {
        // sled makes the directory anew.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        survey.blobs += 1;
        if survey.blobs <= FINDINGS_MAX as u64 {
            survey.add(Path::new("blobs").join(name), 0, Oddity::Blob);
        }
    }
    Ok(())
}

/// What sled's snapshot says of its last open.
enum Remembered {
    /// There is none: sled never opened a store that held something.
    Nothing,
    /// There is one that cannot be trusted.
    Unknown,
    Open(LastOpen),
}

/// How the segments were when sled opened the store for the last time: it writes the snapshot
/// before it makes all segments zero that the snapshot does not use (`snapshot.rs`,
/// `advance_snapshot`; `segment.rs`, `initialize_from_snapshot`).
struct LastOpen {
    stable: u64,
    /// Index and LSN of the segment that sled went on with.
    active: Option<(u64, u64)>,
    /// LSNs of the segments in use, by index.
    used: BTreeMap<u64, u64>,
    /// How many pages there were: all that have lower numbers.
    pages: u64,
}

impl LastOpen {
    /// The LSN of the first segment that was begun after the open (`Snapshot::recovered_coords`).
    fn next_lsn(&self, layout: Layout) -> u64 {
        match self.active {
            Some((_, lsn)) => lsn.saturating_add(layout.segment_size),
            None => self
                .stable
                .checked_next_multiple_of(layout.segment_size)
                .unwrap_or(u64::MAX),
        }
    }
}

/// sled uses the snapshot with the last name, and takes one that it did not finish for one as well.
fn look_at_snapshots(
    survey: &mut Survey,
    directory: &Path,
    layout: Layout,
) -> io::Result<Remembered> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("snap.") && !text.ends_with(".in___motion") {
            names.push(PathBuf::from(name));
        }
    }
    names.sort();
    let mut remembered = Remembered::Nothing;
    for name in names {
        let Some(bytes) = survey.read(directory, &name)? else {
            continue;
        };
        remembered = match read_snapshot(&bytes, layout) {
            Ok(open) => Remembered::Open(open),
            Err(what) => {
                survey.add(name, 0, what);
                Remembered::Unknown
            }
        };
    }
    Ok(remembered)
}

fn read_snapshot(bytes: &[u8], layout: Layout) -> Result<LastOpen, Oddity> {
    let parts = bytes
        .split_last_chunk::<4>()
        .and_then(|(rest, checksum)| Some((rest.split_last_chunk::<8>()?, checksum)));
    let Some(((table, length), checksum)) = parts else {
        return Err(Oddity::SnapshotChecksum);
    };
    let is_whole = u64::from_le_bytes(*length) == table.len() as u64
        && u32::from_le_bytes(*checksum) == crc32fast::hash(table);
    if !is_whole {
        return Err(Oddity::SnapshotChecksum);
    }
    read_page_table(table, layout).ok_or(Oddity::SnapshotContent)
}

/// As in `serialization.rs`: stable LSN, active segment, then for every page its place or places.
fn read_page_table(mut table: &[u8], layout: Layout) -> Option<LastOpen> {
    // Zero stands for none, and nothing is written then; else the value is one less.
    let stable = u64::try_from(take_i64(&mut table)?).ok()?.checked_sub(1)?;
    let mut used = BTreeMap::new();
    let active = match take_varint(&mut table)?.checked_sub(1) {
        Some(offset) if offset % layout.segment_size == 0 => {
            let (index, lsn) = (offset / layout.segment_size, layout.segment_lsn(stable));
            used.insert(index, lsn);
            Some((index, lsn))
        }
        Some(_) => return None,
        None => None,
    };
    let mut pages = 0;
    while !table.is_empty() {
        pages += 1;
        let places = take(&mut table, 1)?[0];
        for _ in 0..places.max(1) {
            let lsn = u64::try_from(take_i64(&mut table)?).ok()?;
            let is_blob = match take(&mut table, 1)?[0] {
                0 => false,
                1 => true,
                _ => return None,
            };
            let offset = take_varint(&mut table)?;
            if is_blob {
                take_i64(&mut table)?;
            }
            if places > 0 {
                // The size on disk, which a free page does not have.
                take_varint(&mut table)?;
            }
            let index = offset / layout.segment_size;
            let segment_lsn = layout.segment_lsn(lsn);
            let fits = lsn % layout.segment_size == offset % layout.segment_size
                && *used.entry(index).or_insert(segment_lsn) == segment_lsn;
            if !fits {
                return None;
            }
        }
    }
    Some(LastOpen {
        stable,
        active,
        used,
        pages,
    })
}

#[derive(Clone, Copy)]
struct Layout {
    segment_size: u64,
    /// The same, for what is in memory.
    segment_bytes: usize,
}

impl Layout {
    /// The LSN of the segment that this one is in.
    fn segment_lsn(self, lsn: u64) -> u64 {
        lsn - lsn % self.segment_size
    }

    /// A page that is larger is kept outside the log (`Log::reserve_inner`).
    fn message_bytes_max(self) -> usize {
        self.segment_bytes / 4
    }

    /// Behind this no message begins.
    fn message_at_max(self) -> usize {
        self.segment_bytes - MESSAGE_HEADER_BYTES_MAX
    }
}

/// What a segment holds.
enum Content {
    Zeros,
    Unreadable,
    Life(Life),
}

/// One use of a segment, from being begun until it is free.
struct Life {
    lsn: u64,
    /// Up to here the log was stable when the segment was begun; -1 for nowhere.
    stable_lsn: i64,
    /// Where the log ends in this segment: at a `Cap` or behind the last good message.
    end: usize,
    /// Nothing can follow in this segment.
    is_full: bool,
    /// The batch that reaches furthest: its last LSN, and where it begins.
    batch: Option<(i64, usize)>,
}

fn look_at_log(
    survey: &mut Survey,
    directory: &Path,
    layout: Layout,
    remembered: &Remembered,
    length_at_least: u64,
) -> io::Result<()> {
    let file = match File::open(directory.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            survey.add("db", 0, Oddity::Missing);
            return Ok(());
        }
        other => other?,
    };
    let length = file.metadata()?.len();
    if length < length_at_least {
        let at_least = length_at_least;
        survey.add("db", length, Oddity::Shorter { at_least });
    }
    let (contents, mut seen) = read_segments(&file, length, layout)?;
    survey.bytes_read += length;
    let log = Log {
        file,
        length,
        length_at_least,
        layout,
        contents,
        remembered,
    };
    log.look_at_whole(&mut seen.findings)?;
    log.look_at_pages(&mut seen);
    for (offset, what) in seen.findings.0 {
        survey.add("db", offset, what);
    }
    Ok(())
}

/// Findings in `db`, by offset.
#[derive(Default)]
struct Findings(Vec<(u64, Oddity)>);

impl Findings {
    fn add(&mut self, offset: u64, what: Oddity) {
        if self.0.len() < FINDINGS_MAX {
            self.0.push((offset, what));
        }
    }
}

/// Pages in the messages of the log.
#[derive(Default)]
struct Pages {
    /// A bit for each page: whether it is somewhere as a whole.
    whole: Vec<u64>,
    /// The first page behind all that are mentioned.
    end: u64,
}

impl Pages {
    fn mention(&mut self, page: u64) {
        if page < PAGES_MAX {
            self.end = self.end.max(page + 1);
        }
    }

    fn add_whole(&mut self, page: u64) {
        self.mention(page);
        if let Some((word, bit)) = Self::place(page) {
            self.whole.resize(self.whole.len().max(word + 1), 0);
            self.whole[word] |= bit;
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.end = self.end.max(other.end);
        self.whole
            .resize(self.whole.len().max(other.whole.len()), 0);
        for (word, other) in self.whole.iter_mut().zip(&other.whole) {
            *word |= other;
        }
    }

    fn first_missing(&self, from: u64) -> Option<u64> {
        (from..self.end).find(|page| {
            Self::place(*page).is_some_and(|(word, bit)| {
                let word = self.whole.get(word).copied().unwrap_or_default();
                word & bit == 0
            })
        })
    }

    fn place(page: u64) -> Option<(usize, u64)> {
        let word = usize::try_from(page / 64).ok()?;
        (page < PAGES_MAX).then_some((word, 1 << (page % 64)))
    }
}

/// What one thread saw.
#[derive(Default)]
struct Seen {
    findings: Findings,
    pages: Pages,
}

impl Seen {
    fn add_all(&mut self, other: Self) {
        self.pages.add_all(&other.pages);
        for (offset, what) in other.findings.0 {
            self.findings.add(offset, what);
        }
    }
}

/// Reads every segment once, on two threads: checksums of one while the other waits for the disk.
fn read_segments(file: &File, length: u64, layout: Layout) -> io::Result<(Vec<Content>, Seen)> {
    let next = AtomicU64::new(0);
    let read = || -> io::Result<(Vec<(u64, Content)>, Seen)> {
        let mut seen = Seen::default();
        let mut contents = Vec::new();
        let mut buffer = vec![0; layout.segment_bytes];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(offset) = index
                .checked_mul(layout.segment_size)
                .filter(|offset| *offset < length)
            else {
                return Ok((contents, seen));
            };
            let bytes = read_up_to(file, &mut buffer, offset)?;
            let content = look_at_segment(bytes, index, layout, &mut seen);
            contents.push((index, content));
        }
    };
    let (here, there) = thread::scope(|scope| {
        let there = scope.spawn(read);
        let here = read();
        (here, there.join())
    });
    let there = there.unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    let (mut contents, mut seen) = here?;
    let (other_contents, other_seen) = there?;
    contents.extend(other_contents);
    seen.add_all(other_seen);
    contents.sort_unstable_by_key(|(index, _)| *index);
    let contents = contents.into_iter().map(|(_, content)| content).collect();
    Ok((contents, seen))
}

/// Fills the buffer from `offset` on, or as much of it as the file has.
fn read_up_to<'a>(file: &File, buffer: &'a mut [u8], offset: u64) -> io::Result<&'a [u8]> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..filled])
}

/// What can be told from the segment alone. That it is not full is told by the others.
fn look_at_segment(bytes: &[u8], index: u64, layout: Layout, seen: &mut Seen) -> Content {
    let offset = index * layout.segment_size;
    let header = match bytes.first_chunk::<SEGMENT_HEADER_BYTES>() {
        Some(header) if header.iter().any(|byte| *byte != 0) => header,
        Some(_) | None => {
            let Some(at) = first_non_zero(bytes) else {
                return Content::Zeros;
            };
            let what = Oddity::SegmentWithoutHeader;
            seen.findings.add(offset + at as u64, what);
            return Content::Unreadable;
        }
    };
    let Some((lsn, stable_lsn)) = read_segment_header(*header, offset, layout) else {
        seen.findings.add(offset, Oddity::SegmentHeader);
        return Content::Unreadable;
    };
    let mut life = Life {
        lsn,
        stable_lsn,
        end: SEGMENT_HEADER_BYTES,
        is_full: false,
        batch: None,
    };
    let padding = walk(bytes, offset, &mut life, layout, seen);
    // A full segment was written up to its last byte, and it takes that byte to be one.
    life.is_full = padding.is_some() && bytes.len() == layout.segment_bytes;
    if let Some(from) = padding.filter(|_| life.is_full)
        && let Some(at) = first_non_zero(&bytes[from..])
    {
        let what = Oddity::Padding;
        seen.findings.add(offset + (from + at) as u64, what);
    }
    Content::Life(life)
}

/// LSN and stable LSN, if they can be.
fn read_segment_header(
    header: [u8; SEGMENT_HEADER_BYTES],
    offset: u64,
    layout: Layout,
) -> Option<(u64, i64)> {
    let (checksum, lsns) = header.split_first_chunk::<4>()?;
    if !u32::from_le_bytes(*checksum) != crc32fast::hash(lsns) {
        return None;
    }
    let (lsn, stable_lsn) = lsns.split_first_chunk::<8>()?;
    let lsn = u64::try_from(i64::from_le_bytes(*lsn) ^ LSN_MASK).ok()?;
    let stable_lsn = i64::from_le_bytes(stable_lsn.try_into().ok()?) ^ LSN_MASK;
    // A log only grows, and a segment is begun before its successor's place is.
    (lsn % layout.segment_size == 0 && lsn >= offset).then_some((lsn, stable_lsn))
}

/// Follows the messages from the segment's header on, as sled's `LogIter` does. If they end because
/// the segment is full, this is where nothing but zeros should follow.
fn walk(
    bytes: &[u8],
    offset: u64,
    life: &mut Life,
    layout: Layout,
    seen: &mut Seen,
) -> Option<usize> {
    let number = life.lsn / layout.segment_size;
    while life.end <= layout.message_at_max() {
        let at = life.end;
        let header = Header::parse(bytes.get(at..)?)?;
        if header.number != number || !header.has_checksum_of(&bytes[at..]) {
            return None;
        }
        let mut find = |what| seen.findings.add(offset + at as u64, what);
        match header.kind() {
            Some(Kind::Canceled) => {}
            Some(Kind::Page) => seen.pages.add_whole(header.page),
            Some(Kind::Link) => seen.pages.mention(header.page),
            Some(Kind::Cap) => return Some(at + header.message_bytes()),
            Some(Kind::BatchManifest) => match header.body(&bytes[at..]).try_into() {
                Ok(last) => {
                    let batch = (i64::from_le_bytes(last), at);
                    life.batch = life.batch.max(Some(batch));
                }
                Err(_) => find(Oddity::BatchManifest),
            },
            Some(Kind::Blob) => find(Oddity::BlobPointer),
            None => {
                let kind = header.kind;
                find(Oddity::MessageKind { kind });
                return None;
            }
        }
        life.end += header.message_bytes();
    }
    Some(life.end)
}

/// The log as a whole: what the segments say of each other.
struct Log<'a> {
    file: File,
    length: u64,
    length_at_least: u64,
    layout: Layout,
    contents: Vec<Content>,
    remembered: &'a Remembered,
}

impl Log<'_> {
    fn look_at_whole(&self, findings: &mut Findings) -> io::Result<()> {
        let lives = self.lives_in_order(findings);
        let newest = lives.last_key_value().map(|(_, newest)| *newest);
        for (index, life) in lives.values().copied() {
            let is_newest = newest.is_some_and(|(newest, _)| newest == index);
            if !life.is_full && !is_newest {
                findings.add(self.offset(index, life.end), Oddity::Message);
            }
        }
        match newest {
            Some((index, life)) => self.look_at_end(index, life, &lives, findings)?,
            None => self.look_at_length(None, findings),
        }
        self.look_at_contiguity(&lives, findings);
        match self.remembered {
            Remembered::Open(open) => self.look_at_last_open(open, &lives, findings),
            Remembered::Nothing => {
                let last = self.contents.len() as u64;
                self.look_at_zeros(last, findings);
            }
            Remembered::Unknown => {}
        }
        Ok(())
    }

    /// Pages are numbered in the order they are made in, and each is written as a whole when it is
    /// made, and then again before the segment with that message is free. What a segment of zeros
    /// held, and nothing else shows, can show here.
    fn look_at_pages(&self, seen: &mut Seen) {
        let from = match self.remembered {
            Remembered::Open(open) => open.pages,
            Remembered::Nothing | Remembered::Unknown => 0,
        };
        if let Some(page) = seen.pages.first_missing(from) {
            let what = Oddity::PageMissing { page };
            seen.findings.add(self.length, what);
        }
    }

    fn offset(&self, index: u64, at: usize) -> u64 {
        index * self.layout.segment_size + at as u64
    }

    /// The segments that hold something, with their index, by LSN. sled panics if there are two
    /// with the same one (`scan_segment_headers_and_tail`).
    fn lives_in_order(&self, findings: &mut Findings) -> BTreeMap<u64, (u64, &Life)> {
        let mut lives = BTreeMap::<u64, (u64, &Life)>::new();
        for (index, content) in (0..).zip(&self.contents) {
            match content {
                Content::Life(life) => {
                    if let Some((other, _)) = lives.insert(life.lsn, (index, life)) {
                        let number = life.lsn / self.layout.segment_size;
                        let other = self.offset(other, 0);
                        let what = Oddity::SegmentTwice { number, other };
                        findings.add(self.offset(index, 0), what);
                    }
                }
                Content::Zeros | Content::Unreadable => {}
            }
        }
        lives
    }

    /// Where the log ends. What a killed process leaves behind there was never acknowledged: it lies
    /// behind what was the end of the file at the last commit, or is a batch of which nothing was
    /// written.
    fn look_at_end(
        &self,
        index: u64,
        life: &Life,
        lives: &BTreeMap<u64, (u64, &Life)>,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let log_end = self.offset(index, life.end);
        if self.length_at_least > 0 && log_end >= self.length_at_least {
            return Ok(());
        }
        if life.is_full {
            // sled lets a segment get full when there is more to write, and writes that with the
            // same flush.
            findings.add(self.offset(index, 0), Oddity::NewestSegmentMissing);
        }
        self.look_at_length(Some(log_end), findings);
        let mut buffer = vec![0; self.layout.segment_bytes];
        let bytes = read_up_to(&self.file, &mut buffer, self.offset(index, 0))?;
        if !life.is_full {
            // Of as many segments as were begun since the start none was used twice.
            let was_used_before = life.lsn > self.offset(index, 0);
            let was_cleared = match self.remembered {
                Remembered::Open(open) => open.active == Some((index, life.lsn)),
                Remembered::Nothing | Remembered::Unknown => false,
            };
            let end = End {
                bytes,
                at: life.end,
                number: life.lsn / self.layout.segment_size,
                oldest: index,
                layout: self.layout,
            };
            if let Some((at, what)) = end.oddity(was_used_before && !was_cleared) {
                findings.add(self.offset(index, at), what);
            }
        }
        if self.length_at_least == 0 || life.is_full || may_begin_a_loss(bytes, life.end) {
            self.look_at_batches(lives, life, findings);
        }
        Ok(())
    }

    /// Where a batch ends after the log does, sled drops the batch and all that follows it.
    fn look_at_batches(
        &self,
        lives: &BTreeMap<u64, (u64, &Life)>,
        newest: &Life,
        findings: &mut Findings,
    ) {
        let log_end = newest.lsn.saturating_add(newest.end as u64);
        for (index, life) in lives.values().copied() {
            let Some((last, at)) = life.batch else {
                continue;
            };
            if u64::try_from(last).is_ok_and(|last| last >= log_end) {
                let what = Oddity::BatchCut { end: last };
                findings.add(self.offset(index, at), what);
            }
        }
    }

    /// From the segment on that the headers call stable, no number may be missing: sled drops what
    /// follows a gap (`check_contiguity_in_unstable_tail`). Before that, a missing number is that
    /// of a segment that was used again.
    fn look_at_contiguity(&self, lives: &BTreeMap<u64, (u64, &Life)>, findings: &mut Findings) {
        let first = match self.remembered {
            Remembered::Open(open) => self.layout.segment_lsn(open.stable),
            Remembered::Nothing | Remembered::Unknown => 0,
        };
        let stable = lives
            .range(first..)
            .filter_map(|(_, (_, life))| u64::try_from(life.stable_lsn).ok())
            .fold(first, u64::max);
        let mut expected = self.layout.segment_lsn(stable);
        let mut present = lives.range(expected..).peekable();
        let at = match present.peek() {
            Some(_) => present.find_map(|(lsn, (index, _))| {
                let is_missing = *lsn != expected;
                if !is_missing {
                    expected = expected.saturating_add(self.layout.segment_size);
                }
                is_missing.then(|| self.offset(*index, 0))
            }),
            // That a header calls stable what is not there; without one there is nothing to miss.
            None => lives.range(first..).next().map(|_| self.length),
        };
        if let Some(at) = at {
            let missing = expected / self.layout.segment_size;
            findings.add(at, Oddity::SegmentMissing { missing });
        }
    }

    /// sled writes a segment from its start on, as far as its messages reach, or whole; only
    /// clearing the rest at an open leaves out the last byte.
    fn look_at_length(&self, log_end: Option<u64>, findings: &mut Findings) {
        let rest = self.length % self.layout.segment_size;
        let is_usual = rest == 0 || rest == self.layout.segment_size - 1;
        if !is_usual && log_end != Some(self.length) {
            findings.add(self.length, Oddity::CutShort);
        }
    }

    fn look_at_last_open(
        &self,
        open: &LastOpen,
        lives: &BTreeMap<u64, (u64, &Life)>,
        findings: &mut Findings,
    ) {
        let next_lsn = open.next_lsn(self.layout);
        let reached = match lives.last_key_value() {
            // Nothing has to be behind a full segment.
            Some((lsn, _)) if open.active.is_none() => lsn.saturating_add(self.layout.segment_size),
            Some((lsn, (_, life))) => lsn.saturating_add(life.end as u64),
            None => 0,
        };
        if open.stable > reached {
            let stable = open.stable;
            findings.add(self.length, Oddity::SnapshotAhead { stable });
        }
        for (index, expected) in &open.used {
            // Where the file has become shorter, sled cut off what was free.
            let content = usize::try_from(*index)
                .ok()
                .and_then(|it| self.contents.get(it));
            match content {
                Some(Content::Zeros) => {
                    findings.add(self.offset(*index, 0), Oddity::SegmentZeroed);
                }
                Some(Content::Life(life)) if life.lsn != *expected && life.lsn < next_lsn => {
                    let what = Oddity::SegmentOutdated {
                        found: life.lsn / self.layout.segment_size,
                        expected: expected / self.layout.segment_size,
                    };
                    findings.add(self.offset(*index, 0), what);
                }
                Some(Content::Life(_) | Content::Unreadable) | None => {}
            }
        }
        let begun_since = lives.range(next_lsn..).map(|(_, (index, _))| *index);
        self.look_at_zeros(begun_since.max().unwrap_or(0), findings);
    }

    /// A segment of zeros is free, and sled takes the free segment that comes first (`segment.rs`,
    /// `next`): behind one there is none that was begun since it became free.
    fn look_at_zeros(&self, before: u64, findings: &mut Findings) {
        for (index, content) in (0..before).zip(&self.contents) {
            match content {
                Content::Zeros => findings.add(self.offset(index, 0), Oddity::SegmentZeroed),
                Content::Unreadable | Content::Life(_) => {}
            }
        }
    }
}

/// Whether what the log lost could begin here without a trace: if the disk lost sectors, the first
/// one begins right here or in the header of the next message, of which the rest would be seen, or
/// in the end of the last message, where it happens to be what it was.
fn may_begin_a_loss(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rev();
    let zeros = before.take_while(|byte| **byte == 0).count();
    let first = (at - zeros).saturating_sub(4) as u64;
    let sector = first.next_multiple_of(SECTOR_BYTES);
    sector <= (at + MESSAGE_HEADER_BYTES_MAX) as u64
}

/// What is behind the last message of the newest segment.
struct End<'a> {
    /// The whole segment, as far as the file has it.
    bytes: &'a [u8],
    at: usize,
    /// The segment's number.
    number: u64,
    /// The lowest number that the segment can have had.
    oldest: u64,
    layout: Layout,
}

impl End<'_> {
    /// What is odd here, and where.
    fn oddity(&self, was_used_before: bool) -> Option<(usize, Oddity)> {
        let rest = self.bytes.get(self.at..)?;
        let first = self.at + first_non_zero(rest)?;
        if first + 1 == self.layout.segment_bytes {
            // The one byte that clearing leaves out; it is written to before it is read.
            return None;
        }
        if self.is_spoilt_message() {
            return Some((self.at, Oddity::Message));
        }
        if !was_used_before {
            return Some((first, Oddity::Remains));
        }
        self.earlier_life()
    }

    /// Does this look like a message of the present life with something wrong? As a checksum finds
    /// a wrong bit in the body but not which one it is in the header, the header is tried with each
    /// of its bits flipped.
    fn is_spoilt_message(&self) -> bool {
        let rest = &self.bytes[self.at..];
        let is_ours = |header: &Header| header.number == self.number && header.is_plausible();
        if Header::parse(rest).is_some_and(|header| is_ours(&header)) {
            return true;
        }
        let (start, _) = rest.split_at(rest.len().min(MESSAGE_HEADER_BYTES_MAX));
        (0..start.len() * 8).any(|bit| {
            let mut start = start.to_vec();
            start[bit / 8] ^= 1 << (bit % 8);
            let header = Header::parse_start(&start, rest.len());
            header.is_some_and(|header| {
                let body = header.body(rest);
                is_ours(&header) && header.checksum == checksum(header.head(&start), body)
            })
        })
    }

    /// In a segment that was used before, the end of a message of its earlier life comes first, and
    /// then that life's messages up to where the segment is full. What the first bytes are cannot
    /// be told; they must be fewer than a message has, and hold no message of the present life.
    fn earlier_life(&self) -> Option<(usize, Oddity)> {
        let end = (self.at + self.layout.message_bytes_max()).min(self.bytes.len());
        let mut searched = 0;
        for at in self.at..end {
            let rest = &self.bytes[at..];
            let Some(header) = Header::parse(rest) else {
                continue;
            };
            let numbers = self.oldest..=self.number;
            if !header.is_plausible() || !numbers.contains(&header.number) {
                continue;
            }
            searched += header.message_bytes();
            if searched > SEARCH_BYTES_MAX {
                return Some((at, Oddity::Remains));
            }
            if header.has_checksum_of(rest) {
                return if header.number == self.number {
                    Some((self.at, Oddity::Message))
                } else {
                    self.rest_of_life(at, header.number)
                };
            }
        }
        // The last message before the segment was full, perhaps.
        let rest = &self.bytes[end..];
        first_non_zero(rest).map(|at| (end + at, Oddity::Remains))
    }

    fn rest_of_life(&self, at: usize, number: u64) -> Option<(usize, Oddity)> {
        let mut life = Life {
            lsn: number.saturating_mul(self.layout.segment_size),
            stable_lsn: 0,
            end: at,
            is_full: false,
            batch: None,
        };
        match walk(self.bytes, 0, &mut life, self.layout, &mut Seen::default()) {
            Some(from) => {
                let padding = self.bytes.get(from..).unwrap_or_default();
                first_non_zero(padding).map(|at| (from + at, Oddity::Remains))
            }
            None => Some((life.end, Oddity::Remains)),
        }
    }
}

/// sled's kinds of messages (`MessageKind`), as far as they differ here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Canceled,
    Cap,
    BatchManifest,
    /// A page as a whole, or that it is free.
    Page,
    /// A change of a page.
    Link,
    /// Either, but in a file of its own.
    Blob,
}

/// A message's header as it is found: nothing is certain before the checksum was seen to be right.
struct Header {
    checksum: u32,
    kind: u8,
    number: u64,
    page: u64,
    head_bytes: usize,
    body_bytes: usize,
}

impl Header {
    /// The header at the start of these bytes, if there is room for the body as well.
    fn parse(bytes: &[u8]) -> Option<Self> {
        Self::parse_start(bytes, bytes.len())
    }

    /// The same for a header alone, where there are so many bytes from its start on.
    fn parse_start(start: &[u8], bytes_max: usize) -> Option<Self> {
        let mut rest = start;
        let checksum = take(&mut rest, 4)?.try_into().ok()?;
        let kind = take(&mut rest, 1)?[0];
        let body_bytes = usize::try_from(take_varint(&mut rest)?).ok()?;
        let number = take_varint(&mut rest)?;
        let page = take_varint(&mut rest)?;
        let head_bytes = start.len() - rest.len();
        (body_bytes <= bytes_max.checked_sub(head_bytes)?).then_some(Self {
            checksum: u32::from_le_bytes(checksum),
            kind,
            number,
            page,
            head_bytes,
            body_bytes,
        })
    }

    fn kind(&self) -> Option<Kind> {
        match self.kind {
            1 => Some(Kind::Canceled),
            2 => Some(Kind::Cap),
            3 => Some(Kind::BatchManifest),
            4..=6 | 8 => Some(Kind::Page),
            10 => Some(Kind::Link),
            7 | 9 | 11 => Some(Kind::Blob),
            // 0 is what sled calls corrupted, and so is what it does not know.
            0 | 12.. => None,
        }
    }

    /// Whether sled would write such a header: most bytes that are none are told by this alone.
    fn is_plausible(&self) -> bool {
        let is_page = self.page >> PAGE_BITS == 0;
        match self.kind() {
            Some(Kind::Cap) => self.page == u64::MAX,
            Some(Kind::BatchManifest) => self.page == BATCH_MANIFEST_PAGE && self.body_bytes == 8,
            Some(Kind::Canceled) => is_page || self.page == BATCH_MANIFEST_PAGE,
            Some(Kind::Page | Kind::Link | Kind::Blob) => is_page,
            None => false,
        }
    }

    fn message_bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// The header's part of bytes that it was parsed from.
    fn head<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..self.head_bytes]
    }

    /// The body, where the header was parsed with all these bytes.
    fn body<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.head_bytes..self.message_bytes()]
    }

    fn has_checksum_of(&self, bytes: &[u8]) -> bool {
        self.checksum == checksum(self.head(bytes), self.body(bytes))
    }
}

/// sled's `calculate_message_crc32`: first the body, then the header behind its checksum.
fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(&head[4..]);
    !hasher.finalize()
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(take(bytes, 8)?.try_into().ok()?))
}

/// sled's varint (`serialization.rs`): the first byte is the value, or says how many follow.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let first = take(bytes, 1)?[0];
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * u64::from(first - 241) + u64::from(take(bytes, 1)?[0]),
        249 => {
            let two = take(bytes, 2)?;
            2288 + 256 * u64::from(two[0]) + u64::from(two[1])
        }
        250.. => {
            let count = usize::from(first - 247);
            let mut value = [0; 8];
            value[..count].copy_from_slice(take(bytes, count)?);
            u64::from_le_bytes(value)
        }
    })
}

fn first_non_zero(bytes: &[u8]) -> Option<usize> {
    const PIECE: usize = 4096;
    let pieces = bytes.chunks(PIECE);
    let zeros = pieces.take_while(|piece| **piece == [0; PIECE][..piece.len()]);
    let from = bytes.len().min(zeros.count() * PIECE);
    let at = bytes[from..].iter().position(|byte| *byte != 0)?;
    Some(from + at)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::OpenOptions;

    use tempfile::TempDir;

    use super::*;

    const SEGMENT_SIZE: u64 = 2 * 1024 * 1024;
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    /// splitmix64: the same numbers for the same seed, and nothing more is asked of it.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut it = self.0;
            it = (it ^ (it >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            it = (it ^ (it >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            it ^ (it >> 31)
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound
        }

        fn bytes(&mut self, count: u64) -> Vec<u8> {
            let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
            words.take(usize::try_from(count).unwrap()).collect()
        }
    }

    /// A store of sled's, and what was written to it.
    struct Store {
        directory: TempDir,
        values: BTreeMap<Vec<u8>, Vec<u8>>,
        random: Random,
        next: u64,
    }

    impl Store {
        fn new(seed: u64) -> Self {
            println!("seed {seed}");
            Self {
                directory: tempfile::tempdir().unwrap(),
                values: BTreeMap::new(),
                random: Random(seed),
                next: 1,
            }
        }

        fn path(&self) -> &Path {
            self.directory.path()
        }

        /// Opens, writes batches that are each flushed, and closes.
        fn session(&mut self, bytes: u64) {
            let db = open(self.path());
            self.write(&db, bytes);
        }

        fn write(&mut self, db: &sled::Db, bytes: u64) {
            let mut written = 0;
            while written < bytes {
                let mut batch = sled::Batch::default();
                for _ in 0..=self.random.below(6) {
                    let size = match self.random.below(3) {
                        0 => 100 + self.random.below(24 * KIB - 100),
                        _ => 100 + self.random.below(2 * KIB),
                    };
                    for (prefix, size) in [(b'B', size), (b'I', 60)] {
                        let key = [&[prefix], self.next.to_be_bytes().as_slice()].concat();
                        let value = self.random.bytes(size);
                        batch.insert(&*key, &*value);
                        self.values.insert(key, value);
                        written += size;
                    }
                    self.next += 1;
                }
                db.apply_batch(batch).unwrap();
                db.flush().unwrap();
            }
        }

        fn length(&self) -> u64 {
            fs::metadata(self.path().join("db")).unwrap().len()
        }

        fn survey(&self) -> Survey {
            survey(self.path(), SEGMENT_SIZE, self.length()).unwrap()
        }

        /// Where the log ends, and whether its newest segment was used before.
        fn log_end(&self) -> (u64, bool) {
            let layout = Layout {
                segment_size: SEGMENT_SIZE,
                segment_bytes: usize::try_from(SEGMENT_SIZE).unwrap(),
            };
            let file = File::open(self.path().join("db")).unwrap();
            let (contents, _) = read_segments(&file, self.length(), layout).unwrap();
            let lives = (0..)
                .zip(&contents)
                .filter_map(|(index, content)| match content {
                    Content::Life(life) => Some((index, life)),
                    Content::Zeros | Content::Unreadable => None,
                });
            let (index, newest) = lives.max_by_key(|(_, life)| life.lsn).unwrap();
            let offset = index * SEGMENT_SIZE;
            (offset + newest.end as u64, newest.lsn > offset)
        }

        /// Writes until the newest segment has remains of an earlier life behind the log's end.
        fn until_used_again(&mut self) {
            let db = open(self.path());
            for _ in 0..400 {
                self.write(&db, 100 * KIB);
                if let (end, true) = self.log_end()
                    && self.next_byte_at(end) != [0; 64]
                    && end % SEGMENT_SIZE > 256 * KIB
                {
                    return;
                }
            }
            panic!("no segment was used again");
        }

        fn next_byte_at(&self, offset: u64) -> [u8; 64] {
            let mut bytes = [0; 64];
            let file = File::open(self.path().join("db")).unwrap();
            let _ = file.read_at(&mut bytes, offset).unwrap();
            bytes
        }

        /// Changes some bytes of a file, looks, and changes them back.
        #[track_caller]
        fn with_damage(&self, name: &str, offset: u64, damage: impl Fn(&mut [u8]), count: usize) {
            let path = self.path().join(name);
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap();
            let mut before = vec![0; count];
            let count = file.read_at(&mut before, offset).unwrap();
            before.truncate(count);
            let mut after = before.clone();
            damage(&mut after);
            file.write_all_at(&after, offset).unwrap();
            let survey = self.survey();
            if after != before && survey.is_clean() {
                println!("no finding for {name} at {offset}");
                assert!(self.is_whole(), "missed: {name} at {offset}");
            }
            file.write_all_at(&before, offset).unwrap();
        }

        /// Whether sled, on a copy, still has every value.
        fn is_whole(&self) -> bool {
            let copy = self.copy();
            let values = std::panic::catch_unwind(|| {
                let db = open(copy.path());
                let entries = db.iter().map(Result::unwrap);
                let entries = entries.map(|(key, value)| (key.to_vec(), value.to_vec()));
                entries.collect::<BTreeMap<_, _>>()
            });
            values.is_ok_and(|values| values == self.values)
        }

        /// What a killed process would leave behind.
        fn copy(&self) -> TempDir {
            let copy = tempfile::tempdir().unwrap();
            fs::create_dir(copy.path().join("blobs")).unwrap();
            for entry in fs::read_dir(self.path()).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
                }
            }
            copy
        }
    }

    fn open(directory: &Path) -> sled::Db {
        let config = sled::Config::new().path(directory);
        let config = config.segment_size(usize::try_from(SEGMENT_SIZE).unwrap());
        config.flush_every_ms(Some(500)).open().unwrap()
    }

    #[track_caller]
    fn assert_clean(survey: &Survey) {
        assert!(survey.is_clean(), "{:?}", survey.findings);
    }

    #[test]
    fn a_closed_store_is_clean() {
        let mut store = Store::new(1);
        for bytes in [0, 1, 5 * MIB, 0, 5 * MIB, 1] {
            store.session(bytes);
            let survey = store.survey();
            assert_clean(&survey);
            assert!(survey.bytes_read >= store.length());
            assert_eq!(survey.blobs, 0);
        }
        store.until_used_again();
        assert_clean(&store.survey());
    }

    #[test]
    fn a_store_that_is_copied_while_it_is_open_is_clean() {
        let mut store = Store::new(2);
        store.session(3 * MIB);
        let db = open(store.path());
        for _ in 0..8 {
            store.write(&db, MIB);
            // A copy is not of one instant, and sled has a thread of its own.
            let is_clean = (0..3).any(|_| {
                let copy = store.copy();
                let survey = survey(copy.path(), SEGMENT_SIZE, store.length()).unwrap();
                survey.is_clean()
            });
            assert!(is_clean);
        }
    }

    #[test]
    fn a_flipped_bit_is_found_or_does_no_harm() {
        for (seed, used_again) in [(3, false), (4, true)] {
            let mut store = Store::new(seed);
            store.session(4 * MIB);
            if used_again {
                store.until_used_again();
            } else {
                store.session(2 * MIB);
            }
            assert_clean(&store.survey());
            let (end, _) = store.log_end();
            let mut random = Random(seed);
            for round in 0..240 {
                let offset = match round % 4 {
                    0 | 1 => random.below(store.length()),
                    // The last message has nothing behind it that could tell.
                    2 => end - 1 - random.below(100),
                    _ => {
                        random.below(store.length()) / SEGMENT_SIZE * SEGMENT_SIZE
                            + random.below(60)
                    }
                };
                let bit = random.below(8);
                store.with_damage("db", offset, |bytes| bytes[0] ^= 1 << bit, 1);
            }
        }
    }

    #[test]
    fn a_flipped_bit_in_the_small_files_is_found() {
        let mut store = Store::new(5);
        store.session(100 * KIB);
        store.session(0);
        let names = fs::read_dir(store.path())
            .unwrap()
            .map(|it| it.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let snapshot = names.iter().find(|name| name.starts_with("snap.")).unwrap();
        for name in ["conf", snapshot] {
            let path = store.path().join(name);
            let before = fs::read(&path).unwrap();
            for at in 0..before.len().min(200) {
                // From the end, where checksum and length are.
                let at = before.len() - 1 - at;
                let mut after = before.clone();
                after[at] ^= 1 << (at % 8);
                fs::write(&path, after).unwrap();
                assert!(!store.survey().is_clean(), "{name} at {at}");
            }
            fs::write(&path, before).unwrap();
        }
        assert_clean(&store.survey());
    }

    #[test]
    fn zeroed_sectors_and_segments_are_found_or_do_no_harm() {
        let mut store = Store::new(6);
        store.session(5 * MIB);
        store.session(2 * MIB);
        store.until_used_again();
        let (end, _) = store.log_end();
        let mut random = Random(6);
        for round in 0..120 {
            let sector = if round % 4 == 0 { 4096 } else { 512 };
            let offset = match round % 3 {
                0 => end.saturating_sub(random.below(32 * KIB)),
                _ => random.below(store.length()),
            };
            let offset = offset / sector * sector;
            store.with_damage(
                "db",
                offset,
                |bytes| bytes.fill(0),
                usize::try_from(sector).unwrap(),
            );
        }
        for index in 0..store.length().div_ceil(SEGMENT_SIZE) {
            let count = usize::try_from(SEGMENT_SIZE).unwrap();
            store.with_damage("db", index * SEGMENT_SIZE, |bytes| bytes.fill(0), count);
        }
        assert_clean(&store.survey());
    }

    #[test]
    fn a_cut_or_missing_file_is_found() {
        let mut store = Store::new(7);
        store.session(5 * MIB);
        let length = store.length();
        let file = OpenOptions::new()
            .write(true)
            .open(store.path().join("db"))
            .unwrap();
        for part in (0..20).rev() {
            let cut = length * part / 20 + store.random.below(10 * KIB);
            file.set_len(cut).unwrap();
            let found = survey(store.path(), SEGMENT_SIZE, length).unwrap();
            assert!(!found.is_clean(), "cut to {cut} bytes");
            // Only where a message ends does the log itself not show it.
            let found = survey(store.path(), SEGMENT_SIZE, 0).unwrap();
            assert!(
                !found.is_clean(),
                "cut to {cut} bytes, with no length known"
            );
        }
        for name in ["db", "conf"] {
            fs::remove_file(store.path().join(name)).unwrap();
            let survey = survey(store.path(), SEGMENT_SIZE, 0).unwrap();
            let is_missing = |finding: &Finding| {
                finding.file == Path::new(name) && matches!(finding.what, Oddity::Missing)
            };
            assert!(survey.findings.iter().any(is_missing));
        }
    }

    #[test]
    fn what_is_behind_the_last_commit_was_never_acknowledged() {
        let mut store = Store::new(8);
        store.session(MIB);
        let length = store.length();
        let file = OpenOptions::new()
            .append(true)
            .open(store.path().join("db"))
            .unwrap();
        io::Write::write_all(&mut &file, &[7; 100]).unwrap();
        assert_clean(&survey(store.path(), SEGMENT_SIZE, length).unwrap());
        assert!(
            !survey(store.path(), SEGMENT_SIZE, length + 100)
                .unwrap()
                .is_clean()
        );
    }

    #[test]
    fn a_file_beside_the_log_is_found() {
        let mut store = Store::new(9);
        store.session(1);
        fs::write(store.path().join("blobs/17"), b"page").unwrap();
        let survey = store.survey();
        assert_eq!(survey.blobs, 1);
        assert!(matches!(survey.findings[0].what, Oddity::Blob));
        assert_eq!(survey.findings[0].file, Path::new("blobs/17"));
    }

    /// Small segments hold all that large ones do, and it takes less time to spoil them.
    #[test]
    fn no_bytes_make_it_panic() {
        let seed = 10;
        println!("seed {seed}");
        let mut random = Random(seed);
        let directory = tempfile::tempdir().unwrap();
        let (path, snapshot) = (directory.path(), directory.path().join("snap.0"));
        for _ in 0..300 {
            let segment_size = 256 << random.below(4);
            let mut db = Vec::new();
            for index in 0..random.below(6) {
                db.extend(segment(&mut random, index, segment_size));
            }
            db.truncate(db.len() - usize::try_from(random.below(db.len() as u64 + 1) / 4).unwrap());
            fs::write(path.join("db"), db).unwrap();
            let table = [
                [u8::from(random.below(2) == 0); 8].to_vec(),
                random.bytes(40),
            ]
            .concat();
            let length = (table.len() as u64).to_le_bytes();
            let checksum = crc32fast::hash(&table).to_le_bytes();
            fs::write(&snapshot, [&table, &length[..], &checksum[..]].concat()).unwrap();
            survey(path, segment_size, random.below(2000)).unwrap();
        }
        assert!(survey(path, 0, 0).is_err());
    }

    /// A segment with a right header and messages whose checksums are right, and nonsense else.
    fn segment(random: &mut Random, index: u64, segment_size: u64) -> Vec<u8> {
        let lsn = (index + random.below(3)) * segment_size;
        let number = u8::try_from(lsn / segment_size).unwrap();
        let stable = if random.below(4) == 0 {
            random.next()
        } else {
            random.below(2000)
        };
        let lsns = [lsn, stable].map(|it| (it.cast_signed() ^ LSN_MASK).to_le_bytes());
        let mut bytes = (!crc32fast::hash(&lsns.concat())).to_le_bytes().to_vec();
        bytes.extend(lsns.concat());
        for _ in 0..random.below(8) {
            let body_bytes = random.below(40);
            let head = [
                random.next().to_le_bytes()[0] % 13,
                body_bytes.to_le_bytes()[0],
                number,
                3,
            ];
            let body = random.bytes(body_bytes);
            let checksum = checksum(&[&[0; 4], &head[..]].concat(), &body);
            bytes.extend([&checksum.to_le_bytes(), &head[..], &body].concat());
        }
        if random.below(2) == 0 {
            bytes.extend(random.bytes(segment_size));
        }
        bytes.resize(usize::try_from(segment_size).unwrap(), 0);
        bytes
    }
}
