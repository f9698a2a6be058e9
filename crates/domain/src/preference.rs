use events::{
    Personal, PersonalChoice, PreferenceCleared, PreferenceEvent, PreferenceSet, QuietHoursChanged,
    RecipientPreferencesReplaced,
};
use types::{
    Channel, Choice, JsonDocument, PreferenceStatus, QuietHours, Snooze, TenantId, TopicId,
};

use crate::{Change, Decider};

/// What a person asks for one topic. Status and channels replace what was chosen before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceRequest {
    pub status: PreferenceStatus,
    pub routing: Option<Vec<Channel>>,
    pub digest_schedule_id: Change<String>,
    pub snoozes: Change<Vec<Snooze>>,
}

/// The topic that is chosen about, and the context, as they are when it is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenTopic {
    pub topic: TopicId,
    pub tenant: Option<TenantId>,
    pub name: String,
    pub default_status: PreferenceStatus,
}

/// What the topic allows, where it is chosen about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicRules {
    /// Whether the topic, or the tenant for it, allows no opting out.
    pub required: bool,
    /// Whether the topic has the digest schedule that is asked for, if one is.
    pub knows_schedule: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreferenceCommand {
    Set {
        topic: ChosenTopic,
        rules: TopicRules,
        request: ChoiceRequest,
    },
    /// Give up the choice, if there is one.
    Clear(ChosenTopic),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreferenceRefusal {
    #[error("there is no such topic")]
    UnknownTopic,
    #[error("the topic is required: nobody can opt out of it")]
    Required,
    #[error("REQUIRED is a default of topics, not a choice")]
    NotAChoice,
    #[error("the topic has no such digest schedule")]
    UnknownSchedule,
    #[error("a person can have at most {max} choices", max = crate::limits::USER_CHOICES_MAX)]
    TooMany,
}

/// One person's choice about one topic in one context. Its state is the choice, if there is one.
pub struct Preference;

impl Decider for Preference {
    type Command = PreferenceCommand;
    type Event = PreferenceEvent;
    type State = Option<PersonalChoice>;
    type Refusal = PreferenceRefusal;

    fn decide(
        state: &Option<PersonalChoice>,
        command: PreferenceCommand,
    ) -> Result<Vec<PreferenceEvent>, PreferenceRefusal> {
        let previous = state.as_ref().map(|chosen| chosen.choice.clone());
        match command {
            PreferenceCommand::Set {
                topic,
                rules,
                request,
            } => {
                let status = match (request.status, rules.required) {
                    (PreferenceStatus::OptedOut, true) => return Err(PreferenceRefusal::Required),
                    // What is shown of a required topic can be sent back as it is.
                    (PreferenceStatus::Required, true) => PreferenceStatus::OptedIn,
                    (PreferenceStatus::Required, false) => {
                        return Err(PreferenceRefusal::NotAChoice);
                    }
                    (status, _) => status,
                };
                if matches!(request.digest_schedule_id, Change::Set(_)) && !rules.knows_schedule {
                    return Err(PreferenceRefusal::UnknownSchedule);
                }
                let (schedule, snoozes) = match state {
                    Some(chosen) => (chosen.digest_schedule_id.clone(), chosen.snoozes.clone()),
                    None => (None, vec![]),
                };
                let chosen = PersonalChoice {
                    choice: Choice {
                        status,
                        routing: request.routing,
                    },
                    digest_schedule_id: request.digest_schedule_id.applied_to(schedule),
                    snoozes: request
                        .snoozes
                        .applied_to(Some(snoozes))
                        .unwrap_or_default(),
                };
                if state.as_ref() == Some(&chosen) {
                    return Ok(vec![]);
                }
                Ok(vec![PreferenceEvent::Set(PreferenceSet {
                    topic: topic.topic,
                    topic_name: topic.name,
                    tenant: topic.tenant,
                    chosen: Personal::Known(chosen),
                    previous: previous.map(Personal::Known),
                })])
            }
            PreferenceCommand::Clear(topic) => Ok(previous
                .map(|previous| {
                    PreferenceEvent::Cleared(PreferenceCleared {
                        topic: topic.topic,
                        topic_name: topic.name,
                        tenant: topic.tenant,
                        default_status: topic.default_status,
                        previous: Personal::Known(previous),
                    })
                })
                .into_iter()
                .collect()),
        }
    }

    fn evolve(state: &mut Option<PersonalChoice>, event: &PreferenceEvent) {
        match event {
            PreferenceEvent::Set(PreferenceSet { chosen, .. }) => {
                *state = chosen.known().cloned();
            }
            PreferenceEvent::Cleared(_) => *state = None,
            PreferenceEvent::RecipientPreferencesReplaced(_)
            | PreferenceEvent::QuietHoursChanged(_) => {}
        }
    }
}

/// The events that follow when a person's preferences of the older form are to be these.
pub fn replace_recipient_preferences(
    stored: Option<&JsonDocument>,
    wanted: Option<JsonDocument>,
) -> Vec<PreferenceEvent> {
    if stored == wanted.as_ref() {
        return vec![];
    }
    let preferences = wanted.map(Personal::Known);
    vec![PreferenceEvent::RecipientPreferencesReplaced(
        RecipientPreferencesReplaced { preferences },
    )]
}

/// The events that follow when a person's quiet hours are to be these.
pub fn change_quiet_hours(
    stored: Option<&QuietHours>,
    wanted: Option<QuietHours>,
) -> Vec<PreferenceEvent> {
    if stored == wanted.as_ref() {
        return vec![];
    }
    let quiet_hours = wanted.map(Personal::Known);
    vec![PreferenceEvent::QuietHoursChanged(QuietHoursChanged {
        quiet_hours,
    })]
}

#[cfg(test)]
mod tests {
    use types::Timestamp;

    use super::*;
    use crate::testing::given;

    fn topic() -> ChosenTopic {
        ChosenTopic {
            topic: TopicId::parse("news").expect("an id"),
            tenant: None,
            name: "News".to_owned(),
            default_status: PreferenceStatus::OptedIn,
        }
    }

    fn request(status: PreferenceStatus) -> ChoiceRequest {
        ChoiceRequest {
            status,
            routing: None,
            digest_schedule_id: Change::Keep,
            snoozes: Change::Keep,
        }
    }

    fn chosen(status: PreferenceStatus) -> PersonalChoice {
        PersonalChoice {
            choice: Choice {
                status,
                routing: None,
            },
            digest_schedule_id: None,
            snoozes: vec![],
        }
    }

    fn was_set(chosen: PersonalChoice, previous: Option<Choice>) -> PreferenceEvent {
        PreferenceEvent::Set(PreferenceSet {
            topic: topic().topic,
            topic_name: "News".to_owned(),
            tenant: None,
            chosen: Personal::Known(chosen),
            previous: previous.map(Personal::Known),
        })
    }

    fn set(required: bool, request: ChoiceRequest) -> PreferenceCommand {
        let knows_schedule = request.digest_schedule_id == Change::Set("weekly".to_owned());
        PreferenceCommand::Set {
            topic: topic(),
            rules: TopicRules {
                required,
                knows_schedule,
            },
            request,
        }
    }

    use PreferenceStatus::{OptedIn, OptedOut, Required};

    #[test]
    fn a_choice_is_set_and_says_what_it_replaced() {
        let out = || was_set(chosen(OptedOut), None);
        given::<Preference>([])
            .when(set(false, request(OptedOut)))
            .then([out()]);
        given::<Preference>([out()])
            .when(set(false, request(OptedOut)))
            .then_nothing();
        given::<Preference>([out()])
            .when(set(false, request(OptedIn)))
            .then([was_set(chosen(OptedIn), Some(chosen(OptedOut).choice))]);
    }

    #[test]
    fn nobody_opts_out_of_what_is_required() {
        given::<Preference>([])
            .when(set(true, request(OptedOut)))
            .then_refused(PreferenceRefusal::Required);
        given::<Preference>([])
            .when(set(true, request(Required)))
            .then([was_set(chosen(OptedIn), None)]);
        given::<Preference>([])
            .when(set(false, request(Required)))
            .then_refused(PreferenceRefusal::NotAChoice);
    }

    #[test]
    fn channels_are_replaced_and_the_schedule_and_snoozes_kept_where_they_are_left_out() {
        let full = ChoiceRequest {
            routing: Some(vec![Channel::Email]),
            digest_schedule_id: Change::Set("weekly".to_owned()),
            snoozes: Change::Set(vec![Snooze {
                start: None,
                until: Timestamp(5),
            }]),
            ..request(OptedIn)
        };
        let all = PersonalChoice {
            choice: Choice {
                status: OptedIn,
                routing: Some(vec![Channel::Email]),
            },
            digest_schedule_id: Some("weekly".to_owned()),
            snoozes: vec![Snooze {
                start: None,
                until: Timestamp(5),
            }],
        };
        given::<Preference>([])
            .when(set(false, full))
            .then([was_set(all.clone(), None)]);
        let without_channels = PersonalChoice {
            choice: chosen(OptedIn).choice,
            ..all.clone()
        };
        given::<Preference>([was_set(all.clone(), None)])
            .when(set(false, request(OptedIn)))
            .then([was_set(without_channels, Some(all.choice.clone()))]);
        let cleared = ChoiceRequest {
            digest_schedule_id: Change::Clear,
            snoozes: Change::Clear,
            ..request(OptedIn)
        };
        given::<Preference>([was_set(all.clone(), None)])
            .when(set(false, cleared))
            .then([was_set(chosen(OptedIn), Some(all.choice))]);
    }

    #[test]
    fn a_schedule_must_be_one_of_the_topic() {
        let unknown = ChoiceRequest {
            digest_schedule_id: Change::Set("x".to_owned()),
            ..request(OptedIn)
        };
        given::<Preference>([])
            .when(set(false, unknown))
            .then_refused(PreferenceRefusal::UnknownSchedule);
    }

    #[test]
    fn clearing_says_what_was_there_and_clearing_nothing_says_nothing() {
        let cleared = PreferenceEvent::Cleared(PreferenceCleared {
            topic: topic().topic,
            topic_name: "News".to_owned(),
            tenant: None,
            default_status: OptedIn,
            previous: Personal::Known(chosen(OptedOut).choice),
        });
        given::<Preference>([was_set(chosen(OptedOut), None)])
            .when(PreferenceCommand::Clear(topic()))
            .then([cleared.clone()]);
        given::<Preference>([was_set(chosen(OptedOut), None), cleared])
            .when(PreferenceCommand::Clear(topic()))
            .then_nothing();
    }
}
