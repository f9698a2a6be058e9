use aes_gcm_siv::aead::{Aead as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _, Nonce};

use crate::key_tree::Secret;

/// The bytes are not what was sealed under this key and label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open with its key: it, or its place, was altered")]
pub struct Forged;

/// Where a sealed value stands; it opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The id of the event.
    pub event: u128,
    /// Which of the personal values of the event it is, from 0.
    pub field: u32,
}

impl Label {
    fn bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.event.to_be_bytes());
        bytes[16..].copy_from_slice(&self.field.to_be_bytes());
        bytes
    }

    /// Different for every value of an event and hardly ever the same for two events. The cipher
    /// forgives the rest: should a nonce come twice, it only tells whether both values are the same.
    fn nonce(self) -> Nonce {
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&self.bytes()[8..]);
        nonce.into()
    }
}

/// AES-256-GCM-SIV (RFC 8452), with the label as associated data.
pub(crate) fn seal(key: &Secret, label: Label, plain: &[u8]) -> Vec<u8> {
    seal_with(key, label.nonce(), &label.bytes(), plain)
}

pub(crate) fn open(key: &Secret, label: Label, sealed: &[u8]) -> Result<Vec<u8>, Forged> {
    open_with(key, label.nonce(), &label.bytes(), sealed)
}

pub(crate) fn seal_with(key: &Secret, nonce: Nonce, aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plain, aad };
    Aes256GcmSiv::new(key.into())
        .encrypt(&nonce, payload)
        .expect("values are far shorter than the 64 GiB that the cipher takes")
}

pub(crate) fn open_with(
    key: &Secret,
    nonce: Nonce,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Forged> {
    let payload = Payload { msg: sealed, aad };
    Aes256GcmSiv::new(key.into())
        .decrypt(&nonce, payload)
        .map_err(|_| Forged)
}

#[cfg(test)]
mod tests {
    use types::hex;

    use super::*;

    /// The form of what is sealed is part of the log's format.
    #[test]
    fn a_value_is_sealed_as_it_always_was() {
        let label = Label {
            event: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
            field: 1,
        };
        let sealed = seal(&[9; 32], label, b"ada@example.com");
        assert_eq!(
            hex(&sealed),
            "b2ae030eeee966d95dbd4e5edfb66b76014a428f1c2540101cf83a3aaf9324"
        );
        assert_eq!(open(&[9; 32], label, &sealed).unwrap(), b"ada@example.com");
    }

    /// Appendix C.2 of RFC 8452, the first test case with a plaintext.
    #[test]
    fn the_cipher_is_that_of_the_standard() {
        let mut key = [0; 32];
        key[0] = 1;
        let mut nonce = [0; 12];
        nonce[0] = 3;
        let sealed = seal_with(&key, nonce.into(), &[], &[1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            hex(&sealed),
            "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"
        );
    }

    #[test]
    fn what_was_altered_does_not_open() {
        let label = Label { event: 5, field: 0 };
        let sealed = seal(&[9; 32], label, b"value");
        for bit in 0..8 * sealed.len() {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&[9; 32], label, &altered), Err(Forged));
        }
        assert_eq!(open(&[8; 32], label, &sealed), Err(Forged));
        for other in [Label { event: 4, field: 0 }, Label { event: 5, field: 1 }] {
            assert_eq!(open(&[9; 32], other, &sealed), Err(Forged));
        }
    }
}
