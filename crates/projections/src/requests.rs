use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, Personal, RequestAnswered, RequestEvent, SubjectEvent};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use types::{JsonDocument, Position, SubjectId, Timestamp};

use crate::{Digest, Projection};

/// Answers that are kept, at most, and how much they take together, in bytes: of one owner, and of all.
/// Past the first the oldest of the owner go, so that no key by itself can have those of others forgotten;
/// past the second the oldest of all.
const OF_ONE: Most = Most {
    answers: 250_000,
    bytes: 32 * 1024 * 1024,
};
const OF_ALL: Most = Most {
    answers: 1_000_000,
    bytes: 256 * 1024 * 1024,
};
/// What an answer takes besides its body, about.
const ANSWER_BYTES: usize = 256;

struct Most {
    answers: usize,
    bytes: usize,
}

/// How requests with an idempotency key were answered, for the case that they are sent again.
#[derive(Default)]
pub struct Requests {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Held>,
    by_expiry: BTreeSet<(Timestamp, String)>,
    /// In the order in which they came.
    by_age: BTreeMap<Position, String>,
    owners: HashMap<String, Owner>,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Held {
    answer: StoredAnswer,
    /// The length of the body as it was answered.
    body_bytes: u32,
    /// The person that it speaks of, if it is one.
    subject: Option<SubjectId>,
    position: Position,
    owner: String,
}

#[derive(Default)]
struct Owner {
    by_age: BTreeMap<Position, String>,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The status code of HTTP.
    pub status: u16,
    pub body: Option<JsonDocument>,
    pub expires_at: Timestamp,
}

impl Most {
    fn is_passed(&self, answers: usize, bytes: usize) -> bool {
        answers > self.answers || bytes > self.bytes
    }
}

impl Requests {
    /// How the request was answered that has this SHA-256, if that still holds at this time.
    pub fn get(&self, request: &str, now: Timestamp) -> Option<StoredAnswer> {
        let state = self.state.read();
        let answer = &state.answers.get(request)?.answer;
        (now < answer.expires_at).then(|| answer.clone())
    }

    /// How many answers are kept.
    pub fn count(&self) -> usize {
        self.state.read().answers.len()
    }
}

impl State {
    fn keep(&mut self, request: &str, held: Held) {
        self.forget(request);
        let bytes = held.bytes();
        let owner = self.owners.entry(held.owner.clone()).or_default();
        owner.bytes += bytes;
        owner.by_age.insert(held.position, request.to_owned());
        self.bytes += bytes;
        self.by_age.insert(held.position, request.to_owned());
        let expiry = (held.answer.expires_at, request.to_owned());
        self.by_expiry.insert(expiry);
        self.answers.insert(request.to_owned(), held);
    }

    fn forget(&mut self, request: &str) {
        let Some(held) = self.answers.remove(request) else {
            return;
        };
        self.bytes -= held.bytes();
        self.by_age.remove(&held.position);
        self.by_expiry
            .remove(&(held.answer.expires_at, request.to_owned()));
        if let Some(owner) = self.owners.get_mut(&held.owner) {
            owner.bytes -= held.bytes();
            owner.by_age.remove(&held.position);
            if owner.by_age.is_empty() {
                self.owners.remove(&held.owner);
            }
        }
    }

    /// Lets go what has expired by now, and what is too much of one owner or of all.
    fn make_room(&mut self, owner: &str, now: Timestamp) {
        while let Some(due) = self.due(owner, now) {
            self.forget(&due);
        }
    }

    /// Lets go what was answered about somebody who is erased, and about several people, of whom one may
    /// be that person. That there was an answer stays known, so that the request is not decided anew.
    fn erase(&mut self, subjects: &[SubjectId]) {
        for held in self.answers.values_mut() {
            let is_theirs = held
                .subject
                .is_none_or(|subject| subjects.contains(&subject));
            if is_theirs && held.answer.body.is_some() {
                held.answer.body = Some(erased());
            }
        }
    }

