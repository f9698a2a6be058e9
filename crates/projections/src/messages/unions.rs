use roaring::{MultiOps, RoaringBitmap};

/// Neighbours of which one union is made.
const NEIGHBOURS: usize = 64;

/// Finds the set that somebody is in, of a row of sets no two of which share anybody and to which sets are
/// only added. It holds unions of neighbours, and unions of neighbouring unions, so that a hundred thousand
/// sets take some two hundred looks, and everybody is held at most twice more. A short row takes nothing.
#[derive(Default)]
pub(super) struct Unions {
    of_sets: Vec<RoaringBitmap>,
    of_unions: Vec<RoaringBitmap>,
}

impl Unions {
    pub(super) fn of<T>(sets: &[T], people: impl Fn(&T) -> &RoaringBitmap) -> Self {
        let mut unions = Self::default();
        unions.follow(sets, people);
        unions
    }

    /// Takes note of the sets that were added.
    pub(super) fn follow<T>(&mut self, sets: &[T], people: impl Fn(&T) -> &RoaringBitmap) {
        let seen = self.of_sets.len() * NEIGHBOURS;
        let (neighbours, _) = sets[seen..].as_chunks::<NEIGHBOURS>();
        let unions = neighbours.iter().map(|it| it.iter().map(&people).union());
        self.of_sets.extend(unions);

        let seen = self.of_unions.len() * NEIGHBOURS;
        let (neighbours, _) = self.of_sets[seen..].as_chunks::<NEIGHBOURS>();
        let unions = neighbours.iter().map(MultiOps::union);
        self.of_unions.extend(unions);
    }

    pub(super) fn find<'a, T>(
        &self,
        sets: &'a [T],
        row: u32,
        people: impl Fn(&T) -> &RoaringBitmap,
    ) -> Option<&'a T> {
        let place = self.of_unions.iter().position(|it| it.contains(row));
        let from = place.unwrap_or(self.of_unions.len()) * NEIGHBOURS;
        let place = self.of_sets[from..].iter().position(|it| it.contains(row));
        let from = place.map_or(self.of_sets.len(), |it| from + it) * NEIGHBOURS;
        sets[from..].iter().find(|it| people(it).contains(row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn finds_the_set_that_somebody_is_in(count in 0..10_000_usize, restored in 0..10_000_usize) {
            let set_of = |place| -> RoaringBitmap { (0..3).map(|it| row(place, it)).collect() };
            let mut sets: Vec<_> = (0..restored.min(count)).map(set_of).collect();
            let mut unions = Unions::of(&sets, |it| it);
            while sets.len() < count {
                sets.push(set_of(sets.len()));
                unions.follow(&sets, |it| it);
            }
            for place in (0..count).step_by(17).chain(count.checked_sub(1)) {
                let found = unions.find(&sets, row(place, 1), |it| it);
                prop_assert_eq!(found, Some(&sets[place]));
            }
            prop_assert_eq!(unions.find(&sets, row(count, 0), |it| it), None);
        }
    }

    /// Scattered, and nobody twice.
    fn row(place: usize, number: u32) -> u32 {
        let place = u32::try_from(place).unwrap();
        (place * 3 + number).wrapping_mul(2_654_435_761)
    }
}
