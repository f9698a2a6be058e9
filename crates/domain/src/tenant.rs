use events::{
    TenantCreated, TenantDefaultPreferenceCleared, TenantDefaultPreferenceSet, TenantDeleted,
    TenantDetails, TenantEvent, TenantHistoryRecorded, TenantUpdated,
};
use types::{Choice, TenantId, TopicId};

use crate::Decider;
use crate::limits::{TENANT_LEVELS_MAX, TOPICS_MAX};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantCommand {
    /// Create the tenant or replace all that it is. Members stay.
    Put(TenantDetails),
    SetDefaultPreference {
        topic: TopicId,
        choice: Choice,
    },
    ClearDefaultPreference {
        topic: TopicId,
    },
    /// Take note of how much there is about the tenant.
    RecordHistory(TenantHistoryRecorded),
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefusal {
    #[error("there is no such tenant")]
    NotFound,
    #[error("the tenant would be among its own ancestors")]
    Cycle,
    #[error("tenants would be within each other more than {TENANT_LEVELS_MAX} levels deep")]
    TooDeep,
    #[error("a tenant can have default preferences for at most {TOPICS_MAX} topics")]
    TooManyDefaults,
}

/// A tenant. Its state is all that it is, if it is there.
pub struct Tenant;

impl Decider for Tenant {
    type Command = TenantCommand;
    type Event = TenantEvent;
    type State = Option<TenantDetails>;
    type Refusal = TenantRefusal;

    fn decide(
        state: &Option<TenantDetails>,
        command: TenantCommand,
    ) -> Result<Vec<TenantEvent>, TenantRefusal> {
        Ok(match (command, state) {
            (TenantCommand::Put(details), None) => {
                vec![TenantEvent::Created(TenantCreated(details))]
            }
            (TenantCommand::Put(details), Some(current)) if details == *current => vec![],
            (TenantCommand::Put(details), Some(_)) => {
                vec![TenantEvent::Updated(TenantUpdated(details))]
            }
            (_, None) => return Err(TenantRefusal::NotFound),
            (TenantCommand::SetDefaultPreference { topic, choice }, Some(details)) => {
                let defaults = &details.default_preferences;
                match defaults.get(&topic) {
                    Some(stored) if *stored == choice => vec![],
                    None if defaults.len() >= TOPICS_MAX => {
                        return Err(TenantRefusal::TooManyDefaults);
                    }
                    Some(_) | None => {
                        let event = TenantDefaultPreferenceSet { topic, choice };
                        vec![TenantEvent::DefaultPreferenceSet(event)]
                    }
                }
            }
            (TenantCommand::ClearDefaultPreference { topic }, Some(details)) => {
                if details.default_preferences.contains_key(&topic) {
                    let event = TenantDefaultPreferenceCleared { topic };
                    vec![TenantEvent::DefaultPreferenceCleared(event)]
                } else {
                    vec![]
                }
            }
            (TenantCommand::RecordHistory(recorded), Some(_)) => {
                vec![TenantEvent::HistoryRecorded(recorded)]
            }
            (TenantCommand::Delete, Some(_)) => vec![TenantEvent::Deleted(TenantDeleted {})],
        })
    }

    fn evolve(state: &mut Option<TenantDetails>, event: &TenantEvent) {
        match event {
            TenantEvent::Created(TenantCreated(details))
            | TenantEvent::Updated(TenantUpdated(details)) => *state = Some(details.clone()),
            TenantEvent::Deleted(TenantDeleted {}) => *state = None,
            // It says something of the log, and nothing of the tenant.
            TenantEvent::HistoryRecorded(_) => {}
            TenantEvent::DefaultPreferenceSet(TenantDefaultPreferenceSet { topic, choice }) => {
                if let Some(details) = state {
                    let defaults = &mut details.default_preferences;
                    defaults.insert(topic.clone(), choice.clone());
                }
            }
            TenantEvent::DefaultPreferenceCleared(TenantDefaultPreferenceCleared { topic }) => {
                if let Some(details) = state {
                    details.default_preferences.remove(topic);
                }
            }
        }
    }
}

/// Refuses a parent of which the tenant is an ancestor, and chains that are too long. A parent that
/// is not there has no parent.
///
/// `levels_below` is how many levels of tenants are below this one.
pub fn refuse_ancestry(
    tenant: &TenantId,
    parent: Option<&TenantId>,
    levels_below: usize,
    parent_of: impl Fn(&TenantId) -> Option<TenantId>,
) -> Result<(), TenantRefusal> {
    let mut levels = levels_below + 1;
    let mut ancestor = parent.cloned();
    while let Some(id) = ancestor {
        if id == *tenant {
            return Err(TenantRefusal::Cycle);
        }
        levels += 1;
        if levels > TENANT_LEVELS_MAX {
            return Err(TenantRefusal::TooDeep);
        }
        ancestor = parent_of(&id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::PreferenceStatus;

    use super::*;
    use crate::testing::given;

    fn details(name: &str) -> TenantDetails {
        TenantDetails {
            name: name.to_owned(),
            parent_tenant_id: None,
            brand_id: None,
            properties: None,
            user_profile: None,
            default_preferences: BTreeMap::new(),
        }
    }

    fn created() -> TenantEvent {
        TenantEvent::Created(TenantCreated(details("Acme")))
    }

    fn topic(id: &str) -> TopicId {
        TopicId::parse(id).expect("an id")
    }

    fn choice(status: PreferenceStatus) -> Choice {
        Choice {
            status,
            routing: None,
        }
    }

    fn set(status: PreferenceStatus) -> TenantCommand {
        TenantCommand::SetDefaultPreference {
            topic: topic("news"),
            choice: choice(status),
        }
    }

    fn was_set(status: PreferenceStatus) -> TenantEvent {
        TenantEvent::DefaultPreferenceSet(TenantDefaultPreferenceSet {
            topic: topic("news"),
            choice: choice(status),
        })
    }

    #[test]
    fn the_history_of_a_tenant_is_recorded_as_often_as_asked() {
        let recorded = || TenantHistoryRecorded {
            size: 3,
            root: "00".repeat(32),
            through: 9,
        };
        let record = || TenantCommand::RecordHistory(recorded());
        given::<Tenant>([])
            .when(record())
            .then_refused(TenantRefusal::NotFound);
        given::<Tenant>([created()])
            .when(record())
            .then([TenantEvent::HistoryRecorded(recorded())]);
        given::<Tenant>([created(), TenantEvent::HistoryRecorded(recorded())])
            .when(record())
            .then([TenantEvent::HistoryRecorded(recorded())]);
    }

    #[test]
    fn putting_creates_then_replaces_then_says_nothing() {
        given::<Tenant>([])
            .when(TenantCommand::Put(details("Acme")))
            .then([created()]);
        given::<Tenant>([created()])
            .when(TenantCommand::Put(details("Acme")))
            .then_nothing();
        given::<Tenant>([created()])
            .when(TenantCommand::Put(details("Ajax")))
            .then([TenantEvent::Updated(TenantUpdated(details("Ajax")))]);
    }

    #[test]
    fn putting_replaces_the_defaults_that_were_set_one_by_one() {
        given::<Tenant>([created(), was_set(PreferenceStatus::OptedOut)])
            .when(TenantCommand::Put(details("Acme")))
            .then([TenantEvent::Updated(TenantUpdated(details("Acme")))]);
    }

    #[test]
    fn a_default_is_set_replaced_and_cleared() {
        let cleared = || {
            let topic = topic("news");
            TenantEvent::DefaultPreferenceCleared(TenantDefaultPreferenceCleared { topic })
        };
        let clear = || TenantCommand::ClearDefaultPreference {
            topic: topic("news"),
        };
        given::<Tenant>([created()])
            .when(set(PreferenceStatus::Required))
            .then([was_set(PreferenceStatus::Required)]);
        given::<Tenant>([created(), was_set(PreferenceStatus::Required)])
            .when(set(PreferenceStatus::Required))
            .then_nothing();
        given::<Tenant>([created(), was_set(PreferenceStatus::Required)])
            .when(set(PreferenceStatus::OptedIn))
            .then([was_set(PreferenceStatus::OptedIn)]);
        given::<Tenant>([created(), was_set(PreferenceStatus::Required)])
            .when(clear())
            .then([cleared()]);
        given::<Tenant>([created(), was_set(PreferenceStatus::Required), cleared()])
            .when(clear())
            .then_nothing();
        for command in [set(PreferenceStatus::OptedIn), clear()] {
            given::<Tenant>([])
                .when(command)
                .then_refused(TenantRefusal::NotFound);
        }
    }

    #[test]
    fn deleting_what_is_not_there_is_refused() {
        let deleted = || TenantEvent::Deleted(TenantDeleted {});
        given::<Tenant>([created()])
            .when(TenantCommand::Delete)
            .then([deleted()]);
        given::<Tenant>([created(), deleted()])
            .when(TenantCommand::Delete)
            .then_refused(TenantRefusal::NotFound);
    }

    #[test]
    fn no_tenant_is_among_its_own_ancestors_and_chains_end() {
        let tenant = |number: usize| TenantId::parse(&format!("t{number}")).expect("an id");
        // t1 is below t2, that is below t3, and so on.
        let parent_of = |id: &TenantId| {
            let number: usize = id.as_str()[1..].parse().expect("a number");
            (number < 100).then(|| tenant(number + 1))
        };
        let refuse = |id: usize, parent: Option<usize>, below: usize| {
            let parent = parent.map(tenant);
            refuse_ancestry(&tenant(id), parent.as_ref(), below, parent_of)
        };
        assert_eq!(refuse(1, Some(1), 0), Err(TenantRefusal::Cycle));
        assert_eq!(refuse(90, Some(80), 0), Err(TenantRefusal::Cycle));
        assert_eq!(refuse(0, None, 0), Ok(()));
        let highest = 100 - (TENANT_LEVELS_MAX - 2);
        assert_eq!(refuse(0, Some(highest), 0), Ok(()));
        assert_eq!(refuse(0, Some(highest), 1), Err(TenantRefusal::TooDeep));
        assert_eq!(refuse(0, Some(highest - 1), 0), Err(TenantRefusal::TooDeep));
    }
}
