use events::{BrandCreated, BrandDeleted, BrandDetails, BrandEvent, BrandUpdated};

use crate::Decider;

/// What stands for no brand in particular where a page names its brand: no brand has such an id.
pub const BRAND_WORDS: [&str; 2] = ["default", "none"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrandCommand {
    Create(BrandDetails),
    Replace(BrandDetails),
    Delete {
        /// Whether a tenant or the preference page uses it.
        in_use: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrandRefusal {
    #[error("there is no such brand")]
    NotFound,
    #[error("there is a brand with this id already")]
    Taken,
    #[error("the brand is used by a tenant or by the preference page")]
    InUse,
}

/// A brand. Its state is all that it is, if it is there.
pub struct Brand;

impl Decider for Brand {
    type Command = BrandCommand;
    type Event = BrandEvent;
    type State = Option<BrandDetails>;
    type Refusal = BrandRefusal;

    fn decide(
        state: &Option<BrandDetails>,
        command: BrandCommand,
    ) -> Result<Vec<BrandEvent>, BrandRefusal> {
        match (command, state) {
            (BrandCommand::Create(details), None) => {
                Ok(vec![BrandEvent::Created(BrandCreated(details))])
            }
            (BrandCommand::Create(_), Some(_)) => Err(BrandRefusal::Taken),
            (BrandCommand::Replace(_) | BrandCommand::Delete { .. }, None) => {
                Err(BrandRefusal::NotFound)
            }
            (BrandCommand::Replace(details), Some(current)) if details == *current => Ok(vec![]),
            (BrandCommand::Replace(details), Some(_)) => {
                Ok(vec![BrandEvent::Updated(BrandUpdated(details))])
            }
            (BrandCommand::Delete { in_use: true }, Some(_)) => Err(BrandRefusal::InUse),
            (BrandCommand::Delete { in_use: false }, Some(_)) => {
                Ok(vec![BrandEvent::Deleted(BrandDeleted {})])
            }
        }
    }

    fn evolve(state: &mut Option<BrandDetails>, event: &BrandEvent) {
        *state = match event {
            BrandEvent::Created(BrandCreated(details))
            | BrandEvent::Updated(BrandUpdated(details)) => Some(details.clone()),
            BrandEvent::Deleted(BrandDeleted {}) => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::given;

    fn details(name: &str) -> BrandDetails {
        BrandDetails {
            name: name.to_owned(),
            settings: None,
            snippets: None,
        }
    }

    fn created() -> BrandEvent {
        BrandEvent::Created(BrandCreated(details("Acme")))
    }

    #[test]
    fn a_brand_is_created_once_and_replaced_as_a_whole() {
        given::<Brand>([])
            .when(BrandCommand::Create(details("Acme")))
            .then([created()]);
        given::<Brand>([created()])
            .when(BrandCommand::Create(details("Acme")))
            .then_refused(BrandRefusal::Taken);
        given::<Brand>([created()])
            .when(BrandCommand::Replace(details("Acme")))
            .then_nothing();
        given::<Brand>([created()])
            .when(BrandCommand::Replace(details("Ajax")))
            .then([BrandEvent::Updated(BrandUpdated(details("Ajax")))]);
        given::<Brand>([])
            .when(BrandCommand::Replace(details("Acme")))
            .then_refused(BrandRefusal::NotFound);
    }

    #[test]
    fn a_brand_in_use_stays() {
        given::<Brand>([created()])
            .when(BrandCommand::Delete { in_use: true })
            .then_refused(BrandRefusal::InUse);
        given::<Brand>([created()])
            .when(BrandCommand::Delete { in_use: false })
            .then([BrandEvent::Deleted(BrandDeleted {})]);
        given::<Brand>([])
            .when(BrandCommand::Delete { in_use: false })
            .then_refused(BrandRefusal::NotFound);
    }
}
