use events::{TopicCreated, TopicDeleted, TopicDetails, TopicEvent, TopicUpdated};
use serde_json::Value;
use types::{JsonDocument, SectionId};

use crate::limits::{TOPICS_BYTES_MAX, TOPICS_MAX};
use crate::{Change, Decider};

/// All that a topic is to be, its digest as a change to the one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPut {
    pub details: TopicDetails,
    /// An object; without `schedules` those that are there stay.
    pub digest: Change<JsonDocument>,
}

/// A topic is named through a section: in any other it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicCommand {
    Create {
        section: SectionId,
        put: TopicPut,
        others: Topics,
    },
    Replace {
        section: SectionId,
        put: TopicPut,
        others: Topics,
    },
    RemoveDigest {
        section: SectionId,
    },
    Delete {
        section: SectionId,
    },
}

/// The topics besides the one that is decided about, in whatever section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Topics {
    pub count: usize,
    /// As [`topic_bytes`] counts them.
    pub bytes: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TopicState {
    #[default]
    Absent,
    Present {
        section: SectionId,
        details: TopicDetails,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicRefusal {
    #[error("there is no such topic in this section")]
    NotFound,
    #[error("there is a topic with this id already")]
    Taken,
    #[error("a digest needs at least one schedule")]
    NoSchedules,
    #[error("there can be at most {TOPICS_MAX} topics")]
    TooMany,
    #[error("all topics together can take at most {TOPICS_BYTES_MAX} bytes")]
    TooLarge,
}

pub struct Topic;

impl Decider for Topic {
    type Command = TopicCommand;
    type Event = TopicEvent;
    type State = TopicState;
    type Refusal = TopicRefusal;

    fn decide(state: &TopicState, command: TopicCommand) -> Result<Vec<TopicEvent>, TopicRefusal> {
        let after = match command {
            TopicCommand::Create { .. } if *state != TopicState::Absent => {
                return Err(TopicRefusal::Taken);
            }
            TopicCommand::Create { others, .. } if others.count >= TOPICS_MAX => {
                return Err(TopicRefusal::TooMany);
            }
            TopicCommand::Create {
                section,
                put,
                others,
            } => {
                let details = put.applied_to(None)?;
                others.leave_room_for(&details)?;
                return Ok(vec![TopicEvent::Created(TopicCreated { section, details })]);
            }
            TopicCommand::Replace {
                section,
                put,
                others,
            } => {
                let details = put.applied_to(state.details_in(&section)?.digest.clone())?;
                others.leave_room_for(&details)?;
                details
            }
            TopicCommand::RemoveDigest { section } => TopicDetails {
                digest: None,
                ..state.details_in(&section)?.clone()
            },
            TopicCommand::Delete { section } => {
                state.details_in(&section)?;
                return Ok(vec![TopicEvent::Deleted(TopicDeleted {})]);
            }
        };
        Ok(if state.details() == Some(&after) {
            vec![]
        } else {
            vec![TopicEvent::Updated(TopicUpdated(after))]
        })
    }

    fn evolve(state: &mut TopicState, event: &TopicEvent) {
        *state = match (event, std::mem::take(state)) {
            (TopicEvent::Created(TopicCreated { section, details }), _) => TopicState::Present {
                section: section.clone(),
                details: details.clone(),
            },
            (TopicEvent::Updated(TopicUpdated(details)), TopicState::Present { section, .. }) => {
                TopicState::Present {
                    section,
                    details: details.clone(),
                }
            }
            (TopicEvent::Deleted(_), _) | (TopicEvent::Updated(_), TopicState::Absent) => {
                TopicState::Absent
            }
        };
    }
}

/// About how much the topic takes where it is shown.
pub fn topic_bytes(details: &TopicDetails) -> usize {
    let description = details.description.as_ref().map_or(0, String::len);
    let digest = details.digest.as_ref().map_or(0, |it| it.as_str().len());
    details.name.len() + description + details.topic_data.as_str().len() + digest
}

impl Topics {
    fn leave_room_for(self, details: &TopicDetails) -> Result<(), TopicRefusal> {
        if self.bytes + topic_bytes(details) > TOPICS_BYTES_MAX {
            return Err(TopicRefusal::TooLarge);
        }
        Ok(())
    }
}

impl TopicState {
    pub fn details(&self) -> Option<&TopicDetails> {
        match self {
            Self::Absent => None,
            Self::Present { details, .. } => Some(details),
        }
    }

    fn details_in(&self, asked: &SectionId) -> Result<&TopicDetails, TopicRefusal> {
        match self {
            Self::Present { section, details } if section == asked => Ok(details),
            Self::Present { .. } | Self::Absent => Err(TopicRefusal::NotFound),
        }
    }
}

impl TopicPut {
    /// The topic, where this digest was there before.
    fn applied_to(self, digest: Option<JsonDocument>) -> Result<TopicDetails, TopicRefusal> {
        const SCHEDULES: &str = "schedules";
        let digest = match self.digest {
            Change::Keep => digest,
            Change::Clear => None,
            Change::Set(document) => {
                let mut after = document.to_object();
                if !after.contains_key(SCHEDULES) {
                    let before = digest.and_then(|digest| digest.to_object().remove(SCHEDULES));
                    let schedules = before.ok_or(TopicRefusal::NoSchedules)?;
                    after.insert(SCHEDULES.to_owned(), schedules);
                }
                Some(JsonDocument::from_value(&Value::Object(after)))
            }
        };
        Ok(TopicDetails {
            digest,
            ..self.details
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::PreferenceStatus;

    use super::*;
    use crate::testing::given;

    fn section(id: &str) -> SectionId {
        SectionId::parse(id).expect("an id")
    }

    fn details(name: &str, digest: Option<Value>) -> TopicDetails {
        TopicDetails {
            name: name.to_owned(),
            description: None,
            default_status: PreferenceStatus::OptedIn,
            allowed_preferences: vec![],
            include_unsubscribe_header: false,
            routing_options: vec![],
            topic_data: JsonDocument::from_value(&json!({})),
            digest: digest.map(|digest| JsonDocument::from_value(&digest)),
        }
    }

    fn put(name: &str, digest: Change<Value>) -> TopicPut {
        TopicPut {
            details: details(name, None),
            digest: match digest {
                Change::Keep => Change::Keep,
                Change::Clear => Change::Clear,
                Change::Set(value) => Change::Set(JsonDocument::from_value(&value)),
            },
        }
    }

    fn create(put: TopicPut) -> TopicCommand {
        TopicCommand::Create {
            section: section("s"),
            put,
            others: Topics::default(),
        }
    }

    fn replace(put: TopicPut) -> TopicCommand {
        TopicCommand::Replace {
            section: section("s"),
            put,
            others: Topics::default(),
        }
    }

    fn created(details: TopicDetails) -> TopicEvent {
        TopicEvent::Created(TopicCreated {
            section: section("s"),
            details,
        })
    }

    fn updated(details: TopicDetails) -> TopicEvent {
        TopicEvent::Updated(TopicUpdated(details))
    }

    #[test]
    fn a_topic_is_created_once_and_replaced_as_a_whole() {
        let news = || created(details("News", None));
        given::<Topic>([])
            .when(create(put("News", Change::Keep)))
            .then([news()]);
        given::<Topic>([news()])
            .when(create(put("News", Change::Keep)))
            .then_refused(TopicRefusal::Taken);
        for (others, refusal) in [
            (TOPICS_MAX, 0, TopicRefusal::TooMany),
            (1, TOPICS_BYTES_MAX, TopicRefusal::TooLarge),
        ]
        .map(|(count, bytes, refusal)| (Topics { count, bytes }, refusal))
        {
            given::<Topic>([])
                .when(TopicCommand::Create {
                    section: section("s"),
                    put: put("News", Change::Keep),
                    others,
                })
                .then_refused(refusal);
        }
        given::<Topic>([news()])
            .when(TopicCommand::Replace {
                section: section("s"),
                put: put("Weekly", Change::Keep),
                others: Topics {
                    count: 1,
                    bytes: TOPICS_BYTES_MAX,
                },
            })
            .then_refused(TopicRefusal::TooLarge);
        given::<Topic>([news()])
            .when(replace(put("News", Change::Keep)))
            .then_nothing();
        given::<Topic>([news()])
            .when(replace(put("Weekly", Change::Clear)))
            .then([updated(details("Weekly", None))]);
        given::<Topic>([])
            .when(replace(put("Weekly", Change::Keep)))
            .then_refused(TopicRefusal::NotFound);
    }

    #[test]
    fn a_topic_is_there_in_its_own_section_only() {
        let news = || created(details("News", None));
        let (own, other) = (section("s"), section("t"));
        given::<Topic>([news()])
            .when(TopicCommand::Delete { section: own })
            .then([TopicEvent::Deleted(TopicDeleted {})]);
        for command in [
            TopicCommand::Delete {
                section: other.clone(),
            },
            TopicCommand::RemoveDigest {
                section: other.clone(),
            },
            TopicCommand::Replace {
                section: other,
                put: put("News", Change::Keep),
                others: Topics::default(),
            },
        ] {
            given::<Topic>([news()])
                .when(command)
                .then_refused(TopicRefusal::NotFound);
        }
    }

    #[test]
    fn a_digest_keeps_its_schedules_when_they_are_left_out() {
        let full = json!({"schedules": [{"schedule_id": "a"}], "template_id": "t"});
        let other = json!({"schedules": [{"schedule_id": "a"}], "template_id": "u"});
        let bare = || Change::Set(json!({"template_id": "u"}));
        let with_digest = || created(details("News", Some(full.clone())));
        given::<Topic>([])
            .when(create(put("News", Change::Set(full.clone()))))
            .then([with_digest()]);
        given::<Topic>([])
            .when(create(put("News", bare())))
            .then_refused(TopicRefusal::NoSchedules);
        given::<Topic>([with_digest()])
            .when(replace(put("News", bare())))
            .then([updated(details("News", Some(other)))]);
        given::<Topic>([with_digest()])
            .when(replace(put("News", Change::Keep)))
            .then_nothing();
        given::<Topic>([with_digest()])
            .when(TopicCommand::RemoveDigest {
                section: section("s"),
            })
            .then([updated(details("News", None))]);
    }
}
