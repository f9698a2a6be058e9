//! Given past events, when a command arrives, then these events (or this refusal) follow.

use std::fmt::Debug;

use crate::Decider;

pub fn given<D: Decider>(history: impl IntoIterator<Item = D::Event>) -> Given<D> {
    let mut state = D::State::default();
    for event in history {
        D::evolve(&mut state, &event);
    }
    Given { state }
}

#[must_use]
pub struct Given<D: Decider> {
    state: D::State,
}

#[must_use]
pub struct Outcome<D: Decider>(Result<Vec<D::Event>, D::Refusal>);

impl<D: Decider> Given<D> {
    pub fn when(self, command: D::Command) -> Outcome<D> {
        Outcome(D::decide(&self.state, command))
    }
}

impl<D> Outcome<D>
where
    D: Decider<Event: Debug + PartialEq, Refusal: Debug + PartialEq>,
{
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = D::Event>) {
        assert_eq!(self.0, Ok(expected.into_iter().collect()));
    }

    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    #[track_caller]
    pub fn then_refused(self, expected: D::Refusal) {
        assert_eq!(self.0, Err(expected));
    }
}
