use events::{WebhookEvent, WebhookRedeliveryRequested, WebhookRegistered, WebhookRemoved};
use types::Position;

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookCommand {
    Register(WebhookRegistered),
    Remove,
    Redeliver { from: Position },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookState {
    #[default]
    Absent,
    Registered,
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    #[error("there is no such webhook")]
    NotFound,
    #[error("there is a webhook with this id already")]
    Taken,
    #[error("there can be at most {max} webhooks", max = crate::limits::WEBHOOKS_MAX)]
    TooMany,
}

/// A webhook, from being registered to being removed. One that was removed never returns.
pub struct Webhook;

impl Decider for Webhook {
    type Command = WebhookCommand;
    type Event = WebhookEvent;
    type State = WebhookState;
    type Refusal = WebhookRefusal;

    fn decide(
        state: &WebhookState,
        command: WebhookCommand,
    ) -> Result<Vec<WebhookEvent>, WebhookRefusal> {
        match (command, state) {
            (WebhookCommand::Register(registered), WebhookState::Absent) => {
                Ok(vec![WebhookEvent::Registered(registered)])
            }
            (WebhookCommand::Register(_), WebhookState::Registered | WebhookState::Removed) => {
                Err(WebhookRefusal::Taken)
            }
            (WebhookCommand::Remove, WebhookState::Registered) => {
                Ok(vec![WebhookEvent::Removed(WebhookRemoved {})])
            }
            (WebhookCommand::Redeliver { from }, WebhookState::Registered) => {
                Ok(vec![WebhookEvent::RedeliveryRequested(
                    WebhookRedeliveryRequested { from },
                )])
            }
            (
                WebhookCommand::Remove | WebhookCommand::Redeliver { .. },
                WebhookState::Absent | WebhookState::Removed,
            ) => Err(WebhookRefusal::NotFound),
        }
    }

    fn evolve(state: &mut WebhookState, event: &WebhookEvent) {
        match event {
            WebhookEvent::Registered(_) => *state = WebhookState::Registered,
            WebhookEvent::Removed(_) => *state = WebhookState::Removed,
            WebhookEvent::RedeliveryRequested(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    #[test]
    fn a_webhook_is_registered_once_and_removed_for_good() {
        let details = || WebhookRegistered {
            url: "https://example.com/hook".to_owned(),
            types: vec!["profile.*".to_owned()],
            audience_id: None,
        };
        let registered = || WebhookEvent::Registered(details());
        let removed = || WebhookEvent::Removed(WebhookRemoved {});
        let again = || WebhookCommand::Redeliver { from: Position(3) };
        let requested =
            WebhookEvent::RedeliveryRequested(WebhookRedeliveryRequested { from: Position(3) });
        given::<Webhook>([])
            .when(WebhookCommand::Register(details()))
            .then([registered()]);
        given::<Webhook>([registered()])
            .when(WebhookCommand::Register(details()))
            .then_refused(WebhookRefusal::Taken);
        given::<Webhook>([registered()])
            .when(WebhookCommand::Remove)
            .then([removed()]);
        given::<Webhook>([registered()])
            .when(again())
            .then([requested]);
        for past in [vec![], vec![registered(), removed()]] {
            for command in [WebhookCommand::Remove, again()] {
                given::<Webhook>(past.clone())
                    .when(command)
                    .then_refused(WebhookRefusal::NotFound);
            }
        }
        given::<Webhook>([registered(), removed()])
            .when(WebhookCommand::Register(details()))
            .then_refused(WebhookRefusal::Taken);
    }
}
