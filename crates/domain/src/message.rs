use events::{
    MessageAccepted, MessageArchived, MessageCanceled, MessageEvent, MessageResolved,
    MessageSettled,
};

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageCommand {
    Accept(MessageAccepted),
    /// It is known whom it is for, in one or more parts.
    Resolve(Vec<MessageResolved>),
    /// It is known what became of it for some who were not settled.
    Settle(MessageSettled),
    /// It goes to nobody any more.
    Cancel,
    /// It does not go to some who were not settled.
    CancelSome,
    Archive,
}

/// A message, as far as decisions about it as a whole need it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageState {
    #[default]
    Absent,
    Accepted {
        is_resolved: bool,
        is_canceled: bool,
        /// Everybody whom it is for is settled.
        is_done: bool,
        is_archived: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageRefusal {
    #[error("there is no such message")]
    NotFound,
    #[error("there is a message with this id already")]
    Taken,
    #[error("it has gone out, or was canceled before")]
    TooLate,
    #[error("the people of a message can be known once only")]
    Resolved,
}

/// A message, from being accepted to what became of it for everybody.
pub struct Message;

impl Decider for Message {
    type Command = MessageCommand;
    type Event = MessageEvent;
    type State = MessageState;
    type Refusal = MessageRefusal;

    fn decide(
        state: &MessageState,
        command: MessageCommand,
    ) -> Result<Vec<MessageEvent>, MessageRefusal> {
        let MessageState::Accepted {
            is_resolved,
            is_canceled,
            is_done,
            is_archived,
        } = *state
        else {
            return match command {
                MessageCommand::Accept(accepted) => Ok(vec![MessageEvent::Accepted(accepted)]),
                MessageCommand::Resolve(_)
                | MessageCommand::Settle(_)
                | MessageCommand::Cancel
                | MessageCommand::CancelSome
                | MessageCommand::Archive => Err(MessageRefusal::NotFound),
            };
        };
        match command {
            MessageCommand::Accept(_) => Err(MessageRefusal::Taken),
            // Whoever resolves may not have seen yet that it was canceled.
            MessageCommand::Resolve(_) if is_canceled => Ok(vec![]),
            MessageCommand::Resolve(_) if is_resolved => Err(MessageRefusal::Resolved),
            MessageCommand::Resolve(parts) => {
                Ok(parts.into_iter().map(MessageEvent::Resolved).collect())
            }
            // What was on its way when it was canceled has gone out all the same.
            MessageCommand::Settle(settled) if !settled.outcomes.is_empty() => {
                Ok(vec![MessageEvent::Settled(settled)])
            }
            MessageCommand::Settle(_) => Ok(vec![]),
            MessageCommand::Cancel | MessageCommand::CancelSome if is_canceled || is_done => {
                Err(MessageRefusal::TooLate)
            }
            MessageCommand::Cancel | MessageCommand::CancelSome => {
                Ok(vec![MessageEvent::Canceled(MessageCanceled {})])
            }
            MessageCommand::Archive if is_archived => Ok(vec![]),
            MessageCommand::Archive => Ok(vec![MessageEvent::Archived(MessageArchived {})]),
        }
    }

    fn evolve(state: &mut MessageState, event: &MessageEvent) {
        match (event, &mut *state) {
            (MessageEvent::Accepted(accepted), _) => {
                let targets = &accepted.targets[..];
                *state = MessageState::Accepted {
                    is_resolved: matches!(targets, [events::MessageTarget::Person(_)]),
                    is_canceled: false,
                    is_done: false,
                    is_archived: false,
                };
            }
            (MessageEvent::Resolved(resolved), MessageState::Accepted { is_resolved, .. }) => {
                *is_resolved |= resolved.is_last;
            }
            // Of whom is not said here: whoever asks next works out anew whether it is done.
            (
                MessageEvent::Settled(_) | MessageEvent::Canceled(_),
                MessageState::Accepted { .. },
            )
            | (_, MessageState::Absent) => {}
            (MessageEvent::Archived(_), MessageState::Accepted { is_archived, .. }) => {
                *is_archived = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{MessageTarget, MessageText};
    use serde_json::json;
    use types::{JsonDocument, ListId, Position};

    use super::*;
    use crate::testing::given;

    fn accepted() -> MessageAccepted {
        MessageAccepted {
            message: MessageText::ToMany(JsonDocument::from_value(&json!({}))),
            targets: vec![MessageTarget::List {
                list: ListId::parse("news").expect("an id"),
                data: None,
                members_of: vec![],
            }],
            delayed_until: None,
            expires_at: None,
            resends: None,
        }
    }

    fn resolved(is_last: bool) -> MessageResolved {
        MessageResolved {
            as_of: Position(1),
            people: vec![],
            problems: vec![],
            is_last,
        }
    }

    #[test]
    fn a_message_is_accepted_once_and_resolved_once() {
        let past = || vec![MessageEvent::Accepted(accepted())];
        let parts = || vec![resolved(false), resolved(true)];
        let events = || parts().into_iter().map(MessageEvent::Resolved);
        given::<Message>([])
            .when(MessageCommand::Accept(accepted()))
            .then(past());
        given::<Message>(past())
            .when(MessageCommand::Accept(accepted()))
            .then_refused(MessageRefusal::Taken);
        given::<Message>(past())
            .when(MessageCommand::Resolve(parts()))
            .then(events().collect::<Vec<_>>());
        let all: Vec<_> = past().into_iter().chain(events()).collect();
        given::<Message>(all)
            .when(MessageCommand::Resolve(parts()))
            .then_refused(MessageRefusal::Resolved);
    }

    #[test]
    fn a_message_is_archived_once_and_nothing_is_done_to_one_that_is_not_there() {
        let archived = || MessageEvent::Archived(MessageArchived {});
        given::<Message>([MessageEvent::Accepted(accepted())])
            .when(MessageCommand::Archive)
            .then([archived()]);
        given::<Message>([MessageEvent::Accepted(accepted()), archived()])
            .when(MessageCommand::Archive)
            .then_nothing();
        for command in [
            MessageCommand::Archive,
            MessageCommand::Cancel,
            MessageCommand::CancelSome,
            MessageCommand::Resolve(vec![]),
        ] {
            given::<Message>([])
                .when(command)
                .then_refused(MessageRefusal::NotFound);
        }
    }

    #[test]
    fn what_is_done_or_canceled_is_not_canceled() {
        for (is_canceled, is_done) in [(true, false), (false, true)] {
            let state = MessageState::Accepted {
                is_resolved: true,
                is_canceled,
                is_done,
                is_archived: false,
            };
            for command in [MessageCommand::Cancel, MessageCommand::CancelSome] {
                let refused = Message::decide(&state, command);
                assert_eq!(refused, Err(MessageRefusal::TooLate));
            }
        }
    }
}
