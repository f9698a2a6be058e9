use std::convert::Infallible;

use events::{
    ListMemberAdded, ListMemberEvent, ListMemberRemoved, ListMemberUpdated, ListMembersAdded,
    ListMembersRemoved, Personal,
};
use types::JsonDocument;

use crate::Decider;

/// What a caller may ask of one person's subscription to one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListMemberCommand {
    /// Subscribe; a subscription that exists stays as it is.
    Add {
        preferences: Option<JsonDocument>,
    },
    /// Subscribe; preferences that are given replace the stored ones, others stay.
    Merge {
        preferences: Option<JsonDocument>,
    },
    /// Subscribe; the stored preferences are replaced, and cleared when none are given.
    Put {
        preferences: Option<JsonDocument>,
    },
    Remove,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListMemberState {
    #[default]
    Absent,
    Subscribed {
        preferences: Option<JsonDocument>,
    },
}

pub struct ListMember;

impl Decider for ListMember {
    type Command = ListMemberCommand;
    type Event = ListMemberEvent;
    type State = ListMemberState;
    type Refusal = Infallible;

    fn decide(
        state: &ListMemberState,
        command: ListMemberCommand,
    ) -> Result<Vec<ListMemberEvent>, Infallible> {
        let personal = |preferences: Option<JsonDocument>| preferences.map(Personal::Known);
        Ok(match (state, command) {
            (
                ListMemberState::Absent,
                ListMemberCommand::Add { preferences }
                | ListMemberCommand::Merge { preferences }
                | ListMemberCommand::Put { preferences },
            ) => {
                let preferences = personal(preferences);
                vec![ListMemberEvent::Added(ListMemberAdded { preferences })]
            }
            (
                ListMemberState::Subscribed {
                    preferences: stored,
                },
                ListMemberCommand::Put { preferences }
                | ListMemberCommand::Merge {
                    preferences: preferences @ Some(_),
                },
            ) if *stored != preferences => {
                let preferences = personal(preferences);
                vec![ListMemberEvent::Updated(ListMemberUpdated { preferences })]
            }
            (ListMemberState::Subscribed { .. }, ListMemberCommand::Remove) => {
                vec![ListMemberEvent::Removed(ListMemberRemoved {})]
            }
            (ListMemberState::Absent, ListMemberCommand::Remove)
            | (
                ListMemberState::Subscribed { .. },
                ListMemberCommand::Add { .. }
                | ListMemberCommand::Merge { .. }
                | ListMemberCommand::Put { .. },
            ) => vec![],
        })
    }

    fn evolve(state: &mut ListMemberState, event: &ListMemberEvent) {
        let clear = |preferences: &Option<Personal<JsonDocument>>| {
            let preferences = preferences.as_ref();
            preferences.and_then(Personal::known).cloned()
        };
        *state = match event {
            ListMemberEvent::Added(ListMemberAdded { preferences })
            | ListMemberEvent::Updated(ListMemberUpdated { preferences }) => {
                ListMemberState::Subscribed {
                    preferences: clear(preferences),
                }
            }
            // A bulk event is made from decisions about single people, after they were made.
            ListMemberEvent::ManyAdded(ListMembersAdded { .. }) => {
                ListMemberState::Subscribed { preferences: None }
            }
            ListMemberEvent::Removed(ListMemberRemoved {})
            | ListMemberEvent::ManyRemoved(ListMembersRemoved {}) => ListMemberState::Absent,
        };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::given;

    #[expect(
        clippy::unnecessary_wraps,
        reason = "commands and events take an option"
    )]
    fn preferences(status: &str) -> Option<JsonDocument> {
        Some(JsonDocument::from_value(
            &json!({"notifications": {"n": {"status": status}}}),
        ))
    }

    fn added(preferences: Option<JsonDocument>) -> ListMemberEvent {
        ListMemberEvent::Added(ListMemberAdded {
            preferences: preferences.map(Personal::Known),
        })
    }

    fn updated(preferences: Option<JsonDocument>) -> ListMemberEvent {
        ListMemberEvent::Updated(ListMemberUpdated {
            preferences: preferences.map(Personal::Known),
        })
    }

    #[test]
    fn every_way_of_subscribing_adds_who_is_absent() {
        let wanted = preferences("OPTED_IN");
        for command in [
            ListMemberCommand::Add {
                preferences: wanted.clone(),
            },
            ListMemberCommand::Merge {
                preferences: wanted.clone(),
            },
            ListMemberCommand::Put {
                preferences: wanted.clone(),
            },
        ] {
            given::<ListMember>([])
                .when(command)
                .then([added(wanted.clone())]);
        }
    }

    #[test]
    fn adding_leaves_a_subscription_as_it_is() {
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Add {
                preferences: preferences("OPTED_OUT"),
            })
            .then_nothing();
    }

    #[test]
    fn putting_replaces_preferences_and_clears_them_when_none_are_given() {
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Put {
                preferences: preferences("OPTED_OUT"),
            })
            .then([updated(preferences("OPTED_OUT"))]);
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Put { preferences: None })
            .then([updated(None)]);
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Put {
                preferences: preferences("OPTED_IN"),
            })
            .then_nothing();
    }

    #[test]
    fn merging_keeps_preferences_when_none_are_given() {
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Merge { preferences: None })
            .then_nothing();
        given::<ListMember>([added(preferences("OPTED_IN"))])
            .when(ListMemberCommand::Merge {
                preferences: preferences("OPTED_OUT"),
            })
            .then([updated(preferences("OPTED_OUT"))]);
    }

    #[test]
    fn removing_ends_a_subscription_and_removing_again_says_nothing() {
        let removed = || ListMemberEvent::Removed(ListMemberRemoved {});
        given::<ListMember>([added(None)])
            .when(ListMemberCommand::Remove)
            .then([removed()]);
        given::<ListMember>([added(None), removed()])
            .when(ListMemberCommand::Remove)
            .then_nothing();
    }
}
