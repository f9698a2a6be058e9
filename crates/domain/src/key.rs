use events::{KeyEvent, KeyExpirySet, KeyIssued, KeyRevoked, KeyUsed};
use types::Timestamp;

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyCommand {
    Issue(KeyIssued),
    /// Let the key end at this time, if it does not end before.
    Expire(Timestamp),
    Revoke,
    NoteUse(Timestamp),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    #[default]
    Absent,
    Issued {
        expires_at: Option<Timestamp>,
        used_at: Option<Timestamp>,
    },
    Revoked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    #[error("there is no such key")]
    NotFound,
    #[error("there is a key with this id already")]
    Taken,
    #[error("there can be at most {max} keys", max = crate::limits::KEYS_MAX)]
    TooMany,
}

/// An API key, from being issued to being revoked. A key that was revoked never returns.
pub struct Key;

impl Decider for Key {
    type Command = KeyCommand;
    type Event = KeyEvent;
    type State = KeyState;
    type Refusal = KeyRefusal;

    fn decide(state: &KeyState, command: KeyCommand) -> Result<Vec<KeyEvent>, KeyRefusal> {
        let (expiry, use_before) = match state {
            KeyState::Absent | KeyState::Revoked => match (command, state) {
                (KeyCommand::Issue(issued), KeyState::Absent) => {
                    return Ok(vec![KeyEvent::Issued(issued)]);
                }
                (KeyCommand::Issue(_), _) => return Err(KeyRefusal::Taken),
                // It ends with the key.
                (KeyCommand::NoteUse(_), _) => return Ok(vec![]),
                (KeyCommand::Expire(_) | KeyCommand::Revoke, _) => {
                    return Err(KeyRefusal::NotFound);
                }
            },
            KeyState::Issued {
                expires_at,
                used_at,
            } => (*expires_at, *used_at),
        };
        Ok(match command {
            KeyCommand::Issue(_) => return Err(KeyRefusal::Taken),
            KeyCommand::Expire(at) if expiry.is_some_and(|expiry| expiry <= at) => vec![],
            KeyCommand::Expire(expires_at) => {
                vec![KeyEvent::ExpirySet(KeyExpirySet { expires_at })]
            }
            KeyCommand::Revoke => vec![KeyEvent::Revoked(KeyRevoked {})],
            KeyCommand::NoteUse(at) if use_before.is_some_and(|before| before >= at) => vec![],
            KeyCommand::NoteUse(at) => vec![KeyEvent::Used(KeyUsed { at })],
        })
    }

    fn evolve(state: &mut KeyState, event: &KeyEvent) {
        match (event, &mut *state) {
            (KeyEvent::Issued(issued), _) => {
                *state = KeyState::Issued {
                    expires_at: issued.expires_at,
                    used_at: None,
                };
            }
            (KeyEvent::ExpirySet(set), KeyState::Issued { expires_at, .. }) => {
                *expires_at = Some(set.expires_at);
            }
            (KeyEvent::Used(used), KeyState::Issued { used_at, .. }) => *used_at = Some(used.at),
            (KeyEvent::Revoked(_), _) => *state = KeyState::Revoked,
            (KeyEvent::ExpirySet(_) | KeyEvent::Used(_), KeyState::Absent | KeyState::Revoked)
            | (KeyEvent::UserTokenIssued(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn issued(expires_at: Option<Timestamp>) -> KeyIssued {
        KeyIssued {
            name: "Key".to_owned(),
            prefix: "mk_abc".to_owned(),
            hash: "00".to_owned(),
            scopes: vec!["admin".to_owned()],
            tenant_id: None,
            expires_at,
        }
    }

    #[test]
    fn a_key_is_issued_once_and_revoked_for_good() {
        let is_issued = || KeyEvent::Issued(issued(None));
        let revoked = || KeyEvent::Revoked(KeyRevoked {});
        given::<Key>([])
            .when(KeyCommand::Issue(issued(None)))
            .then([is_issued()]);
        given::<Key>([is_issued()])
            .when(KeyCommand::Issue(issued(None)))
            .then_refused(KeyRefusal::Taken);
        given::<Key>([is_issued()])
            .when(KeyCommand::Revoke)
            .then([revoked()]);
        for command in [KeyCommand::Revoke, KeyCommand::Expire(Timestamp(1))] {
            given::<Key>([])
                .when(command.clone())
                .then_refused(KeyRefusal::NotFound);
            given::<Key>([is_issued(), revoked()])
                .when(command)
                .then_refused(KeyRefusal::NotFound);
        }
        given::<Key>([is_issued(), revoked()])
            .when(KeyCommand::Issue(issued(None)))
            .then_refused(KeyRefusal::Taken);
    }

    #[test]
    fn a_key_can_only_be_made_to_end_earlier() {
        let set = |at| {
            KeyEvent::ExpirySet(KeyExpirySet {
                expires_at: Timestamp(at),
            })
        };
        for (held, asked, events) in [
            (None, 5, vec![set(5)]),
            (Some(9), 5, vec![set(5)]),
            (Some(5), 5, vec![]),
            (Some(3), 5, vec![]),
        ] {
            given::<Key>([KeyEvent::Issued(issued(held.map(Timestamp)))])
                .when(KeyCommand::Expire(Timestamp(asked)))
                .then(events);
        }
    }

    #[test]
    fn the_use_of_a_key_is_noted_as_long_as_there_is_one() {
        let is_issued = || KeyEvent::Issued(issued(None));
        let used = |at| KeyEvent::Used(KeyUsed { at: Timestamp(at) });
        given::<Key>([is_issued()])
            .when(KeyCommand::NoteUse(Timestamp(5)))
            .then([used(5)]);
        given::<Key>([is_issued(), used(5)])
            .when(KeyCommand::NoteUse(Timestamp(5)))
            .then_nothing();
        given::<Key>([is_issued(), KeyEvent::Revoked(KeyRevoked {})])
            .when(KeyCommand::NoteUse(Timestamp(5)))
            .then_nothing();
        given::<Key>([])
            .when(KeyCommand::NoteUse(Timestamp(5)))
            .then_nothing();
    }
}
