//! What the text forms have in common.

use crate::Hash;

/// A text that is not in its form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {expected} is expected")]
pub struct InvalidText {
    /// From 1.
    pub line: usize,
    pub expected: &'static str,
}

/// A number in decimal digits, without leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let leading = text.len() > 1 && text.starts_with('0');
    if digits && !leading {
        text.parse().ok()
    } else {
        None
    }
}

/// Hashes that a proof can have at most: no path is longer than the size has bits, and a proof that one
/// tree goes on from another has one more.
pub(crate) const HASHES_MAX: usize = 65;

/// Takes lines off a text, each of which ends in a newline.
pub(crate) struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 0,
        }
    }

    pub(crate) fn next(&mut self, expected: &'static str) -> Result<&'a str, InvalidText> {
        self.line += 1;
        let (line, rest) = self
            .rest
            .split_once('\n')
            .ok_or_else(|| self.not(expected))?;
        self.rest = rest;
        Ok(line)
    }

    pub(crate) fn peek(&self) -> &'a str {
        self.rest.split('\n').next().unwrap_or_default()
    }

    /// Says that the line that was taken last is not what it must be.
    pub(crate) fn not(&self, expected: &'static str) -> InvalidText {
        InvalidText {
            line: self.line,
            expected,
        }
    }

    /// The lines of hashes up to an empty one, which is taken too.
    pub(crate) fn hashes(&mut self) -> Result<Vec<Hash>, InvalidText> {
        const EXPECTED: &str = "a hash in base64, or an empty line,";
        let mut hashes = Vec::new();
        loop {
            let line = self.next(EXPECTED)?;
            if line.is_empty() {
                return Ok(hashes);
            }
            if hashes.len() == HASHES_MAX {
                return Err(self.not("no further hash"));
            }
            hashes.push(Hash::from_base64(line).ok_or_else(|| self.not(EXPECTED))?);
        }
    }

    pub(crate) fn rest(self) -> &'a str {
        self.rest
    }
}
