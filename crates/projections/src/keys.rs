use std::collections::BTreeMap;

use events::{Envelope, Event, KeyEvent};
use parking_lot::RwLock;
use types::{StreamId, Timestamp};

use crate::{Digest, Projection};

/// The API keys that were issued, by the hash of the key.
#[derive(Default)]
pub struct Keys {
    by_hash: RwLock<BTreeMap<String, KeyView>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub issued_at: Timestamp,
}

impl Keys {
    /// The key whose SHA-256 this is, in lower-case hexadecimal. What is looked up is itself a
    /// hash, so the time that it takes tells nothing about any key.
    pub fn by_hash(&self, hash: &str) -> Option<KeyView> {
        self.by_hash.read().get(hash).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.by_hash.read().is_empty()
    }
}

impl Projection for Keys {
    const NAME: &'static str = "keys";

    fn apply(&self, envelope: &Envelope) {
        if let (Event::Key(KeyEvent::Issued(issued)), StreamId::Key(id)) =
            (&envelope.event, &envelope.stream)
        {
            let view = KeyView {
                id: id.clone(),
                name: issued.name.clone(),
                prefix: issued.prefix.clone(),
                scopes: issued.scopes.clone(),
                issued_at: envelope.recorded_at,
            };
            self.by_hash.write().insert(issued.hash.clone(), view);
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (hash, key) in &*self.by_hash.read() {
            digest.text(hash);
            digest.text(&key.id);
            digest.text(&key.name);
            digest.text(&key.prefix);
            digest.number(key.scopes.len() as u64);
            for scope in &key.scopes {
                digest.text(scope);
            }
            digest.number(key.issued_at.0);
        }
    }
}
