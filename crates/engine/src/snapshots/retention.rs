use types::Position;

/// Snapshots that are kept at most.
const KEPT_MAX: usize = 16;

/// Of these positions, ascending, those whose snapshots need not be kept: the newest two are, and of
/// the older ones one for every doubling of the distance to the newest, the oldest at that distance.
/// Whoever asks for a past state then folds a few times as many events as have followed it, at most.
pub(super) fn to_remove(positions: &[Position]) -> Vec<Position> {
    let mut newest_first = positions.iter().rev().copied();
    let Some(newest) = newest_first.next() else {
        return Vec::new();
    };
    newest_first.next();
    let mut removed = Vec::new();
    let mut kept: Vec<Position> = Vec::new();
    let doubling = |position: Position| (newest.0 - position.0).checked_ilog2();
    for position in newest_first {
        if let Some(last) = kept.last_mut()
            && doubling(*last) == doubling(position)
        {
            removed.push(std::mem::replace(last, position));
        } else {
            kept.push(position);
        }
    }
    removed.extend(kept.into_iter().skip(KEPT_MAX - 2));
    removed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However snapshots came, whatever position is asked for, the nearest one below it is no
        /// further from it than a few times as far as the newest is.
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
                prop_assert!(asked - below <= 7 * (newest - asked) + 4_000, "{asked} of {newest}: {kept:?}");
            }
        }
    }
}
