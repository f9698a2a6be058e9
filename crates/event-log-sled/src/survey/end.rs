//! What lies behind the newest message.

use crate::survey::Oddity;
use crate::survey::message::{Header, MESSAGE_HEADER_BYTES_MAX, checksum};
use crate::survey::seen::Seen;
use crate::survey::segment::{Layout, Life, first_non_zero, walk};

/// The least that a disk loses at once, from a multiple of it on.
const SECTOR_BYTES: u64 = 512;

/// How much is put through a checksum in search of a message in one segment's remains. Without a
/// bound, bytes made for the purpose would take minutes.
const SEARCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Whether what the log lost could begin here without a trace: if the disk lost sectors, the first
/// one begins right here or in the header of the next message, of which the rest would be seen, or
/// in the end of the last message, where it happens to be what it was.
pub(super) fn may_begin_a_loss(bytes: &[u8], at: usize) -> bool {
    let before = bytes[..at].iter().rev();
    let zeros = before.take_while(|byte| **byte == 0).count();
    let first = (at - zeros).saturating_sub(4) as u64;
    let sector = first.next_multiple_of(SECTOR_BYTES);
    sector <= (at + MESSAGE_HEADER_BYTES_MAX) as u64
}

/// What is behind the last message of the newest segment.
pub(super) struct End<'a> {
    /// The whole segment, as far as the file has it.
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// The segment's number.
    pub(super) number: u64,
    /// The lowest number that the segment can have had.
    pub(super) oldest: u64,
    pub(super) layout: Layout,
}

impl End<'_> {
    /// What is odd here, and where.
    pub(super) fn oddity(&self, was_used_before: bool) -> Option<(usize, Oddity)> {
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
