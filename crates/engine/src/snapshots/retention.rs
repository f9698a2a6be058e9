use types::Position;

/// Snapshots that are kept at most.
const KEPT_MAX: usize = 16;

/// Of these positions, ascending, those whose snapshots need not be kept. The newest two are. Of the
/// older ones that goes which leaves the smallest gap, compared with how long ago it is: so they stand
/// the closer the newer they are, and whoever asks for a past state folds no more events than have
/// followed it, about.
pub(super) fn to_remove(positions: &[Position]) -> Vec<Position> {
    let mut kept = positions.to_vec();
    let mut removed = Vec::new();
    while kept.len() > KEPT_MAX {
        removed.push(kept.remove(least_missed(&kept)));
    }
    removed
}

fn least_missed(kept: &[Position]) -> usize {
    let newest = kept.last().map_or(0, |it| it.0);
    let gap_and_age = |place: usize| {
        let before = place.checked_sub(1).map_or(0, |before| kept[before].0);
        let gap = kept[place + 1].0 - before;
        (u128::from(gap), u128::from(newest - kept[place].0))
    };
    let older = 0..kept.len() - 2;
    let least = older.min_by(|a, b| {
        let ((gap, age), (other_gap, other_age)) = (gap_and_age(*a), gap_and_age(*b));
        (gap * other_age).cmp(&(other_gap * age))
    });
    least.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However snapshots came, whatever position is asked for, the nearest one below it is no
        /// further from it than the newest is.
        #[test]
        fn the_past_stays_near_and_the_number_small(gaps in proptest::collection::vec(1_000_u64..2_000, 1..400)) {
            let mut kept: Vec<Position> = Vec::new();
            let mut newest = 0;
            for gap in gaps {
                newest += gap;
                let before = kept.clone();
                kept.push(Position(newest));
                let removed = to_remove(&kept);
                kept.retain(|it| !removed.contains(it));
                prop_assert!(kept.len() <= KEPT_MAX);
                prop_assert!(before.last().is_none_or(|it| kept.contains(it)), "the newest two stay");
            }
            for asked in (1..=newest).step_by(499) {
                let below = kept.iter().rev().find(|it| it.0 <= asked).map_or(0, |it| it.0);
                prop_assert!(asked - below <= newest - asked + 4_000, "{asked} of {newest}: {kept:?}");
            }
        }
    }
}
