use auth::SigningSecret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use types::{SubjectId, TenantId, TopicId};

/// The secret with which links to what people choose are signed. It is derived, so that a link is good for
/// nothing else than what it is a link to.
#[derive(Clone)]
pub struct LinkSecret([u8; 32]);

/// Makes links for people that need no other credential.
#[derive(Clone)]
pub struct Links {
    secret: LinkSecret,
    /// Under which address people reach this server, without a slash at the end.
    base: String,
}

/// Who a link is for, and about what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribing {
    #[serde(rename = "s")]
    pub subject: SubjectId,
    /// What is ended by it; nothing of a link to all that can be chosen.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicId>,
    /// In the context of which tenant.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
}

/// Bytes of the signature: half of SHA-256, as RFC 2104 allows.
const SIGNATURE_BYTES: usize = 16;
/// A link that is longer is none of ours, in bytes.
const LINK_BYTES_MAX: usize = 4_096;

impl LinkSecret {
    pub fn derive(secret: &SigningSecret) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal())
            .expect("HMAC takes keys of every length");
        mac.update(b"muster links");
        Self(mac.finalize().into_bytes().into())
    }

    fn signature(&self, text: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        mac.update(text.as_bytes());
        mac
    }

    /// What a link says, if it was made here.
    pub fn read(&self, token: &str) -> Option<Unsubscribing> {
        if token.len() > LINK_BYTES_MAX {
            return None;
        }
        let (text, signature) = token.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if signature.len() != SIGNATURE_BYTES {
            return None;
        }
        self.signature(text)
            .verify_truncated_left(&signature)
            .ok()?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn token(&self, what: &Unsubscribing) -> String {
        let text = serde_json::to_vec(what).expect("a link is plain data");
        let text = URL_SAFE_NO_PAD.encode(text);
        let signature = self.signature(&text).finalize().into_bytes();
        let signature = URL_SAFE_NO_PAD.encode(&signature[..SIGNATURE_BYTES]);
        format!("{text}.{signature}")
    }
}

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret(…)")
    }
}

impl Links {
    pub fn new(secret: LinkSecret, base: &str) -> Self {
        Self {
            secret,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub fn secret(&self) -> &LinkSecret {
        &self.secret
    }

    /// Ends one topic, with one click.
    pub fn unsubscribe(&self, what: &Unsubscribing) -> String {
        format!("{}/unsubscribe/{}", self.base, self.secret.token(what))
    }

    /// Leads to all that can be chosen.
    pub fn preferences(&self, subject: SubjectId, tenant: Option<&TenantId>) -> String {
        let what = Unsubscribing {
            subject,
            topic: None,
            tenant: tenant.cloned(),
        };
        format!("{}/preference-page/{}", self.base, self.secret.token(&what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_what_was_put_into_it_and_no_other_is_believed() {
        let secret = LinkSecret::derive(&SigningSecret::generate());
        let what = Unsubscribing {
            subject: SubjectId(42),
            topic: TopicId::parse("news").ok(),
            tenant: None,
        };
        let token = secret.token(&what);
        assert_eq!(secret.read(&token), Some(what.clone()));
        let other = LinkSecret::derive(&SigningSecret::generate());
        assert_eq!(other.read(&token), None);
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_ne!(secret.read(&forged), Some(what.clone()), "{place}");
        }
        for token in ["", ".", "a.b", &format!("{token}A"), &"A".repeat(5_000)] {
            assert_eq!(secret.read(token), None);
        }
    }
}
