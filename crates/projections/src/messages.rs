//! Messages: whom each is for, and what has become of it.
//!
//! What a message says stays in the log. Here is only what a list of messages shows, and who is still to be
//! told, as sets: a message to a million people takes some megabytes.

mod fold;
mod request;
mod saved;
#[cfg(test)]
mod tests;
mod unions;
mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parking_lot::RwLock;
use roaring::RoaringBitmap;
use types::{MessageId, Position, SubjectId, Timestamp};

use request::{Marks, Request};
pub use request::{Reached, ResolvedPeople};
pub use views::{
    MessageFilter, MessagePlace, MessageView, Progress, RequestView, WantedRecipient, message_id_of,
};

/// Every call to send, and whom it reached.
#[derive(Default)]
pub struct Messages {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// By the position at which each was accepted.
    requests: BTreeMap<Position, Request>,
    by_id: HashMap<MessageId, Position>,
    /// Those that name one person and nobody else, by that person.
    of_person: HashMap<SubjectId, Vec<Position>>,
    /// Those that are for several.
    of_many: BTreeSet<Position>,
    /// Those of which somebody is to be told now, or of which that is not known yet.
    active: BTreeSet<Position>,
    /// Those of which somebody is to be told later, or was to be told later once.
    waiting: BTreeSet<(Timestamp, Position)>,
    /// What people did with what they got.
    marks: HashMap<(Position, SubjectId), Marks>,
}

/// A message of which something is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub id: MessageId,
    pub accepted: Position,
    /// Whether it is known yet whom it is for.
    pub is_resolved: bool,
    pub expires_at: Option<Timestamp>,
    /// From when on it is tried.
    pub begins_at: Timestamp,
    /// Who is to be told now, of those who are known.
    pub people: RoaringBitmap,
}

impl Messages {
    /// What there is to do at this time, oldest first, but for messages that the caller passes over and
    /// people whom the caller has taken up; and when the next thing is due that is not yet.
    pub fn due(
        &self,
        now: Timestamp,
        at_most: usize,
        passed_over: impl Fn(Position) -> bool,
        taken: impl Fn(Position) -> Option<RoaringBitmap>,
    ) -> (Vec<Due>, Option<Timestamp>) {
        let state = self.state.read();
        let mut due = Vec::new();
        let later = state.waiting.range((now.next(), Position::START)..);
        let mut next = later.map(|(at, _)| *at).next();
        let due_by_now = state.waiting.range(..(now.next(), Position::START));
        let positions = due_by_now.map(|(_, position)| position);
        for position in positions.chain(&state.active) {
            if due.len() == at_most {
                break;
            }
            if passed_over(*position) {
                continue;
            }
            let request = &state.requests[position];
            let (mut people, later) = request.unsettled(now);
            next = [next, later].into_iter().flatten().min();
            if let Some(taken) = taken(*position) {
                people -= taken;
            }
            if request.is_resolved() && people.is_empty() {
                continue;
            }
            due.push(Due {
                id: request.id.clone(),
                accepted: *position,
                is_resolved: request.is_resolved(),
                expires_at: request.expires_at,
                begins_at: request.delayed_until.unwrap_or(request.at),
                people,
            });
        }
        (due, next)
    }

    /// Those of these people who are to be told at this time.
    pub fn due_among(
        &self,
        accepted: Position,
        people: &RoaringBitmap,
        now: Timestamp,
    ) -> RoaringBitmap {
        let state = self.state.read();
        match state.requests.get(&accepted) {
            Some(request) if request.canceled_at.is_none() => request.due_among(people, now),
            Some(_) | None => RoaringBitmap::new(),
        }
    }

    /// Whether somebody is to be told at this time.
    pub fn is_due(&self, accepted: Position, subject: SubjectId, now: Timestamp) -> bool {
        let state = self.state.read();
        let request = state.requests.get(&accepted);
        request.is_some_and(|it| {
            let until = it.delayed(subject).map(|(until, _)| until);
            it.canceled_at.is_none()
                && it.is_for(subject)
                && !it.is_settled(subject)
                && until.is_none_or(|until| until <= now)
        })
    }

    /// Whether something of a message may still go out.
    pub fn is_active(&self, accepted: Position) -> bool {
        let state = self.state.read();
        let request = state.requests.get(&accepted);
        request.is_some_and(Request::is_active)
    }

    /// Through which target somebody is reached by a resolved message, and in the context of which tenant;
    /// nothing if they are not among its people.
    pub fn reached(&self, accepted: Position, subject: SubjectId) -> Option<Reached> {
        self.state.read().requests.get(&accepted)?.reached(subject)
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.state.read().requests.len()
    }

    /// In how many of them somebody has no outcome yet, the delayed ones among them.
    pub fn active_count(&self) -> usize {
        let state = self.state.read();
        state.active.len() + state.waiting.len()
    }
}
