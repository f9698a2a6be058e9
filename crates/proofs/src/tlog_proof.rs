//! Proofs as texts: `c2sp.org/tlog-proof`, and for consistency the form in which
//! `c2sp.org/tlog-witness` has a log ask for a signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::fmt::Write as _;

use crate::text::{Lines, decimal};
use crate::{
    Checkpoint, Hash, InvalidCheckpoint, InvalidText, NOTE_BYTES_MAX, ProofError, TreeHead,
    TrustedKey, verify_consistency, verify_inclusion,
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest text that is read, in bytes: a note, hashes, and what is said besides.
const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 * 1024;

/// That a record is in the log, with the checkpoint that says of which tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// From 0: the position of the record less one.
    pub index: u64,
    pub hashes: Vec<Hash>,
    /// The signed note, as it was made.
    pub checkpoint: String,
}

/// That the log only grew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Size of the smaller tree.
    pub from: u64,
    pub hashes: Vec<Hash>,
    /// The signed note of the larger tree, as it was made.
    pub checkpoint: String,
}

/// A proof that convinces nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("the checkpoint is not to be believed")]
    Checkpoint(#[from] InvalidCheckpoint),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("the proof begins at size {proof}, the checkpoint that is known at {known}")]
    OtherSize { proof: u64, known: u64 },
}

impl InclusionProof {
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let mut lines = limited(text)?;
        if lines.next("`c2sp.org/tlog-proof@v1`")? != HEADER {
            return Err(lines.not("`c2sp.org/tlog-proof@v1`"));
        }
        if let Some(extra) = lines.peek().strip_prefix("extra ") {
            // Nothing vouches for it, so it is only looked at.
            lines.next("extra data")?;
            let decoded = STANDARD.decode(extra);
            decoded.map_err(|_| lines.not("extra data in base64"))?;
        }
        let index = lines.next("`index` with a number")?.strip_prefix("index ");
        let index = index.and_then(decimal);
        let index = index.ok_or_else(|| lines.not("`index` with a number"))?;
        Ok(Self {
            index,
            hashes: lines.hashes()?,
            checkpoint: lines.rest().to_owned(),
        })
    }

    /// Whether the leaf is in the log, and in which tree, if the keys are to be trusted.
    pub fn verify(&self, leaf: Hash, keys: &[TrustedKey]) -> Result<Checkpoint, Unproven> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), keys)?;
        verify_inclusion(leaf, self.index, &checkpoint.head, &self.hashes)?;
        Ok(checkpoint)
    }
}

impl ConsistencyProof {
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let mut lines = limited(text)?;
        let from = lines.next("`old` with a number")?.strip_prefix("old ");
        let from = from.and_then(decimal);
        let from = from.ok_or_else(|| lines.not("`old` with a number"))?;
        Ok(Self {
            from,
            hashes: lines.hashes()?,
            checkpoint: lines.rest().to_owned(),
        })
    }

    /// Whether the tree that is known is the beginning of the one in the proof, if the keys are to be
    /// trusted.
    pub fn verify(&self, known: &TreeHead, keys: &[TrustedKey]) -> Result<Checkpoint, Unproven> {
        if self.from != known.size {
            return Err(Unproven::OtherSize {
                proof: self.from,
                known: known.size,
            });
        }
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), keys)?;
        verify_consistency(known, &checkpoint.head, &self.hashes)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        f.write_str(&lines_of(&self.hashes))?;
        f.write_str(&self.checkpoint)
    }
}

impl fmt::Display for ConsistencyProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.from)?;
        f.write_str(&lines_of(&self.hashes))?;
        f.write_str(&self.checkpoint)
    }
}

fn lines_of(hashes: &[Hash]) -> String {
    let mut lines = String::new();
    for hash in hashes {
        let _ = writeln!(lines, "{}", hash.to_base64());
    }
    lines.push('\n');
    lines
}

fn limited(text: &str) -> Result<Lines<'_>, InvalidText> {
    if text.len() > PROOF_BYTES_MAX {
        return Err(InvalidText {
            line: 1,
            expected: "a text that is not longer than any proof",
        });
    }
    Ok(Lines::of(text))
}
