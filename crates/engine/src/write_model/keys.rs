use domain::limits::KEYS_MAX;
use domain::{Decider, Key, KeyCommand, KeyRefusal, KeyState};
use types::{StreamId, Timestamp};

use super::{Decided, WriteModel};
use crate::command::{KeyToIssue, Refusal};

impl WriteModel {
    pub(super) fn issue_key(
        &mut self,
        KeyToIssue { id, issued }: KeyToIssue,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let new = self.group.keys.keys();
        let new = new.filter(|id| self.committed.keys.get(id).is_none());
        if self.committed.keys.count() + new.count() >= KEYS_MAX {
            return Err(KeyRefusal::TooMany.into());
        }
        self.key(&id, KeyCommand::Issue(issued), decided)
    }

    /// The new key first: nobody is ever without one.
    pub(super) fn replace_key(
        &mut self,
        id: &str,
        successor: KeyToIssue,
        ends_at: Option<Timestamp>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if !matches!(self.key_state(id), KeyState::Issued { .. }) {
            return Err(KeyRefusal::NotFound.into());
        }
        self.issue_key(successor, decided)?;
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
