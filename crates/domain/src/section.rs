use events::{SectionCreated, SectionDeleted, SectionDetails, SectionEvent, SectionUpdated};

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionCommand {
    Create(SectionDetails),
    Replace(SectionDetails),
    Delete {
        /// How many topics are in it.
        topics: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionRefusal {
    #[error("there is no such section")]
    NotFound,
    #[error("there is a section with this id already")]
    Taken,
    #[error("the section still has topics")]
    NotEmpty,
}

/// A section of topics. Its state is all that it is, if it is there.
pub struct Section;

impl Decider for Section {
    type Command = SectionCommand;
    type Event = SectionEvent;
    type State = Option<SectionDetails>;
    type Refusal = SectionRefusal;

    fn decide(
        state: &Option<SectionDetails>,
        command: SectionCommand,
    ) -> Result<Vec<SectionEvent>, SectionRefusal> {
        match (command, state) {
            (SectionCommand::Create(details), None) => {
                Ok(vec![SectionEvent::Created(SectionCreated(details))])
            }
            (SectionCommand::Create(_), Some(_)) => Err(SectionRefusal::Taken),
            (SectionCommand::Replace(_) | SectionCommand::Delete { .. }, None) => {
                Err(SectionRefusal::NotFound)
            }
            (SectionCommand::Replace(details), Some(current)) if details == *current => Ok(vec![]),
            (SectionCommand::Replace(details), Some(_)) => {
                Ok(vec![SectionEvent::Updated(SectionUpdated(details))])
            }
            (SectionCommand::Delete { topics: 0 }, Some(_)) => {
                Ok(vec![SectionEvent::Deleted(SectionDeleted {})])
            }
            (SectionCommand::Delete { .. }, Some(_)) => Err(SectionRefusal::NotEmpty),
        }
    }

    fn evolve(state: &mut Option<SectionDetails>, event: &SectionEvent) {
        *state = match event {
            SectionEvent::Created(SectionCreated(details))
            | SectionEvent::Updated(SectionUpdated(details)) => Some(details.clone()),
            SectionEvent::Deleted(SectionDeleted {}) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn details(name: &str) -> SectionDetails {
        SectionDetails {
            name: name.to_owned(),
            description: None,
            has_custom_routing: false,
            routing_options: vec![],
        }
    }

    fn created() -> SectionEvent {
        SectionEvent::Created(SectionCreated(details("Marketing")))
    }

    #[test]
    fn a_section_is_created_once_and_replaced_as_a_whole() {
        given::<Section>([])
            .when(SectionCommand::Create(details("Marketing")))
            .then([created()]);
        given::<Section>([created()])
            .when(SectionCommand::Create(details("Other")))
            .then_refused(SectionRefusal::Taken);
        given::<Section>([created()])
            .when(SectionCommand::Replace(details("Marketing")))
            .then_nothing();
        given::<Section>([created()])
            .when(SectionCommand::Replace(details("Product")))
            .then([SectionEvent::Updated(SectionUpdated(details("Product")))]);
        given::<Section>([])
            .when(SectionCommand::Replace(details("Product")))
            .then_refused(SectionRefusal::NotFound);
    }

    #[test]
    fn a_section_with_topics_stays() {
        given::<Section>([created()])
            .when(SectionCommand::Delete { topics: 1 })
            .then_refused(SectionRefusal::NotEmpty);
        given::<Section>([created()])
            .when(SectionCommand::Delete { topics: 0 })
            .then([SectionEvent::Deleted(SectionDeleted {})]);
        given::<Section>([])
            .when(SectionCommand::Delete { topics: 0 })
            .then_refused(SectionRefusal::NotFound);
    }
}