    fn due(&self, owner: &str, now: Timestamp) -> Option<String> {
        let expired = self.by_expiry.first().filter(|(at, _)| *at <= now);
        if let Some((_, request)) = expired {
            return Some(request.clone());
        }
        let own = self.owners.get(owner);
        let own = own.filter(|own| OF_ONE.is_passed(own.by_age.len(), own.bytes));
        let oldest = match own {
            Some(own) => own.by_age.first_key_value(),
            None if OF_ALL.is_passed(self.answers.len(), self.bytes) => {
                self.by_age.first_key_value()
            }
            None => None,
        };
        oldest.map(|(_, request)| request.clone())
    }
}

impl Held {
    fn bytes(&self) -> usize {
        ANSWER_BYTES + self.body_bytes as usize
    }
}

/// What is answered in the place of a body that is erased.
fn erased() -> JsonDocument {
    JsonDocument::from_value(&json!({"erased": true}))
}

impl Requests {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put_all(state.by_age.values().map(|request| {
            let held = state.answers.get(request);
            (request, held)
        }))
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State::default();
        for answer in input.take_all()? {
            let (request, held): (String, Option<Held>) = answer?;
            state.keep(&request, held.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}

impl Projection for Requests {
    const NAME: &'static str = "requests";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        if let Event::Subject(SubjectEvent::Erased(_)) = &envelope.event {
            return self.state.write().erase(&envelope.subjects);
        }
        let Event::Request(RequestEvent::Answered(RequestAnswered {
            request,
            owner,
            status,
            body,
            body_bytes,
            expires_at,
        })) = &envelope.event
        else {
            return;
        };
        let state = &mut *self.state.write();
        let answer = StoredAnswer {
            status: *status,
            body: body.as_ref().map(|body| match body {
                Personal::Known(body) => body.clone(),
                Personal::Erased => erased(),
            }),
            expires_at: *expires_at,
        };
        let held = Held {
            answer,
            body_bytes: *body_bytes,
            subject: envelope.subjects.first().copied(),
            position: envelope.position,
            owner: owner.clone(),
        };
        state.keep(request, held);
        state.make_room(owner, envelope.recorded_at);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (position, request) in &state.by_age {
            digest.number(position.0);
            digest.text(request);
            if let Some(held) = state.answers.get(request) {
                digest.text(&held.owner);
                digest.number(u64::from(held.answer.status));
                digest.json(&held.answer.body);
                digest.number(held.answer.expires_at.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(position: u64, owner: &str, bytes: usize, expires_at: u64) -> Held {
        let body = serde_json::Value::from("x".repeat(bytes));
        Held {
            answer: StoredAnswer {
                status: 200,
                body: Some(JsonDocument::from_value(&body)),
                expires_at: Timestamp(expires_at),
            },
            body_bytes: u32::try_from(bytes + 2).unwrap(),
            subject: None,
            position: Position(position),
            owner: owner.to_owned(),
        }
    }

    #[test]
    fn nobody_has_the_answers_of_others_forgotten() {
        let mut state = State::default();
        state.keep("first", held(1, "a", 10, 5));
        for position in 2..200 {
            // However late they expire, and however much they are.
            state.keep(&position.to_string(), held(position, "b", 250_000, 9_999));
            state.make_room("b", Timestamp(1));
        }
        assert!(state.answers.contains_key("first"));
        assert!(state.owners["b"].bytes <= OF_ONE.bytes);
        assert!(state.answers.contains_key("199") && !state.answers.contains_key("2"));
        state.keep("again", held(300, "a", 10, 6));
        state.make_room("a", Timestamp(5));
        assert!(!state.answers.contains_key("first"), "it has expired");
        for request in state.answers.keys().cloned().collect::<Vec<_>>() {
            state.forget(&request);
        }
        assert_eq!(
            (state.bytes, state.by_age.len(), state.by_expiry.len()),
            (0, 0, 0)
        );
        assert!(state.owners.is_empty());
    }
}
