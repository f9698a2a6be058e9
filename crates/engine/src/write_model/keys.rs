use domain::limits::KEYS_MAX;
use domain::{Decider, Key, KeyCommand, KeyRefusal, KeyState};
use events::{KeyEvent, KeyUserTokenIssued};
use types::{StreamId, Timestamp};

use super::{Decided, WriteModel};
use crate::command::{KeyToIssue, Refusal};

impl WriteModel {
    pub(super) fn issue_key(
        &mut self,
        KeyToIssue { id, issued }: KeyToIssue,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let new = self.group.keys.keys();
        let new = new.filter(|id| self.committed.keys.get(id).is_none());
        if self.committed.keys.count_good(now) + new.count() >= KEYS_MAX {
            return Err(KeyRefusal::TooMany.into());
        }
        self.key(&id, KeyCommand::Issue(issued), decided)
    }

    /// A token of users was issued, which is itself kept nowhere.
    pub(super) fn note_user_token(
        &mut self,
        key: String,
        issued: KeyUserTokenIssued,
        decided: &mut Vec<Decided>,
    ) {
        let event = KeyEvent::UserTokenIssued(issued);
        self.record(StreamId::Key(key), vec![], event.into(), decided);
    }

    /// The new key first: nobody is ever without one.
    pub(super) fn replace_key(
        &mut self,
        id: &str,
        successor: KeyToIssue,
        ends_at: Option<Timestamp>,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if !matches!(self.key_state(id), KeyState::Issued { .. }) {
            return Err(KeyRefusal::NotFound.into());
        }
        if ends_at.is_some() {
            // For a while both are good, and as often as somebody asks.
            self.issue_key(successor, now, decided)?;
        } else {
            // There are no more keys that are good afterwards than before.
            let KeyToIssue { id: new, issued } = successor;
            self.key(&new, KeyCommand::Issue(issued), decided)?;
        }
        let end = ends_at.map_or(KeyCommand::Revoke, KeyCommand::Expire);
        self.key(id, end, decided)
    }

    pub(super) fn key(
        &mut self,
        id: &str,
        command: KeyCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.key_state(id);
        for event in Key::decide(&state, command)? {
            Key::evolve(&mut state, &event);
            self.record(StreamId::Key(id.to_owned()), vec![], event.into(), decided);
            self.group.keys.insert(id.to_owned(), state.clone());
        }
        Ok(())
    }

    /// Whether this is a key that opens nothing any more, what the group has decided counted. Whoever has
    /// no key, such as the clock, never ends.
    pub(crate) fn is_ended(&self, id: &str, now: Timestamp) -> bool {
        match self.group.keys.get(id) {
            Some(KeyState::Issued { expires_at, .. }) => expires_at.is_some_and(|end| end <= now),
            Some(KeyState::Revoked) => true,
            Some(KeyState::Absent) => false,
            None => self.committed.keys.is_ended(id, now),
        }
    }

    pub(super) fn key_state(&self, id: &str) -> KeyState {
        if let Some(decided) = self.group.keys.get(id) {
            return decided.clone();
        }
        match self.committed.keys.get(id) {
            None => KeyState::Absent,
            Some(key) if key.revoked_at.is_some() => KeyState::Revoked,
            Some(key) => KeyState::Issued {
                expires_at: key.expires_at,
                used_at: key.used_at,
            },
        }
    }
}
