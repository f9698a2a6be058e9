use std::collections::{BTreeMap, HashSet};

use projections::StepPlace;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::AudienceId;

/// What waits to be told, or is being told, in the order of the log.
#[derive(Default)]
pub(crate) struct Pending {
    items: BTreeMap<StepPlace, Waiting>,
    lanes: usize,
}

/// One thing to tell.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) what: What,
    pub(crate) lanes: Vec<Lane>,
    /// How often it has failed.
    pub(crate) failed: u32,
    pub(crate) due: Instant,
    pub(crate) under_way: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Event,
    Membership {
        audience: AudienceId,
        subject: u32,
        joined: bool,
        version: u32,
    },
}

/// What is told of one lane is told one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Person(u32),
    /// Of events that are about nobody.
    Stream(String),
}

impl Waiting {
    pub(crate) fn new(what: What, lanes: Vec<Lane>) -> Self {
        Self {
            what,
            lanes,
            failed: 0,
            due: Instant::now(),
            under_way: false,
        }
    }

    /// The person, if it is about one.
    pub(crate) fn subject(&self) -> Option<u32> {
        match self.lanes[..] {
            [Lane::Person(subject)] => Some(subject),
            _ => None,
        }
    }
}

impl Pending {
    pub(crate) fn insert(&mut self, place: StepPlace, waiting: Waiting) {
        self.lanes += waiting.lanes.len();
        if let Some(before) = self.items.insert(place, waiting) {
            self.lanes -= before.lanes.len();
        }
    }

    pub(crate) fn remove(&mut self, place: StepPlace) -> Option<Waiting> {
        let waiting = self.items.remove(&place)?;
        self.lanes -= waiting.lanes.len();
        Some(waiting)
    }

    pub(crate) fn get_mut(&mut self, place: StepPlace) -> Option<&mut Waiting> {
        self.items.get_mut(&place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&StepPlace, &Waiting)> {
        self.items.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// How many lanes all of them name together.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Forgets what comes after the place.
    pub(crate) fn forget_after(&mut self, place: StepPlace) {
        self.items.retain(|it, _| *it <= place);
        self.lanes = self.items.values().map(|it| it.lanes.len()).sum();
    }

    /// Those that may begin now, not more than asked for: they are due, and nothing before them of the
    /// same lane is still pending. And when the next one is due of those that wait for nothing else.
    pub(crate) fn startable(
        &self,
        now: Instant,
        at_most: usize,
    ) -> (Vec<StepPlace>, Option<Instant>) {
        let mut blocked: HashSet<&Lane> = HashSet::new();
        let mut startable = Vec::new();
        let mut next: Option<Instant> = None;
        for (place, waiting) in &self.items {
            let is_free = !waiting.lanes.iter().any(|lane| blocked.contains(lane));
            blocked.extend(&waiting.lanes);
            if !is_free || waiting.under_way {
                continue;
            }
            if waiting.due > now {
                next = Some(next.map_or(waiting.due, |next| next.min(waiting.due)));
            } else if startable.len() < at_most {
                startable.push(*place);
            }
        }
        (startable, next)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::Position;

    use super::*;

    fn at(position: u64) -> StepPlace {
        StepPlace {
            position: Position(position),
            part: 0,
        }
    }

    #[test]
    fn what_is_of_one_lane_waits_for_what_came_before_it_and_nothing_else_does() {
        let mut pending = Pending::default();
        for (position, people) in [(1, vec![7]), (2, vec![8]), (3, vec![7, 9]), (4, vec![9])] {
            let lanes = people.into_iter().map(Lane::Person).collect();
            pending.insert(at(position), Waiting::new(What::Event, lanes));
        }
        let now = Instant::now();
        assert_eq!(pending.startable(now, 9), (vec![at(1), at(2)], None));
        assert_eq!(pending.startable(now, 1), (vec![at(1)], None));
        let first = pending.get_mut(at(1)).expect("it waits");
        first.due = now + Duration::from_secs(5);
        assert_eq!(
            pending.startable(now, 9),
            (vec![at(2)], Some(now + Duration::from_secs(5)))
        );
        pending.remove(at(1));
        pending.get_mut(at(2)).expect("it waits").under_way = true;
        assert_eq!(pending.startable(now, 9), (vec![at(3)], None));
        assert_eq!(pending.lanes(), 4);
        pending.forget_after(at(3));
        assert_eq!((pending.len(), pending.lanes()), (2, 3));
    }
}
