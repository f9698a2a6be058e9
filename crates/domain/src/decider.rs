/// The write side of one aggregate as two pure functions.
///
/// What the decision cannot know (time, ids, randomness) is made before it and put around its
/// events as metadata.
pub trait Decider {
    type Command;
    type Event;
    type State: Default;
    type Refusal;

    /// The events that follow from the command; none if it says nothing new.
    fn decide(
        state: &Self::State,
        command: Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Total: an event is a fact, it cannot be refused.
    fn evolve(state: &mut Self::State, event: &Self::Event);
}
