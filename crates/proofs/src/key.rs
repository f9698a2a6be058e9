//! Ed25519 keys in the text forms of `c2sp.org/signed-note`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// The byte for signatures of this kind.
const ED25519: u8 = 1;
/// What a signing key in a file begins with, so that nobody takes it for one to be published.
const PRIVATE: &str = "PRIVATE+KEY+";
/// Of a key's name, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// With what a note is checked: `name+id+key`, which can be published.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    key: VerifyingKey,
}

/// With what a note is signed: a secret.
pub struct SignerKey {
    verifier: VerifierKey,
    key: SigningKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("a key's name has 1 to 256 bytes, and no space, plus or control character")]
    Name,
    #[error(
        "a key is `name+id+key`, with the id as eight hexadecimal digits and the key as base64"
    )]
    Form,
    #[error("the key is of another kind than Ed25519")]
    Kind,
    #[error("the key's id is not that of this name and this key")]
    Id,
}

impl VerifierKey {
    fn of(name: &str, key: VerifyingKey) -> Result<Self, InvalidKey> {
        let wrong = |it: char| it.is_whitespace() || it.is_control() || it == '+';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(wrong) {
            return Err(InvalidKey::Name);
        }
        let digest = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Ok(Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        // Strict: of each text and key there is one signature that is accepted, everywhere the same.
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = encode(self.key.as_bytes());
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (name, id, key) = parts(text)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| InvalidKey::Form)?;
        let read = Self::of(name, key)?;
        if read.id == id {
            Ok(read)
        } else {
            Err(InvalidKey::Id)
        }
    }
}

impl SignerKey {
    /// The key with this seed, which must be random and secret.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::of(name, key.verifying_key())?;
        Ok(Self { verifier, key })
    }

    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(crate) fn sign(&self, text: &str) -> [u8; 64] {
        self.key.sign(text.as_bytes()).to_bytes()
    }

    /// The text form, which holds the secret.
    pub fn reveal(&self) -> String {
        let (name, id) = (&self.verifier.name, self.verifier.id);
        format!("{PRIVATE}{name}+{id:08x}+{}", encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signer of {}", self.verifier)
    }
}

impl FromStr for SignerKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let text = text.strip_prefix(PRIVATE).ok_or(InvalidKey::Form)?;
        let (name, id, seed) = parts(text)?;
        let read = Self::from_seed(name, &seed)?;
        if read.verifier.id == id {
            Ok(read)
        } else {
            Err(InvalidKey::Id)
        }
    }
}

fn encode(key: &[u8; 32]) -> String {
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key);
    STANDARD.encode(bytes)
}

/// Name, id and key; the base64 at the end may hold a plus too.
fn parts(text: &str) -> Result<(&str, u32, [u8; 32]), InvalidKey> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(InvalidKey::Form);
    };
    let digits = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    if id.len() != 8 || !id.bytes().all(digits) {
        return Err(InvalidKey::Form);
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| InvalidKey::Form)?;
    let bytes = STANDARD.decode(key).map_err(|_| InvalidKey::Form)?;
    match bytes.split_first() {
        Some((&ED25519, key)) => {
            let key = key.try_into().map_err(|_| InvalidKey::Form)?;
            Ok((name, id, key))
        }
        Some(_) => Err(InvalidKey::Kind),
        None => Err(InvalidKey::Form),
    }
}
