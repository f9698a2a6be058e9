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

mod end;
mod log;
mod message;
mod seen;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::survey::log::look_at_log;
use crate::survey::segment::{Layout, SEGMENT_BYTES_MIN};
use crate::survey::snapshot::look_at_snapshots;

/// More would say nothing new.
const FINDINGS_MAX: usize = 64;

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
