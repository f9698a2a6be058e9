use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Bound;

use events::codec::{Decoder, Encoder};
use events::{
    Envelope, Event, Personal, TokenAdded, TokenDetails, TokenEvent, TokenRemoved, TokenUpdated,
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::{DeviceToken, SubjectId, Timestamp};

use crate::page::Weigh;
use crate::{Digest, Projection};

/// The device tokens of people.
///
/// A token expires with the first event at or after its time, whatever that event is about: from then
/// on nobody sees it. What is left of it goes a little later, for many may expire at once.
#[derive(Default)]
pub struct Tokens {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    people: HashMap<SubjectId, BTreeMap<DeviceToken, StoredToken>>,
    everybody: RoaringBitmap,
    /// When tokens expire, those among them that have and are not gone yet.
    expiries: BTreeSet<(Timestamp, Option<(SubjectId, DeviceToken)>)>,
    /// The time of the last event.
    last: Timestamp,
}

/// Expired tokens that are freed in one go, while nobody can read.
const SWEPT_MAX: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct StoredToken {
    details: TokenDetails,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    pub token: DeviceToken,
    pub details: TokenDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Tokens {
    /// All tokens of a person, in the order of the tokens.
    pub fn of_subject(&self, subject: SubjectId) -> Vec<TokenView> {
        self.state.read().of_subject(subject)
    }

    pub fn get(&self, subject: SubjectId, token: &DeviceToken) -> Option<TokenView> {
        let state = self.state.read();
        let (token, stored) = state.people.get(&subject)?.get_key_value(token)?;
        stored.is_there(state.last).then(|| stored.view(token))
    }

    /// When the next token expires, if any does.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let state = self.state.read();
        let later = (Bound::Included((state.last.next(), None)), Bound::Unbounded);
        state.expiries.range(later).next().map(|(at, _)| *at)
    }

    /// Frees some of what has expired; says whether there is more. Changes no answer.
    pub fn sweep(&self) -> bool {
        self.state.write().sweep()
    }

    /// For questions that go over several read models.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// For folding a group of events without letting a reader in between.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}

impl StoredToken {
    fn is_there(&self, now: Timestamp) -> bool {
        self.details.expires_at.is_none_or(|at| at > now)
    }

    fn view(&self, token: &DeviceToken) -> TokenView {
        TokenView {
            token: token.clone(),
            details: self.details.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl Weigh for TokenView {
    fn bytes(&self) -> usize {
        let details = &self.details;
        let documents = [&details.device, &details.tracking, &details.properties];
        let documents = documents.into_iter().flatten();
        let reason = details.status_reason.as_ref().map_or(0, String::len);
        reason + documents.map(|it| it.as_str().len()).sum::<usize>()
    }
}

impl State {
    pub(crate) fn of_subject(&self, subject: SubjectId) -> Vec<TokenView> {
        let tokens = self.people.get(&subject).into_iter().flatten();
        let tokens = tokens.filter(|(_, stored)| stored.is_there(self.last));
        tokens.map(|(token, stored)| stored.view(token)).collect()
    }

    /// Everybody who has a token.
    pub(crate) fn everybody(&self) -> RoaringBitmap {
        let mut everybody = self.everybody.clone();
        let expired = self.expiries.iter().take_while(|(at, _)| *at <= self.last);
        for (subject, _) in expired.filter_map(|(_, of)| of.as_ref()) {
            if !self.has_any(*subject) {
                everybody.remove(subject.0);
            }
        }
        everybody
    }

    pub(crate) fn has_any(&self, subject: SubjectId) -> bool {
        let mut tokens = self.people.get(&subject).into_iter().flatten();
        tokens.any(|(_, stored)| stored.is_there(self.last))
    }

    /// To be called with every event, before it is applied: what has expired by then is not there any
    /// more.
    pub(crate) fn pass(&mut self, now: Timestamp) {
        self.last = now;
    }

    /// Frees what has expired, of which nothing can be seen any more, but not much in one go. Says
    /// whether there is more.
    pub(crate) fn sweep(&mut self) -> bool {
        for _ in 0..SWEPT_MAX {
            if self.expiries.first().is_none_or(|(at, _)| *at > self.last) {
                return false;
            }
            if let Some((_, Some((subject, token)))) = self.expiries.pop_first() {
                self.forget(subject, &token);
            }
        }
        true
    }

    fn forget(&mut self, subject: SubjectId, token: &DeviceToken) {
        let Some(tokens) = self.people.get_mut(&subject) else {
            return;
        };
        if let Some(stored) = tokens.remove(token)
            && let Some(at) = stored.details.expires_at
        {
            self.expiries.remove(&(at, Some((subject, token.clone()))));
        }
        if tokens.is_empty() {
            self.people.remove(&subject);
            self.everybody.remove(subject.0);
        }
    }

    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        let (Event::Token(event), Some(subject)) = (&envelope.event, envelope.subjects.first())
        else {
            return;
        };
        match event {
            TokenEvent::Added(TokenAdded { token, details })
            | TokenEvent::Updated(TokenUpdated { token, details }) => {
                let (Personal::Known(token), Personal::Known(details)) = (token, details) else {
                    return;
                };
                let at = envelope.recorded_at;
                self.everybody.insert(subject.0);
                let tokens = self.people.entry(*subject).or_default();
                let before = tokens.insert(
                    token.clone(),
                    StoredToken {
                        details: details.clone(),
                        created_at: at,
                        updated_at: at,
                    },
                );
                if let Some(before) = before {
                    if before.is_there(self.last)
                        && let Some(stored) = tokens.get_mut(token)
                    {
                        stored.created_at = before.created_at;
                    }
                    if let Some(at) = before.details.expires_at {
                        self.expiries.remove(&(at, Some((*subject, token.clone()))));
                    }
                }
                if let Some(at) = details.expires_at {
                    self.expiries.insert((at, Some((*subject, token.clone()))));
                }
            }
            TokenEvent::Removed(TokenRemoved { token }) => {
                if let Personal::Known(token) = token {
                    self.forget(*subject, token);
                }
            }
        }
    }
}

impl Tokens {
    /// Those that have expired and are not freed yet are left out: they change no answer.
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        out.put(&state.last)?;
        let there = |subject: &&SubjectId| state.has_any(**subject);
        let mut people: Vec<&SubjectId> = state.people.keys().filter(there).collect();
        people.sort_unstable();
        out.put_all(people.into_iter().map(|subject| {
            let tokens = state.people.get(subject).into_iter().flatten();
            let there = tokens.filter(|(_, stored)| stored.is_there(state.last));
            (subject, there.collect::<Vec<_>>())
        }))
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut state = State {
            last: input.take()?,
            ..State::default()
        };
        for person in input.take_all()? {
            let (subject, tokens): (SubjectId, Vec<(DeviceToken, StoredToken)>) = person?;
            state.everybody.insert(subject.0);
            for (token, stored) in &tokens {
                if let Some(at) = stored.details.expires_at {
                    state.expiries.insert((at, Some((subject, token.clone()))));
                }
            }
            state.people.insert(subject, tokens.into_iter().collect());
        }
        Ok(Self {
            state: RwLock::new(state),
        })
    }
}

impl Projection for Tokens {
    const NAME: &'static str = "tokens";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let mut state = self.state.write();
        state.pass(envelope.recorded_at);
        state.apply(envelope);
        state.sweep();
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        let people: BTreeMap<_, _> = state.people.iter().collect();
        for (subject, tokens) in people {
            let tokens = tokens
                .iter()
                .filter(|(_, stored)| stored.is_there(state.last));
            for (token, stored) in tokens {
                digest.number(u64::from(subject.0));
                digest.text(token.as_str());
                digest.json(&stored.details);
                digest.number(stored.created_at.0);
                digest.number(stored.updated_at.0);
            }
        }
    }
}
