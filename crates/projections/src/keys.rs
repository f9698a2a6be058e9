use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, KeyEvent};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use types::{Position, StreamId, Timestamp};

use crate::{Digest, Projection};

/// The API keys that were issued.
#[derive(Default)]
pub struct Keys {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were issued.
    keys: BTreeMap<Position, KeyView>,
    by_id: HashMap<String, Position>,
    by_hash: HashMap<String, Position>,
    /// Those that were revoked, in that order.
    revoked: VecDeque<Position>,
}

/// Keys that are shown although they are no good any more; the oldest are forgotten.
const ENDED_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        state.keys.get(state.by_hash.get(hash)?).cloned()
    }

    pub fn get(&self, id: &str) -> Option<KeyView> {
        let state = self.state.read();
        state.keys.get(state.by_id.get(id)?).cloned()
    }

    /// Whether the key is there, good or not.
    pub fn is_known(&self, id: &str) -> bool {
        self.state.read().by_id.contains_key(id)
    }

    /// Whether there is such a key, and it opens nothing any more.
    pub fn is_ended(&self, id: &str, now: Timestamp) -> bool {
        let state = self.state.read();
        let key = state.by_id.get(id).and_then(|place| state.keys.get(place));
        key.is_some_and(|key| !key.is_good(now))
    }

    /// The keys that were issued after this position, oldest first, with the positions at which they were;
    /// of those that ended long ago none.
    pub fn after(&self, after: Position, limit: usize) -> Vec<(Position, KeyView)> {
        let state = self.state.read();
        let range = state
            .keys
            .range(Position(after.0.saturating_add(1))..)
            .take(limit);
        range.map(|(at, key)| (*at, key.clone())).collect()
    }

    /// How many there are that open something at this time.
    pub fn count_good(&self, now: Timestamp) -> usize {
        let state = self.state.read();
        state.keys.values().filter(|key| key.is_good(now)).count()
    }

    pub fn is_empty(&self) -> bool {
        self.state.read().keys.is_empty()
    }
}

impl State {
    /// Makes room for a key that was just issued, once there are far more than can be good.
    fn forget_ended(&mut self, now: Timestamp) {
        while self.revoked.len() > ENDED_MAX {
            if let Some(place) = self.revoked.pop_front() {
                self.forget(place);
            }
        }
        if self.keys.len() > 3 * ENDED_MAX {
            let ended = self.keys.iter().filter(|(_, key)| !key.is_good(now));
            let oldest: Vec<Position> = ended.map(|(place, _)| *place).take(ENDED_MAX).collect();
            for place in oldest {
                self.forget(place);
            }
            let keys = &self.keys;
            self.revoked.retain(|place| keys.contains_key(place));
        }
    }

    fn forget(&mut self, place: Position) {
        if let Some(key) = self.keys.remove(&place) {
            self.by_id.remove(&key.id);
            self.by_hash.remove(&key.hash);
        }
    }
}

impl Keys {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put_all(state.keys.iter())?;
        out.put_all(state.revoked.iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        for key in input.take_all()? {
            let (place, key): (Position, KeyView) = key?;
            state.by_id.insert(key.id.clone(), place);
            state.by_hash.insert(key.hash.clone(), place);
            state.keys.insert(place, key);
        }
        state.revoked = input.take_into()?;
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}

impl Projection for Keys {
    const NAME: &'static str = "keys";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Key(event), StreamId::Key(id)) = (&envelope.event, &envelope.stream) else {
            return;
        };
        let state = &mut *self.state.write();
        if let KeyEvent::Issued(issued) = event {
            let place = envelope.position;
            let key = KeyView {
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
            };
            state.keys.insert(place, key);
            state.by_id.insert(id.clone(), place);
            state.by_hash.insert(issued.hash.clone(), place);
            state.forget_ended(envelope.recorded_at);
            return;
        }
        let Some(place) = state.by_id.get(id).copied() else {
            return;
        };
        let Some(key) = state.keys.get_mut(&place) else {
            return;
        };
        match event {
            KeyEvent::Issued(_) | KeyEvent::UserTokenIssued(_) => {}
            KeyEvent::ExpirySet(set) => key.expires_at = Some(set.expires_at),
            KeyEvent::Revoked(_) => {
                key.revoked_at = Some(envelope.recorded_at);
                state.revoked.push_back(place);
            }
            KeyEvent::Used(used) => key.used_at = Some(used.at),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for key in self.state.read().keys.values() {
            for text in [&key.id, &key.name, &key.prefix, &key.hash] {
                digest.text(text);
            }
            digest.json(&(&key.scopes, &key.tenant_id));
            let times = [key.expires_at, key.revoked_at, key.used_at];
            digest.json(&(key.issued_at, times));
        }
    }
}
