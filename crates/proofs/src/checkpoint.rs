//! Checkpoints as in `c2sp.org/tlog-checkpoint`: a signed note of which log, how large, which root.

use crate::text::{Lines, decimal};
use crate::{
    Hash, InvalidNote, InvalidText, Note, SignerKey, TreeHead, TrustedKey, Unverified, VerifierKey,
};

/// What a log says of itself at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    pub head: TreeHead,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    #[error(transparent)]
    Note(#[from] InvalidNote),
    #[error(transparent)]
    Text(#[from] InvalidText),
    #[error("it is of the log `{0}`")]
    OtherLog(String),
    #[error(transparent)]
    Unverified(#[from] Unverified),
    #[error(
        "the key that signed it was replaced when the log had {until} records, and it is of {size}"
    )]
    KeyEnded { until: u64, size: u64 },
}

impl Checkpoint {
    /// The signed note.
    ///
    /// # Errors
    /// Of an origin that is none.
    pub fn sign(&self, key: &SignerKey) -> Result<String, InvalidNote> {
        if self.origin.is_empty() || self.origin.contains('\n') {
            return Err(InvalidNote::Form);
        }
        let (size, root) = (self.head.size, self.head.root.to_base64());
        let text = format!("{}\n{size}\n{root}\n", self.origin);
        Ok(Note::sign(text, &[key])?.to_string())
    }

    /// Reads a note and believes it if one of the keys signed it, while it was good, for the log of the
    /// keys' name.
    pub fn open(note: &[u8], keys: &[TrustedKey]) -> Result<Self, InvalidCheckpoint> {
        let note = Note::parse(note)?;
        let read = Self::parse(note.unverified_text())?;
        let all: Vec<VerifierKey> = keys.iter().map(|it| it.key.clone()).collect();
        if !all.is_empty() && all.iter().all(|key| key.name() != read.origin) {
            return Err(InvalidCheckpoint::OtherLog(read.origin));
        }
        let signers = note.signers(&all)?;
        let ends = |place: &usize| keys[*place].until;
        let size = read.head.size;
        let still_good = |place: &usize| ends(place).is_none_or(|until| size <= until);
        if signers.iter().any(still_good) {
            return Ok(read);
        }
        let until = signers.iter().filter_map(ends).max().unwrap_or_default();
        Err(InvalidCheckpoint::KeyEnded { until, size })
    }

    /// What a note claims, whoever signed it.
    pub fn read_unverified(note: &[u8]) -> Result<Self, InvalidCheckpoint> {
        Ok(Self::parse(Note::parse(note)?.unverified_text())?)
    }

    fn parse(text: &str) -> Result<Self, InvalidText> {
        let mut lines = Lines::of(text);
        let origin = lines.next("the origin")?;
        if origin.is_empty() {
            return Err(lines.not("the origin"));
        }
        let size = lines.next("the size of the tree")?;
        let size = decimal(size).ok_or_else(|| lines.not("the size of the tree"))?;
        let root = lines.next("the root in base64")?;
        let root = Hash::from_base64(root).ok_or_else(|| lines.not("the root in base64"))?;
        // Lines that extend it are read over, but there are no empty ones.
        while !lines.peek().is_empty() {
            lines.next("an extension")?;
        }
        if !lines.rest().is_empty() {
            return Err(InvalidText {
                line: 4,
                expected: "an extension that is not empty",
            });
        }
        Ok(Self {
            origin: origin.to_owned(),
            head: TreeHead { size, root },
        })
    }
}
