use events::{ListCreated, ListDeleted, ListEvent, ListRestored, ListUpdated};
use types::JsonDocument;

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListCommand {
    /// Create the list or replace its name and preferences. Subscribers stay.
    Put {
        name: String,
        preferences: Option<JsonDocument>,
    },
    /// Create the list, with this name, if there is no live one.
    Ensure {
        name: String,
    },
    Delete,
    Restore,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListState {
    #[default]
    Absent,
    Live {
        name: String,
        preferences: Option<JsonDocument>,
    },
    /// Put aside with its subscribers; a restore brings it back.
    Deleted {
        name: String,
        preferences: Option<JsonDocument>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListRefusal {
    #[error("there is no such list")]
    NotFound,
}

pub struct List;

impl Decider for List {
    type Command = ListCommand;
    type Event = ListEvent;
    type State = ListState;
    type Refusal = ListRefusal;

    fn decide(state: &ListState, command: ListCommand) -> Result<Vec<ListEvent>, ListRefusal> {
        Ok(match (command, state) {
            (
                ListCommand::Put { name, preferences },
                ListState::Live {
                    name: current,
                    preferences: stored,
                },
            ) if name == *current && preferences == *stored => {
                vec![]
            }
            (ListCommand::Put { name, preferences }, ListState::Live { .. }) => {
                vec![ListEvent::Updated(ListUpdated { name, preferences })]
            }
            // A list that was deleted is not brought back by accident: nobody is written to whom
            // the caller believes gone.
            (
                ListCommand::Put { name, preferences },
                ListState::Absent | ListState::Deleted { .. },
            ) => {
                vec![ListEvent::Created(ListCreated { name, preferences })]
            }
            (ListCommand::Ensure { name }, ListState::Absent | ListState::Deleted { .. }) => {
                vec![ListEvent::Created(ListCreated {
                    name,
                    preferences: None,
                })]
            }
            (ListCommand::Ensure { .. } | ListCommand::Restore, ListState::Live { .. }) => vec![],
            (ListCommand::Delete, ListState::Live { .. }) => {
                vec![ListEvent::Deleted(ListDeleted {})]
            }
            (ListCommand::Restore, ListState::Deleted { .. }) => {
                vec![ListEvent::Restored(ListRestored {})]
            }
            (ListCommand::Delete, ListState::Absent | ListState::Deleted { .. })
            | (ListCommand::Restore, ListState::Absent) => return Err(ListRefusal::NotFound),
        })
    }

    fn evolve(state: &mut ListState, event: &ListEvent) {
        *state = match (event, std::mem::take(state)) {
            (
                ListEvent::Created(ListCreated { name, preferences })
                | ListEvent::Updated(ListUpdated { name, preferences }),
                _,
            ) => ListState::Live {
                name: name.clone(),
                preferences: preferences.clone(),
            },
            (
                ListEvent::Deleted(ListDeleted {}),
                ListState::Live { name, preferences } | ListState::Deleted { name, preferences },
            ) => ListState::Deleted { name, preferences },
            (
                ListEvent::Restored(ListRestored {}),
                ListState::Live { name, preferences } | ListState::Deleted { name, preferences },
            ) => ListState::Live { name, preferences },
            (ListEvent::Deleted(_) | ListEvent::Restored(_), ListState::Absent) => {
                ListState::Absent
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn created(name: &str) -> ListEvent {
        ListEvent::Created(ListCreated {
            name: name.to_owned(),
            preferences: None,
        })
    }

    fn deleted() -> ListEvent {
        ListEvent::Deleted(ListDeleted {})
    }

    fn put(name: &str) -> ListCommand {
        ListCommand::Put {
            name: name.to_owned(),
            preferences: None,
        }
    }

    fn ensure() -> ListCommand {
        ListCommand::Ensure {
            name: "news".to_owned(),
        }
    }

    #[test]
    fn putting_creates_then_updates_then_says_nothing() {
        given::<List>([]).when(put("News")).then([created("News")]);
        given::<List>([created("News")])
            .when(put("Weekly"))
            .then([ListEvent::Updated(ListUpdated {
                name: "Weekly".to_owned(),
                preferences: None,
            })]);
        given::<List>([created("News")])
            .when(put("News"))
            .then_nothing();
    }

    #[test]
    fn putting_a_deleted_list_starts_a_fresh_one() {
        given::<List>([created("News"), deleted()])
            .when(put("News"))
            .then([created("News")]);
        given::<List>([created("News"), deleted()])
            .when(ensure())
            .then([created("news")]);
    }

    #[test]
    fn a_live_list_needs_no_creation() {
        given::<List>([created("News")])
            .when(ensure())
            .then_nothing();
    }

    #[test]
    fn deleting_what_is_not_there_is_refused() {
        given::<List>([])
            .when(ListCommand::Delete)
            .then_refused(ListRefusal::NotFound);
        given::<List>([created("News"), deleted()])
            .when(ListCommand::Delete)
            .then_refused(ListRefusal::NotFound);
    }

    #[test]
    fn restoring_brings_back_the_deleted_list_only() {
        let restored = ListEvent::Restored(ListRestored {});
        given::<List>([created("News"), deleted()])
            .when(ListCommand::Restore)
            .then([restored]);
        given::<List>([created("News")])
            .when(ListCommand::Restore)
            .then_nothing();
        given::<List>([])
            .when(ListCommand::Restore)
            .then_refused(ListRefusal::NotFound);
    }
}
