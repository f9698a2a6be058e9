//! Which keys a log has signed with, each vouched for by the one before.
//!
//! ```text
//! verifier keys, one a line, the one that signs now first
//!                                                  an empty line
//! muster-key-rotation@v1                           a signed note for each change, oldest first
//! size of the log at the change
//! root of the log at the change
//! the new verifier key
//!
//! — origin signature by the old key
//! — origin signature by the new key
//! ```
//! Whoever trusts one of the keys can follow from there. A key that was replaced is good for trees up to
//! the size at which it was.

use std::fmt::Write as _;

use crate::text::{Lines, decimal};
use crate::{Hash, InvalidKey, InvalidNote, InvalidText, Note, SignerKey, TreeHead, VerifierKey};

const ROTATION: &str = "muster-key-rotation@v1";
/// Changes that are kept and read.
const ROTATIONS_MAX: usize = 1_000;

/// A key that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    pub key: VerifierKey,
    /// The largest tree for which it is: it was replaced then. Any, unless given.
    pub until: Option<u64>,
}

/// One change of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The log at the change.
    pub head: TreeHead,
    pub new_key: VerifierKey,
    note: Note,
}

/// All keys of a log, and how each came after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// The first key of all.
    first: VerifierKey,
    rotations: Vec<Rotation>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHistory {
    #[error(transparent)]
    Key(#[from] InvalidKey),
    #[error(transparent)]
    Note(#[from] InvalidNote),
    #[error(transparent)]
    Text(#[from] InvalidText),
    #[error("the keys at the top are not those of the changes below")]
    OtherKeys,
    #[error("a change of keys is not signed by both the old key and the new one")]
    NotSigned,
    #[error(
        "a change of keys is from a smaller log than the one before, or gives the log another name"
    )]
    Order,
    #[error("there are more than {ROTATIONS_MAX} changes of keys")]
    TooMany,
}

impl TrustedKey {
    /// A key that somebody has on good authority, and that is good for any tree.
    pub fn always(key: VerifierKey) -> Self {
        Self { key, until: None }
    }
}

impl KeyHistory {
    pub fn beginning_with(first: VerifierKey) -> Self {
        Self {
            first,
            rotations: vec![],
        }
    }

    /// The key that signs now.
    pub fn current(&self) -> &VerifierKey {
        self.rotations.last().map_or(&self.first, |it| &it.new_key)
    }

    pub fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// Lets a new key follow the one that signs now, at this head of the log.
    ///
    /// # Errors
    /// If `old` is not the key that signs now, the new one has another name, or there are too many.
    pub fn rotate(
        &mut self,
        old: &SignerKey,
        new: &SignerKey,
        head: TreeHead,
    ) -> Result<(), InvalidHistory> {
        if old.verifier() != self.current() {
            return Err(InvalidHistory::OtherKeys);
        }
        let (size, root, key) = (head.size, head.root.to_base64(), new.verifier());
        let text = format!("{ROTATION}\n{size}\n{root}\n{key}\n");
        let note = Note::sign(text, &[old, new])?;
        let next = Rotation::of(note)?;
        self.push(next)
    }

    /// Every key, the one that signs now first.
    pub fn keys(&self) -> impl Iterator<Item = &VerifierKey> {
        let later = self.rotations.iter().rev().map(|it| &it.new_key);
        later.chain([&self.first])
    }

    /// The keys that somebody may believe who trusts one of them: those that came after it. `None` if it
    /// is not among them.
    pub fn followed_from(&self, trusted: &VerifierKey) -> Option<Vec<TrustedKey>> {
        let from = self.keys_in_order().position(|key| key == trusted)?;
        let keys = self.keys_in_order().enumerate().skip(from);
        let keys = keys.map(|(place, key)| TrustedKey {
            key: key.clone(),
            until: self.rotations.get(place).map(|it| it.head.size),
        });
        Some(keys.collect())
    }

    /// All of them, for whoever trusts the first.
    pub fn all(&self) -> Vec<TrustedKey> {
        self.followed_from(&self.first).unwrap_or_default()
    }

    fn keys_in_order(&self) -> impl Iterator<Item = &VerifierKey> {
        [&self.first]
            .into_iter()
            .chain(self.rotations.iter().map(|it| &it.new_key))
    }

    fn push(&mut self, next: Rotation) -> Result<(), InvalidHistory> {
        if self.rotations.len() == ROTATIONS_MAX {
            return Err(InvalidHistory::TooMany);
        }
        let old = self.current().clone();
        let signed = |key: &VerifierKey| next.note.verify(std::slice::from_ref(key)).is_ok();
        if !signed(&old) || !signed(&next.new_key) {
            return Err(InvalidHistory::NotSigned);
        }
        let size = self.rotations.last().map_or(0, |it| it.head.size);
        if next.head.size < size || next.new_key.name() != old.name() {
            return Err(InvalidHistory::Order);
        }
        self.rotations.push(next);
        Ok(())
    }

    pub fn parse(text: &str) -> Result<Self, InvalidHistory> {
        let (keys, notes) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        let mut keys = keys
            .split('\n')
            .take(ROTATIONS_MAX + 2)
            .map(str::parse)
            .collect::<Result<Vec<VerifierKey>, _>>()?;
        keys.reverse();
        let Some(first) = keys.first() else {
            return Err(InvalidHistory::OtherKeys);
        };
        let mut history = Self::beginning_with(first.clone());
        // A note of ours has no empty line but the one before its signatures.
        let mut paragraphs = notes.split("\n\n").filter(|it| !it.is_empty());
        while let Some(text) = paragraphs.next() {
            let signatures = paragraphs.next().ok_or(InvalidNote::Form)?;
            let note = format!("{text}\n\n{}\n", signatures.trim_end_matches('\n'));
            history.push(Rotation::of(Note::parse(note.as_bytes())?)?)?;
        }
        if history.keys_in_order().eq(&keys) {
            Ok(history)
        } else {
            Err(InvalidHistory::OtherKeys)
        }
    }
}

impl std::fmt::Display for KeyHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for key in self.keys() {
            let _ = writeln!(text, "{key}");
        }
        for rotation in &self.rotations {
            let _ = write!(text, "\n{}", rotation.note);
        }
        f.write_str(&text)
    }
}

impl Rotation {
    fn of(note: Note) -> Result<Self, InvalidHistory> {
        let mut lines = Lines::of(note.unverified_text());
        if lines.next("`muster-key-rotation@v1`")? != ROTATION {
            return Err(lines.not("`muster-key-rotation@v1`").into());
        }
        let size = decimal(lines.next("a size")?).ok_or_else(|| lines.not("a size"))?;
        let root = Hash::from_base64(lines.next("a root")?).ok_or_else(|| lines.not("a root"))?;
        let new_key = lines.next("a verifier key")?.parse()?;
        if !lines.peek().is_empty() {
            return Err(lines.not("the end of the text after the key").into());
        }
        Ok(Self {
            head: TreeHead { size, root },
            new_key,
            note,
        })
    }
}
