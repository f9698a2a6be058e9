use std::collections::HashMap;

use parking_lot::Mutex;
use roaring::RoaringBitmap;
use types::{Position, SubjectId};

/// To whom a message is on its way, and of whom somebody else makes sure that it is not. Nobody is taken
/// twice at the same time.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashMap<Position, People>>);

/// Those of one message.
#[derive(Default)]
struct People {
    all: RoaringBitmap,
    /// Who is being told: it cannot be called back any more.
    begun: RoaringBitmap,
    /// From whom it is being taken back.
    withdrawn: RoaringBitmap,
    /// Of those, who is left by one of two: whoever wanted to tell them, and whoever takes it back. The
    /// second sets them free.
    left: RoaringBitmap,
}

impl InFlight {
    pub(crate) fn of(&self, accepted: Position) -> Option<RoaringBitmap> {
        self.0.lock().get(&accepted).map(|it| it.all.clone())
    }

    /// How many there are of one message.
    pub(crate) fn count_of(&self, accepted: Position) -> u64 {
        self.0.lock().get(&accepted).map_or(0, |it| it.all.len())
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.lock().values().map(|it| it.all.len()).sum()
    }

    /// Takes those who are not on the way yet; who these are.
    pub(crate) fn take(&self, accepted: Position, mut people: RoaringBitmap) -> RoaringBitmap {
        let mut all = self.0.lock();
        let held = all.entry(accepted).or_default();
        people -= &held.all;
        held.all |= &people;
        people
    }

    /// Whether somebody who was taken may be told: not if it is being taken back. From then on it cannot be.
    pub(crate) fn begin(&self, accepted: Position, subject: SubjectId) -> bool {
        let mut all = self.0.lock();
        let Some(held) = all.get_mut(&accepted) else {
            return false;
        };
        let may = held.all.contains(subject.0) && !held.withdrawn.contains(subject.0);
        if may {
            held.begun.insert(subject.0);
        }
        may
    }

    /// Holds those of these who are not being told yet, so that nobody begins; who these are.
    pub(crate) fn withdraw(&self, accepted: Position, people: &RoaringBitmap) -> RoaringBitmap {
        let mut all = self.0.lock();
        let held = all.entry(accepted).or_default();
        let withdrawn = people - &held.begun - &held.withdrawn;
        let nobody_wants = &withdrawn - &held.all;
        held.all |= &nobody_wants;
        held.left |= nobody_wants;
        held.withdrawn |= &withdrawn;
        if held.all.is_empty() {
            all.remove(&accepted);
        }
        withdrawn
    }

    /// These are settled, or nobody was told anything. Whoever is withdrawn is free only once they are left
    /// from both sides.
    pub(crate) fn release(&self, accepted: Position, people: &RoaringBitmap) {
        let mut all = self.0.lock();
        let Some(held) = all.get_mut(&accepted) else {
            return;
        };
        let by_the_first = (people & &held.withdrawn) - &held.left;
        let free = people - &by_the_first;
        held.left |= by_the_first;
        held.forget(&free);
        if held.all.is_empty() {
            all.remove(&accepted);
        }
    }
}

impl People {
    fn forget(&mut self, people: &RoaringBitmap) {
        self.all -= people;
        self.begun -= people;
        self.withdrawn -= people;
        self.left -= people;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Position = Position(7);

    fn people(rows: &[u32]) -> RoaringBitmap {
        rows.iter().copied().collect()
    }

    #[test]
    fn whoever_is_told_is_not_taken_back_and_whoever_is_taken_back_is_not_told() {
        let in_flight = InFlight::default();
        assert_eq!(in_flight.take(MESSAGE, people(&[1, 2])), people(&[1, 2]));
        assert_eq!(in_flight.take(MESSAGE, people(&[2, 3])), people(&[3]));
        assert!(in_flight.begin(MESSAGE, SubjectId(1)));
        assert!(!in_flight.begin(MESSAGE, SubjectId(9)));
        // 1 is being told, 2 and 3 wait, 4 was never taken.
        let withdrawn = in_flight.withdraw(MESSAGE, &people(&[1, 2, 3, 4]));
        assert_eq!(withdrawn, people(&[2, 3, 4]));
        assert!(in_flight.withdraw(MESSAGE, &people(&[2])).is_empty());
        assert!(!in_flight.begin(MESSAGE, SubjectId(2)));
        // Whoever wanted to tell 2 leaves first, of 3 whoever takes it back.
        in_flight.release(MESSAGE, &people(&[2]));
        assert!(in_flight.take(MESSAGE, people(&[2])).is_empty());
        in_flight.release(MESSAGE, &withdrawn);
        assert_eq!(in_flight.of(MESSAGE), Some(people(&[1, 3])));
        assert!(!in_flight.begin(MESSAGE, SubjectId(3)));
        in_flight.release(MESSAGE, &people(&[1, 3]));
        assert_eq!(in_flight.of(MESSAGE), None);
    }
}
