use std::collections::BTreeMap;
use std::io;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, TrackEvent};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use types::{StreamId, SubjectId, Timestamp};

use crate::by_subject::BySubject;
use crate::{Digest, Projection};

/// What people did elsewhere: how often, when first and when last.
#[derive(Default)]
pub struct Tracked {
    people: RwLock<BySubject<BTreeMap<String, TrackedEvent>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedEvent {
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

/// The member under which rules see it beside the members of the profile.
pub const TRACKED_EVENTS: &str = "$events";

impl TrackedEvent {
    fn to_value(self) -> Value {
        json!({
            "count": self.count,
            "first_at": self.first_at.to_rfc3339_millis(),
            "last_at": self.last_at.to_rfc3339_millis(),
        })
    }
}

impl Tracked {
    pub fn of_subject(&self, subject: SubjectId) -> BTreeMap<String, TrackedEvent> {
        self.people.read().get(subject).cloned().unwrap_or_default()
    }

    pub fn knows(&self, subject: SubjectId) -> bool {
        self.people.read().knows(subject)
    }

    /// Everybody of whom it is known that they did something.
    pub(crate) fn everybody(&self) -> RoaringBitmap {
        self.people.read().everybody().clone()
    }

    /// How many different things somebody did, and whether this is one of them.
    pub fn has(&self, subject: SubjectId, event: &str) -> (usize, bool) {
        let people = self.people.read();
        let events = people.get(subject);
        let has = events.is_some_and(|it| it.contains_key(event));
        (events.map_or(0, BTreeMap::len), has)
    }

    /// All of it as rules see it; nothing if there is none.
    pub(crate) fn document(&self, subject: SubjectId) -> Option<Value> {
        let people = self.people.read();
        let events = people.get(subject)?.iter();
        let members = events.map(|(name, it)| (name.clone(), it.to_value()));
        Some(Value::Object(members.collect::<Map<_, _>>()))
    }
}

impl Tracked {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put_all(self.people.read().in_order())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(Self {
            people: RwLock::new(input.take_into()?),
        })
    }
}

impl Projection for Tracked {
    const NAME: &'static str = "tracked";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Track(event), StreamId::Track(subject)) = (&envelope.event, &envelope.stream)
        else {
            return;
        };
        let mut people = self.people.write();
        match event {
            TrackEvent::Recorded(recorded) => {
                let Some(name) = recorded.event.known() else {
                    return;
                };
                let at = envelope.recorded_at;
                let tracked = people.or_default(*subject);
                let tracked = tracked.entry(name.clone()).or_insert(TrackedEvent {
                    count: 0,
                    first_at: at,
                    last_at: at,
                });
                tracked.count += 1;
                tracked.last_at = at;
            }
            TrackEvent::Forgotten(_) => people.remove(*subject),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (subject, events) in self.people.read().in_order() {
            digest.number(u64::from(subject.0));
            digest.json(events);
        }
    }
}
