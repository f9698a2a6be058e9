use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::predicates::PredicateId;

/// What is worked out for one person in one event. The memory is used again for the next: marks are
/// good if they carry the current round.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    round: u32,
    truth: Vec<(u32, bool)>,
    /// Predicates that are not what they were.
    turned: Vec<u32>,
    looked_at: Vec<u32>,
    /// Audiences to look at that ask about no other: their order means nothing.
    plain: Vec<u32>,
    /// Those that ask about others, by rank.
    ranked: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Scratch {
    /// Begins with another person; the numbers of predicates and audiences are below these.
    pub(super) fn begin(&mut self, predicates: usize, audiences: usize) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            // Marks of four billion rounds ago would look like new ones.
            *self = Self {
                round: 1,
                ..Self::default()
            };
        }
        self.plain.clear();
        self.ranked.clear();
        if self.truth.len() < predicates {
            self.truth.resize(predicates, (0, false));
            self.turned.resize(predicates, 0);
        }
        if self.looked_at.len() < audiences {
            self.looked_at.resize(audiences, 0);
        }
    }

    /// The predicate is not what it was.
    pub(super) fn turn(&mut self, predicate: PredicateId) {
        self.turned[predicate.index()] = self.round;
    }

    /// The predicate is not what it was, but this.
    pub(super) fn turn_to(&mut self, predicate: PredicateId, is_true: bool) {
        self.truth[predicate.index()] = (self.round, is_true);
        self.turn(predicate);
    }

    /// Whether the predicate is true, which is asked once.
    pub(super) fn is_true(
        &mut self,
        predicate: PredicateId,
        ask: impl FnOnce(PredicateId) -> bool,
    ) -> bool {
        let mark = &mut self.truth[predicate.index()];
        if mark.0 != self.round {
            *mark = (self.round, ask(predicate));
        }
        mark.1
    }

    /// Whether the predicate was true before the event.
    pub(super) fn was_true(
        &mut self,
        predicate: PredicateId,
        ask: impl FnOnce(PredicateId) -> bool,
    ) -> bool {
        let turned = self.turned[predicate.index()] == self.round;
        self.is_true(predicate, ask) != turned
    }

    /// Puts the audiences among those to look at, each once.
    pub(super) fn look_at(&mut self, audiences: &[u32], rank: impl Fn(u32) -> u32) {
        for number in audiences {
            let mark = &mut self.looked_at[*number as usize];
            if *mark != self.round {
                *mark = self.round;
                match rank(*number) {
                    0 => self.plain.push(*number),
                    rank => self.ranked.push(Reverse((rank, *number))),
                }
            }
        }
    }

    /// The next audience to look at; none before those that it asks about.
    pub(super) fn next(&mut self) -> Option<u32> {
        let plain = self.plain.pop();
        plain.or_else(|| self.ranked.pop().map(|Reverse((_, number))| number))
    }
}
