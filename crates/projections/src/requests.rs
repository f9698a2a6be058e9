use std::collections::{BTreeSet, HashMap};

use events::{Envelope, Event, Personal, RequestAnswered, RequestEvent};
use parking_lot::RwLock;
use types::{JsonDocument, Timestamp};

use crate::{Digest, Projection};

/// Answers that are kept, at most; and how much their bodies take together, in bytes. Past that those go
/// that would expire first.
const ANSWERS_MAX: usize = 1_000_000;
const BYTES_MAX: usize = 128 * 1024 * 1024;

/// How requests with an idempotency key were answered, for the case that they are sent again.
#[derive(Default)]
pub struct Requests {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, StoredAnswer>,
    by_expiry: BTreeSet<(Timestamp, String)>,
    bytes: usize,
    /// The time of the last event.
    last: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The status code of HTTP.
    pub status: u16,
    pub body: Option<JsonDocument>,
    pub expires_at: Timestamp,
}

impl Requests {
    /// How the request was answered that has this SHA-256, if that still holds at this time.
    pub fn get(&self, request: &str, now: Timestamp) -> Option<StoredAnswer> {
        let state = self.state.read();
        let answer = state.answers.get(request)?;
        (now < answer.expires_at).then(|| answer.clone())
    }

    /// How many answers are kept.
    pub fn count(&self) -> usize {
        self.state.read().answers.len()
    }
}

impl State {
    fn forget(&mut self, request: &str) {
        if let Some(answer) = self.answers.remove(request) {
            self.bytes -= bytes(&answer);
            self.by_expiry
                .remove(&(answer.expires_at, request.to_owned()));
        }
    }

    /// Lets go what has expired, and what is too much.
    fn make_room(&mut self) {
        while let Some((expires_at, request)) = self.by_expiry.first()
            && (*expires_at <= self.last
                || self.answers.len() > ANSWERS_MAX
                || self.bytes > BYTES_MAX)
        {
            let request = request.clone();
            self.forget(&request);
        }
    }
}

fn bytes(answer: &StoredAnswer) -> usize {
    answer.body.as_ref().map_or(0, |body| body.as_str().len())
}

impl Projection for Requests {
    const NAME: &'static str = "requests";

    fn apply(&self, envelope: &Envelope) {
        let Event::Request(RequestEvent::Answered(RequestAnswered {
            request,
            status,
            body,
            expires_at,
        })) = &envelope.event
        else {
            return;
        };
        let state = &mut *self.state.write();
        state.last = envelope.recorded_at;
        state.forget(request);
        let answer = StoredAnswer {
            status: *status,
            body: body.as_ref().map(|Personal(body)| body.clone()),
            expires_at: *expires_at,
        };
        state.bytes += bytes(&answer);
        state.answers.insert(request.clone(), answer);
        state.by_expiry.insert((*expires_at, request.clone()));
        state.make_room();
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (expires_at, request) in &state.by_expiry {
            digest.number(expires_at.0);
            digest.text(request);
            if let Some(answer) = state.answers.get(request) {
                digest.number(u64::from(answer.status));
                digest.json(&answer.body);
            }
        }
    }
}
