use std::collections::BTreeMap;

use types::Position;

/// People who are looked at in one go.
pub(crate) const PEOPLE_TOGETHER: usize = 500;
/// Messages that found no room, of which is tried again whether there is some now.
const TRIED_AGAIN: usize = 64;

/// How many people of a message are looked at in one go, where not for all of them there was room: what is
/// written for somebody who has to wait is written for nothing. Halved and doubled as it turns out.
#[derive(Default)]
pub(crate) struct Paces {
    slow: BTreeMap<Position, Pace>,
    /// From where on messages are tried again, so that it is the turn of each.
    next: Position,
}

#[derive(Clone, Copy)]
struct Pace {
    together: usize,
    /// Who is looked at next, and whoever comes after.
    from: u32,
    found_no_room: bool,
}

/// How a message is gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) together: usize,
    pub(crate) from: u32,
}

impl Paces {
    pub(crate) fn of(&self, accepted: Position) -> Step {
        let pace = self.slow.get(&accepted);
        pace.map_or(
            Step {
                together: PEOPLE_TOGETHER,
                from: 0,
            },
            |it| Step {
                together: it.together,
                from: it.from,
            },
        )
    }

    /// So many were looked at, for so many of them there was room, and the next is this one.
    pub(crate) fn note(&mut self, accepted: Position, looked: usize, placed: usize, from: u32) {
        let found_no_room = placed < looked;
        let before = self.of(accepted).together;
        let together = if found_no_room {
            placed.clamp(1, PEOPLE_TOGETHER)
        } else {
            before.saturating_mul(2)
        };
        if together >= PEOPLE_TOGETHER {
            self.slow.remove(&accepted);
            return;
        }
        let pace = Pace {
            together,
            from,
            found_no_room,
        };
        self.slow.insert(accepted, pace);
    }

    /// Which messages are passed over this time: those that found no room, but for some of them where there may
    /// be some now.
    pub(crate) fn passed_over(&mut self, may_have_room: bool) -> Vec<Position> {
        let tried_again = if may_have_room { TRIED_AGAIN } else { 0 };
        let stuck = |it: &(&Position, &Pace)| it.1.found_no_room;
        let after = self.slow.range(self.next..).filter(stuck);
        let before = self.slow.range(..self.next).filter(stuck);
        let mut in_turn = after.chain(before).map(|(position, _)| *position);
        let last = in_turn.by_ref().take(tried_again).last();
        let passed_over = in_turn.collect();
        if let Some(last) = last {
            self.next = Position(last.0 + 1);
        }
        passed_over
    }

    /// Forgets messages of which nothing is to be done any more.
    pub(crate) fn forget(&mut self, is_done: impl Fn(Position) -> bool) {
        self.slow.retain(|position, _| !is_done(*position));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Position = Position(7);

    #[test]
    fn where_there_is_no_room_less_is_looked_at_until_there_is() {
        let mut paces = Paces::default();
        let step = |together, from| Step { together, from };
        assert_eq!(paces.of(MESSAGE), step(500, 0));
        paces.note(MESSAGE, 500, 32, 900);
        assert_eq!(paces.of(MESSAGE), step(32, 900));
        paces.note(MESSAGE, 32, 0, 950);
        assert_eq!(paces.of(MESSAGE), step(1, 950));
        for (looked, from) in [(1, 1), (2, 3), (4, 7)] {
            paces.note(MESSAGE, looked, looked, from);
        }
        assert_eq!(paces.of(MESSAGE), step(8, 7));
        for looked in [8, 16, 32, 64, 128, 256] {
            paces.note(MESSAGE, looked, looked, 9);
        }
        assert_eq!(paces.of(MESSAGE), step(500, 0));
    }

    #[test]
    fn of_many_that_found_no_room_each_has_its_turn() {
        let mut paces = Paces::default();
        for position in 0..200 {
            paces.note(Position(position), 1, 0, 0);
        }
        let mut tried = vec![0; 200];
        for _ in 0..200 {
            let passed_over = paces.passed_over(true);
            assert_eq!(passed_over.len(), 200 - TRIED_AGAIN);
            for (position, tried) in (0..).zip(&mut tried) {
                *tried += usize::from(!passed_over.contains(&Position(position)));
            }
        }
        assert!(tried.iter().all(|it| *it == TRIED_AGAIN), "{tried:?}");
        assert_eq!(paces.passed_over(false).len(), 200);
        paces.note(Position(3), 1, 1, 0);
        paces.forget(|position| position.0 > 10);
        assert_eq!(paces.passed_over(true), vec![]);
        assert_eq!(paces.slow.len(), 11);
    }
}
