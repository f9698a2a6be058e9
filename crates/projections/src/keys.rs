use std::collections::HashMap;

use events::{Envelope, Event, KeyEvent};
use parking_lot::RwLock;
use types::{StreamId, Timestamp};

use crate::{Digest, Projection};

/// The API keys that were issued.
#[derive(Default)]
pub struct Keys {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were issued.
    keys: Vec<KeyView>,
    by_id: HashMap<String, usize>,
    by_hash: HashMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: String,
    pub name: String,
    /// The first characters of the key.
    pub prefix: String,
    /// SHA-256 of the key, in lower-case hexadecimal.
    pub hash: String,
    pub scopes: Vec<String>,
    /// The key reaches only this tenant and those below it.
    pub tenant_id: Option<String>,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// To the hour.
    pub used_at: Option<Timestamp>,
}

impl KeyView {
    /// Whether the key opens anything at this time.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

impl Keys {
    /// The key whose SHA-256 this is, in lower-case hexadecimal. What is looked up is itself a
    /// hash, so the time that it takes tells nothing about any key.
    pub fn by_hash(&self, hash: &str) -> Option<KeyView> {
        let state = self.state.read();
        Some(state.keys[*state.by_hash.get(hash)?].clone())
    }

    pub fn get(&self, id: &str) -> Option<KeyView> {
        let state = self.state.read();
        Some(state.keys[*state.by_id.get(id)?].clone())
    }

    /// Every key that was ever issued, oldest first.
    pub fn all(&self) -> Vec<KeyView> {
        self.state.read().keys.clone()
    }

    /// How many were ever issued.
    pub fn count(&self) -> usize {
        self.state.read().keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl Projection for Keys {
    const NAME: &'static str = "keys";

    fn apply(&self, envelope: &Envelope) {
        let (Event::Key(event), StreamId::Key(id)) = (&envelope.event, &envelope.stream) else {
            return;
        };
        let state = &mut *self.state.write();
        if let KeyEvent::Issued(issued) = event {
            let place = state.keys.len();
            state.keys.push(KeyView {
                id: id.clone(),
                name: issued.name.clone(),
                prefix: issued.prefix.clone(),
                hash: issued.hash.clone(),
                scopes: issued.scopes.clone(),
                tenant_id: issued.tenant_id.clone(),
                issued_at: envelope.recorded_at,
                expires_at: issued.expires_at,
                revoked_at: None,
                used_at: None,
            });
            state.by_id.insert(id.clone(), place);
            state.by_hash.insert(issued.hash.clone(), place);
            return;
        }
        let Some(key) = state.by_id.get(id).map(|place| &mut state.keys[*place]) else {
            return;
        };
        match event {
            KeyEvent::Issued(_) => {}
            KeyEvent::ExpirySet(set) => key.expires_at = Some(set.expires_at),
            KeyEvent::Revoked(_) => key.revoked_at = Some(envelope.recorded_at),
            KeyEvent::Used(used) => key.used_at = Some(used.at),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for key in &self.state.read().keys {
            for text in [&key.id, &key.name, &key.prefix, &key.hash] {
                digest.text(text);
            }
            digest.json(&(&key.scopes, &key.tenant_id));
            let times = [key.expires_at, key.revoked_at, key.used_at];
            digest.json(&(key.issued_at, times));
        }
    }
}
