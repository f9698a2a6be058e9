//! Many records with their proofs in one text.
//!
//! ```text
//! muster-bundle@v1
//! filter stream=profile-ada           what was asked for: claimed, not proven
//!                                      an empty line
//! the checkpoint, which ends in its signatures
//!                                      an empty line
//! record 7                             the position, from 1
//! base64 of the record as stored
//! base64 of each hash of its inclusion proof, from the leaf up
//!                                      an empty line
//! …                                    further records, by position
//! end 1                                how many there were
//! ```

use std::io::{self, BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::text::{HASHES_MAX, decimal};
use crate::{
    Checkpoint, Hash, InvalidCheckpoint, NOTE_BYTES_MAX, ProofError, TrustedKey, leaf_hash,
    verify_inclusion,
};

const HEADER: &str = "muster-bundle@v1";
/// The longest line that is read, in bytes: that of a record of 16 MiB.
const LINE_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// A record with the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleRecord {
    /// From 1.
    pub position: u64,
    pub record: Vec<u8>,
    pub hashes: Vec<Hash>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidBundle {
    #[error("line {line}: {expected} is expected")]
    Text { line: u64, expected: &'static str },
    #[error("the checkpoint is not to be believed")]
    Checkpoint(#[from] InvalidCheckpoint),
    #[error("the record at position {position} is not proven: {error}")]
    Unproven { position: u64, error: ProofError },
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The beginning of a bundle as text. `filter` must have no line break.
pub fn bundle_head(filter: &str, checkpoint: &str) -> String {
    let filter = format!("filter {filter}");
    format!("{HEADER}\n{}\n\n{checkpoint}\n", filter.trim_end())
}

/// The end of a bundle as text.
pub fn bundle_end(records: u64) -> String {
    format!("end {records}\n")
}

impl std::fmt::Display for BundleRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "record {}", self.position)?;
        writeln!(f, "{}", STANDARD.encode(&self.record))?;
        for hash in &self.hashes {
            writeln!(f, "{}", hash.to_base64())?;
        }
        writeln!(f)
    }
}

/// Reads a bundle, and gives out nothing that is not proven.
pub struct BundleReader<R> {
    input: R,
    line: u64,
    filter: String,
    checkpoint: Checkpoint,
    last: u64,
    records: u64,
    is_done: bool,
}

impl<R: BufRead> BundleReader<R> {
    /// Reads up to the records, and checks the checkpoint with these keys.
    pub fn open(mut input: R, keys: &[TrustedKey]) -> Result<Self, InvalidBundle> {
        let mut line = 0;
        let mut next = |expected| next_line(&mut input, &mut line, expected);
        if next("`muster-bundle@v1`")? != HEADER {
            return Err(invalid(1, "`muster-bundle@v1`"));
        }
        let filter = next("`filter`")?;
        let filter = filter.strip_prefix("filter");
        let filter = filter.ok_or_else(|| invalid(2, "`filter`"))?;
        let filter = filter.trim_start().to_owned();
        if !next("an empty line")?.is_empty() {
            return Err(invalid(3, "an empty line"));
        }
        let mut note = String::new();
        // The text, and then the signatures.
        for _ in 0..2 {
            loop {
                let line = next("the checkpoint")?;
                if note.len() + line.len() > NOTE_BYTES_MAX {
                    return Err(invalid(4, "a checkpoint that is not so long"));
                }
                if line.is_empty() {
                    break;
                }
                note.push_str(&line);
                note.push('\n');
            }
            note.push('\n');
        }
        note.pop();
        Ok(Self {
            checkpoint: Checkpoint::open(note.as_bytes(), keys)?,
            input,
            line,
            filter,
            last: 0,
            records: 0,
            is_done: false,
        })
    }

    /// What was asked for, as whoever made the bundle says.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// How many records were given out.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The next record, which is in the log.
    pub fn next_record(&mut self) -> Result<Option<BundleRecord>, InvalidBundle> {
        const EXPECTED: &str =
            "`record` with a higher position, or `end` with the number of records,";
        if self.is_done {
            return Ok(None);
        }
        let line = self.next_line(EXPECTED)?;
        if let Some(records) = line.strip_prefix("end ") {
            let is_all = decimal(records) == Some(self.records);
            if !is_all || !self.input.fill_buf()?.is_empty() {
                return Err(invalid(
                    self.line,
                    "the end, with as many records as there are,",
                ));
            }
            self.is_done = true;
            return Ok(None);
        }
        let position = line.strip_prefix("record ").and_then(decimal);
        let position = position.filter(|position| *position > self.last);
        let position = position.ok_or_else(|| invalid(self.line, EXPECTED))?;
        let record = STANDARD.decode(self.next_line("a record in base64")?);
        let record = record.map_err(|_| invalid(self.line, "a record in base64"))?;
        let mut hashes = Vec::new();
        loop {
            let line = self.next_line("a hash in base64, or an empty line,")?;
            if line.is_empty() {
                break;
            }
            let hash = Hash::from_base64(&line).filter(|_| hashes.len() < HASHES_MAX);
            hashes.push(hash.ok_or_else(|| invalid(self.line, "a hash in base64"))?);
        }
        verify_inclusion(
            leaf_hash(&record),
            position - 1,
            &self.checkpoint.head,
            &hashes,
        )
        .map_err(|error| InvalidBundle::Unproven { position, error })?;
        self.last = position;
        self.records += 1;
        Ok(Some(BundleRecord {
            position,
            record,
            hashes,
        }))
    }

    fn next_line(&mut self, expected: &'static str) -> Result<String, InvalidBundle> {
        next_line(&mut self.input, &mut self.line, expected)
    }
}

fn next_line(
    input: &mut impl BufRead,
    line: &mut u64,
    expected: &'static str,
) -> Result<String, InvalidBundle> {
    *line += 1;
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(invalid(*line, expected));
    }
    String::from_utf8(bytes).map_err(|_| invalid(*line, expected))
}

fn invalid(line: u64, expected: &'static str) -> InvalidBundle {
    InvalidBundle::Text { line, expected }
}
