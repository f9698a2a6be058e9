use std::collections::HashMap;

use roaring::RoaringBitmap;
use types::{Position, Timestamp};

/// A place in the log and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occasion {
    pub position: Position,
    pub at: Timestamp,
}

/// From as many people on, those who join an audience together are kept as a set of their own.
pub(super) const COHORT_MIN: u64 = 1_024;

/// Who joined one audience together, in one event.
#[derive(Debug)]
pub(super) struct Cohort {
    pub(super) joined: Occasion,
    pub(super) rows: RoaringBitmap,
}

/// When single people joined which audiences, where that is neither the beginning of the audience
/// nor that of the profile. One write can make somebody join hundreds of audiences, so it is kept by
/// person and event, and not by audience and person.
#[derive(Debug, Default)]
pub(super) struct SingleJoins {
    of_row: HashMap<u32, Vec<SingleJoin>>,
}

#[derive(Debug)]
struct SingleJoin {
    joined: Occasion,
    /// Numbers of audiences, ascending.
    audiences: Vec<u32>,
}

impl SingleJoins {
    /// Somebody joined these audiences, ascending, none of which held them before.
    pub(super) fn add(&mut self, row: u32, joined: Occasion, audiences: Vec<u32>) {
        if !audiences.is_empty() {
            let joins = self.of_row.entry(row).or_default();
            joins.push(SingleJoin { joined, audiences });
        }
    }

    pub(super) fn get(&self, row: u32, audience: u32) -> Option<Occasion> {
        let joins = self.of_row.get(&row)?;
        joins
            .iter()
            .find(|join| join.audiences.binary_search(&audience).is_ok())
            .map(|join| join.joined)
    }

    pub(super) fn remove(&mut self, row: u32, audience: u32) {
        let Some(joins) = self.of_row.get_mut(&row) else {
            return;
        };
        for (place, join) in joins.iter_mut().enumerate() {
            if let Ok(found) = join.audiences.binary_search(&audience) {
                join.audiences.remove(found);
                if join.audiences.is_empty() {
                    joins.remove(place);
                }
                break;
            }
        }
        if joins.is_empty() {
            self.of_row.remove(&row);
        }
    }
}
