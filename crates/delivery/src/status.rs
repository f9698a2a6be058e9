use std::collections::VecDeque;
use std::ops::Bound;

use projections::StepPlace;
use serde::{Deserialize, Serialize};
use types::{Position, Timestamp};

use crate::dead_letters::Letters;

/// Attempts that are remembered of one webhook; the oldest are forgotten, and all with the process.
const ATTEMPTS_KEPT: usize = 1_000;

/// How an attempt to tell something ended. Holds nothing of what was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1, counted since the start.
    pub number: u64,
    pub position: Position,
    /// 0 for the event, from 1 on for what became of audiences by it.
    pub part: u64,
    /// The number of the person, if it is about one.
    pub subject: Option<u32>,
    /// From 1.
    pub attempt: u32,
    pub at: Timestamp,
    pub milliseconds: u64,
    /// What the target answered, if it did.
    pub status: Option<u16>,
    /// What kind of failure it was; none if it was told.
    pub error: Option<&'static str>,
}

/// What was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub position: Position,
    pub part: u64,
    pub subject: Option<u32>,
    pub attempts: u32,
    pub at: Timestamp,
    pub status: Option<u16>,
    pub error: String,
}

impl DeadLetter {
    pub(crate) fn place(&self) -> StepPlace {
        StepPlace {
            position: self.position,
            part: self.part,
        }
    }
}

/// How a webhook stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Everything up to here was told, is under way, waits for its turn, or was given up.
    pub through: Position,
    /// What is under way or waits.
    pub pending: usize,
    /// Of those, how many have failed before.
    pub failing: usize,
    /// What was given up and is remembered.
    pub dead_letters: usize,
}

/// What a worker shows of itself.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) status: Status,
    attempts: VecDeque<Attempt>,
    last_number: u64,
    pub(crate) dead: Letters,
}

impl Shown {
    pub(crate) fn push(&mut self, mut attempt: Attempt) {
        self.last_number += 1;
        attempt.number = self.last_number;
        if self.attempts.len() == ATTEMPTS_KEPT {
            self.attempts.pop_front();
        }
        self.attempts.push_back(attempt);
    }

    /// The attempts before this one, newest first.
    pub(crate) fn attempts(&self, before: Option<u64>, limit: usize) -> Vec<Attempt> {
        let newest_first = self.attempts.iter().rev();
        let wanted = newest_first.filter(|it| before.is_none_or(|before| it.number < before));
        wanted.take(limit).cloned().collect()
    }

    /// What was given up of what comes after this place, in the order of the log.
    pub(crate) fn dead_after(&self, after: StepPlace, limit: usize) -> Vec<DeadLetter> {
        let following = self.dead.range((Bound::Excluded(after), Bound::Unbounded));
        following.take(limit).map(|(_, it)| it.clone()).collect()
    }
}
