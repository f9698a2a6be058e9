//! The log as a whole: what its segments and the snapshot say of each other.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::survey::end::{End, may_begin_a_loss};
use crate::survey::seen::{Findings, Seen};
use crate::survey::segment::{Content, Layout, Life, read_segments, read_up_to};
use crate::survey::snapshot::{LastOpen, Remembered};
use crate::survey::{Oddity, Survey};

pub(super) fn look_at_log(
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

    /// A segment of zeros is free, and sled takes the free segment that comes first (its own
    /// `segment.rs`, `next`): behind one there is none that was begun since it became free.
    fn look_at_zeros(&self, before: u64, findings: &mut Findings) {
        for (index, content) in (0..before).zip(&self.contents) {
            match content {
                Content::Zeros => findings.add(self.offset(index, 0), Oddity::SegmentZeroed),
                Content::Unreadable | Content::Life(_) => {}
            }
        }
    }
}
