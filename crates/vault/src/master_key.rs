use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::key_tree::Secret;

/// The key to the vault's file, which stands outside the data directory if its owner is careful.
#[derive(Clone)]
pub struct MasterKey(Secret);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key is {} hexadecimal digits", 2 * MasterKey::BYTES)]
pub struct BadMasterKey;

impl MasterKey {
    pub const BYTES: usize = 32;

    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Self(random())
    }

    /// Reads hexadecimal digits; white space around them does not count.
    pub fn parse(text: &str) -> Result<Self, BadMasterKey> {
        let digits = text.trim().as_bytes();
        if digits.len() != 2 * Self::BYTES {
            return Err(BadMasterKey);
        }
        let mut key = [0; Self::BYTES];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: u8| char::from(at).to_digit(16).ok_or(BadMasterKey);
            let value = 16 * digit(pair[0])? + digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| BadMasterKey)?;
        }
        Ok(Self(key))
    }

    pub fn to_hex(&self) -> String {
        types::hex(&self.0)
    }

    /// By what the key is known to be this one, without saying anything else of it.
    pub(crate) fn fingerprint(&self) -> [u8; 8] {
        let hash = Sha256::new()
            .chain_update(b"muster master key")
            .chain_update(self.0)
            .finalize();
        let mut fingerprint = [0; 8];
        fingerprint.copy_from_slice(&hash[..8]);
        fingerprint
    }

    /// A key for one file.
    pub(crate) fn derive(&self, salt: &[u8]) -> Secret {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(b"muster vault");
        mac.update(salt);
        mac.finalize().into_bytes().into()
    }
}

/// Says nothing of the key.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides randomness");
    bytes
}
