//! Segments: what can be told from each one alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::survey::Oddity;
use crate::survey::message::{Header, Kind, MESSAGE_HEADER_BYTES_MAX};
use crate::survey::seen::Seen;

/// sled's `SEG_HEADER_LEN`.
const SEGMENT_HEADER_BYTES: usize = 20;

/// The smallest segment that sled takes.
pub(super) const SEGMENT_BYTES_MIN: u64 = 256;

/// sled keeps an LSN in a segment's header with these bits flipped.
pub(super) const LSN_MASK: i64 = i64::MAX;

#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) segment_size: u64,
    /// The same, for what is in memory.
    pub(super) segment_bytes: usize,
}

impl Layout {
    /// The LSN of the segment that this one is in.
    pub(super) fn segment_lsn(self, lsn: u64) -> u64 {
        lsn - lsn % self.segment_size
    }

    /// A page that is larger is kept outside the log (`Log::reserve_inner`).
    pub(super) fn message_bytes_max(self) -> usize {
        self.segment_bytes / 4
    }

    /// Behind this no message begins.
    fn message_at_max(self) -> usize {
        self.segment_bytes - MESSAGE_HEADER_BYTES_MAX
    }
}

/// What a segment holds.
pub(super) enum Content {
    Zeros,
    Unreadable,
    Life(Life),
}

/// One use of a segment, from being begun until it is free.
pub(super) struct Life {
    pub(super) lsn: u64,
    /// Up to here the log was stable when the segment was begun; -1 for nowhere.
    pub(super) stable_lsn: i64,
    /// Where the log ends in this segment: at a `Cap` or behind the last good message.
    pub(super) end: usize,
    /// Nothing can follow in this segment.
    pub(super) is_full: bool,
    /// The batch that reaches furthest: its last LSN, and where it begins.
    pub(super) batch: Option<(i64, usize)>,
}

/// Reads every segment once, on two threads: checksums of one while the other waits for the disk.
pub(super) fn read_segments(
    file: &File,
    length: u64,
    layout: Layout,
) -> io::Result<(Vec<Content>, Seen)> {
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
pub(super) fn read_up_to<'a>(
    file: &File,
    buffer: &'a mut [u8],
    offset: u64,
) -> io::Result<&'a [u8]> {
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
pub(super) fn walk(
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

pub(super) fn first_non_zero(bytes: &[u8]) -> Option<usize> {
    const PIECE: usize = 4096;
    let pieces = bytes.chunks(PIECE);
    let zeros = pieces.take_while(|piece| **piece == [0; PIECE][..piece.len()]);
    let from = bytes.len().min(zeros.count() * PIECE);
    let at = bytes[from..].iter().position(|byte| *byte != 0)?;
    Some(from + at)
}
