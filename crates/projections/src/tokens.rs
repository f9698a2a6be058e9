use std::collections::{BTreeMap, BTreeSet, HashMap};

use events::{
    Envelope, Event, Personal, TokenAdded, TokenDetails, TokenEvent, TokenRemoved, TokenUpdated,
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::RoaringBitmap;
use types::{DeviceToken, SubjectId, Timestamp};

use crate::{Digest, Projection};

/// The device tokens of people.
///
/// A token expires with the first event at or after its time, whatever that event is about.
#[derive(Default)]
pub struct Tokens {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    people: HashMap<SubjectId, BTreeMap<DeviceToken, StoredToken>>,
    everybody: RoaringBitmap,
    expiries: BTreeSet<(Timestamp, SubjectId, DeviceToken)>,
}

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
        Some(stored.view(token))
    }

    /// When the next token expires, if any does.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let state = self.state.read();
        state.expiries.first().map(|(at, ..)| *at)
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
    fn view(&self, token: &DeviceToken) -> TokenView {
        TokenView {
            token: token.clone(),
            details: self.details.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl State {
    pub(crate) fn of_subject(&self, subject: SubjectId) -> Vec<TokenView> {
        let tokens = self.people.get(&subject).into_iter().flatten();
        tokens.map(|(token, stored)| stored.view(token)).collect()
    }

    /// Everybody who has a token.
    pub(crate) fn everybody(&self) -> &RoaringBitmap {
        &self.everybody
    }

    pub(crate) fn has_any(&self, subject: SubjectId) -> bool {
        self.people.contains_key(&subject)
    }

    /// To be called with every event, before it is applied.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while self.expiries.first().is_some_and(|(at, ..)| *at <= now) {
            if let Some((_, subject, token)) = self.expiries.pop_first() {
                self.forget(subject, &token);
            }
        }
    }

    fn forget(&mut self, subject: SubjectId, token: &DeviceToken) {
        let Some(tokens) = self.people.get_mut(&subject) else {
            return;
        };
        if let Some(stored) = tokens.remove(token)
            && let Some(at) = stored.details.expires_at
        {
            self.expiries.remove(&(at, subject, token.clone()));
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
            TokenEvent::Added(TokenAdded {
                token: Personal(token),
                details: Personal(details),
            })
            | TokenEvent::Updated(TokenUpdated {
                token: Personal(token),
                details: Personal(details),
            }) => {
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
                    if let Some(stored) = tokens.get_mut(token) {
                        stored.created_at = before.created_at;
                    }
                    if let Some(at) = before.details.expires_at {
                        self.expiries.remove(&(at, *subject, token.clone()));
                    }
                }
                if let Some(at) = details.expires_at {
                    self.expiries.insert((at, *subject, token.clone()));
                }
            }
            TokenEvent::Removed(TokenRemoved {
                token: Personal(token),
            }) => self.forget(*subject, token),
        }
    }
}

impl Projection for Tokens {
    const NAME: &'static str = "tokens";

    fn apply(&self, envelope: &Envelope) {
        let mut state = self.state.write();
        state.expire(envelope.recorded_at);
        state.apply(envelope);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        let people: BTreeMap<_, _> = state.people.iter().collect();
        for (subject, tokens) in people {
            digest.number(u64::from(subject.0));
            digest.number(tokens.len() as u64);
            for (token, stored) in tokens {
                digest.text(token.as_str());
                digest.json(&stored.details);
                digest.number(stored.created_at.0);
                digest.number(stored.updated_at.0);
            }
        }
    }
}
