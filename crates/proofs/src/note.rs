//! Signed notes as in `c2sp.org/signed-note`.
//!
//! ```text
//! the text, which ends in a newline
//!                                      an empty line
//! — name base64(key id · signature)    one line for each signature
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{SignerKey, VerifierKey};

/// The longest note that is read, in bytes: many times what one of ours takes.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signatures of one note; the form asks for at least 16.
const SIGNATURES_MAX: usize = 64;
const DASH: &str = "\u{2014} ";

/// A text with signatures that were not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key_id: u32,
    signature: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    #[error("a note has at most {NOTE_BYTES_MAX} bytes")]
    TooLong,
    #[error("a note is UTF-8 without control characters")]
    NotText,
    #[error("a note is text, an empty line, and signatures")]
    Form,
    #[error("a signature is a dash, a name, and base64")]
    Signature,
}

/// Nobody who is trusted vouches for the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    #[error("none of the keys that are trusted has signed it")]
    UnknownKeys,
    #[error("a signature by a key that is trusted is not of this text")]
    BadSignature,
}

impl Note {
    /// Signs a text, which must end in a newline and hold no control character.
    ///
    /// # Errors
    /// [`InvalidNote::Form`] or [`InvalidNote::NotText`] of a text that no note can have.
    pub fn sign(text: String, keys: &[&SignerKey]) -> Result<Self, InvalidNote> {
        check_text(&text)?;
        let signatures = keys.iter().map(|key| NoteSignature {
            name: key.verifier().name().to_owned(),
            key_id: key.verifier().id(),
            signature: key.sign(&text).to_vec(),
        });
        let signatures = signatures.collect();
        Ok(Self { text, signatures })
    }

    pub fn parse(note: &[u8]) -> Result<Self, InvalidNote> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(InvalidNote::TooLong);
        }
        let note = std::str::from_utf8(note).map_err(|_| InvalidNote::NotText)?;
        if note.contains(|it: char| it < ' ' && it != '\n') {
            return Err(InvalidNote::NotText);
        }
        // The last empty line: the text may have others.
        let end = note.rfind("\n\n").ok_or(InvalidNote::Form)?;
        let (text, signatures) = (&note[..=end], &note[end + 2..]);
        check_text(text)?;
        let lines = signatures.strip_suffix('\n').ok_or(InvalidNote::Form)?;
        let signatures: Vec<NoteSignature> = lines
            .split('\n')
            .take(SIGNATURES_MAX + 1)
            .map(signature)
            .collect::<Result<_, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(InvalidNote::TooLong);
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, if one of these keys vouches for it. Signatures by others mean nothing; a wrong one by a
    /// key that is known spoils the note.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<&str, Unverified> {
        self.signers(keys).map(|_| self.text.as_str())
    }

    /// The places of the keys that vouch for the text: at least one.
    pub(crate) fn signers(&self, keys: &[VerifierKey]) -> Result<Vec<usize>, Unverified> {
        let mut signers = Vec::new();
        for it in &self.signatures {
            let known = |key: &VerifierKey| key.name() == it.name && key.id() == it.key_id;
            let Some(place) = keys.iter().position(known) else {
                continue;
            };
            if !keys[place].verifies(&self.text, &it.signature) {
                return Err(Unverified::BadSignature);
            }
            signers.push(place);
        }
        if signers.is_empty() {
            Err(Unverified::UnknownKeys)
        } else {
            Ok(signers)
        }
    }

    /// The text, for whoever wants to know what is claimed before knowing who claims it.
    pub(crate) fn unverified_text(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|it| {
            let mut bytes = it.key_id.to_be_bytes().to_vec();
            bytes.extend_from_slice(&it.signature);
            writeln!(f, "{DASH}{} {}", it.name, STANDARD.encode(bytes))
        })
    }
}

fn check_text(text: &str) -> Result<(), InvalidNote> {
    if text.contains(|it: char| it < ' ' && it != '\n') {
        return Err(InvalidNote::NotText);
    }
    if text.len() > 1 && text.ends_with('\n') {
        Ok(())
    } else {
        Err(InvalidNote::Form)
    }
}

fn signature(line: &str) -> Result<NoteSignature, InvalidNote> {
    let parts = line.strip_prefix(DASH).and_then(|it| it.split_once(' '));
    let (name, encoded) = parts.ok_or(InvalidNote::Signature)?;
    if name.is_empty() || name.contains(|it: char| it.is_whitespace() || it == '+') {
        return Err(InvalidNote::Signature);
    }
    let bytes = STANDARD.decode(encoded);
    let bytes = bytes.map_err(|_| InvalidNote::Signature)?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => Ok(NoteSignature {
            name: name.to_owned(),
            key_id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        }),
        _ => Err(InvalidNote::Signature),
    }
}
