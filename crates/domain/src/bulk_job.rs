use events::{BulkCreated, BulkEvent, BulkStarted, BulkUsersIngested};

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BulkCommand {
    Create(BulkCreated),
    /// These people, who were not among its people before, join.
    Ingest(BulkUsersIngested),
    Run,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkState {
    #[default]
    Absent,
    Created,
    Started,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkRefusal {
    #[error("there is no such bulk job")]
    NotFound,
    #[error("there is a bulk job with this id already")]
    Taken,
    #[error("the bulk job is running: nobody can join it any more")]
    Started,
}

/// A bulk job: people are gathered, and then told once.
pub struct BulkJob;

impl Decider for BulkJob {
    type Command = BulkCommand;
    type Event = BulkEvent;
    type State = BulkState;
    type Refusal = BulkRefusal;

    fn decide(state: &BulkState, command: BulkCommand) -> Result<Vec<BulkEvent>, BulkRefusal> {
        match (command, state) {
            (BulkCommand::Create(created), BulkState::Absent) => {
                Ok(vec![BulkEvent::Created(created)])
            }
            (BulkCommand::Create(_), BulkState::Created | BulkState::Started) => {
                Err(BulkRefusal::Taken)
            }
            (BulkCommand::Ingest(_) | BulkCommand::Run, BulkState::Absent) => {
                Err(BulkRefusal::NotFound)
            }
            (BulkCommand::Ingest(users), BulkState::Created) => {
                Ok(vec![BulkEvent::UsersIngested(users)])
            }
            (BulkCommand::Ingest(_), BulkState::Started) => Err(BulkRefusal::Started),
            (BulkCommand::Run, BulkState::Created) => Ok(vec![BulkEvent::Started(BulkStarted {})]),
            // It runs once, however often it is asked to.
            (BulkCommand::Run, BulkState::Started) => Ok(vec![]),
        }
    }

    fn evolve(state: &mut BulkState, event: &BulkEvent) {
        match event {
            BulkEvent::Created(_) => *state = BulkState::Created,
            BulkEvent::UsersIngested(_) => {}
            BulkEvent::Started(_) => *state = BulkState::Started,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::JsonDocument;

    use super::*;
    use crate::testing::given;

    #[test]
    fn people_join_until_it_runs_and_it_runs_once() {
        let created = || {
            let message = JsonDocument::from_value(&json!({}));
            let definition = message.clone();
            BulkCreated {
                message,
                definition,
            }
        };
        let past = || BulkEvent::Created(created());
        let started = || BulkEvent::Started(BulkStarted {});
        let users = || BulkUsersIngested { users: vec![] };
        given::<BulkJob>([])
            .when(BulkCommand::Create(created()))
            .then([past()]);
        given::<BulkJob>([past()])
            .when(BulkCommand::Create(created()))
            .then_refused(BulkRefusal::Taken);
        given::<BulkJob>([past()])
            .when(BulkCommand::Ingest(users()))
            .then([BulkEvent::UsersIngested(users())]);
        given::<BulkJob>([past()])
            .when(BulkCommand::Run)
            .then([started()]);
        given::<BulkJob>([past(), started()])
            .when(BulkCommand::Run)
            .then_nothing();
        given::<BulkJob>([past(), started()])
            .when(BulkCommand::Ingest(users()))
            .then_refused(BulkRefusal::Started);
        for command in [BulkCommand::Run, BulkCommand::Ingest(users())] {
            given::<BulkJob>([])
                .when(command)
                .then_refused(BulkRefusal::NotFound);
        }
    }
}
