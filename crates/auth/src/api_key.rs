use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const SECRET_BYTES: usize = 32;
const PREFIX: &str = "mk_";
/// Characters of a key that may be shown, so that a person recognises it.
const SHOWN_CHARACTERS: usize = 8;

/// A new API key. It is shown once; only its hash is kept.
pub struct ApiKey(String);

impl ApiKey {
    /// 256 bits from the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret).expect("the operating system provides randomness");
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// The whole key, for the one moment in which it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Enough of it to recognise it by, too little to use.
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN_CHARACTERS]
    }

    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

/// A key never appears in a log, a trace or an error.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// SHA-256 of a key. A generated key holds 256 random bits, so a slow hash would add nothing.
#[derive(Clone, Debug)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Takes the same time wherever the two differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&types::hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_shown_by_its_beginning() {
        let (key, other) = (ApiKey::generate(), ApiKey::generate());
        assert!(key.hash().matches(&KeyHash::of(key.reveal())));
        assert!(!key.hash().matches(&other.hash()));
        assert!(key.reveal().starts_with(key.prefix()) && key.prefix().len() < 12);
        assert!(!format!("{key:?}").contains(key.reveal()));
    }
}
