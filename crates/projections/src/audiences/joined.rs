use std::io;

use events::codec::{Decoder, Encoder};
use hashbrown::HashMap;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::{Position, Timestamp};

/// A place in the log and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Occasion {
    pub position: Position,
    pub at: Timestamp,
}

/// From as many people on, those who join an audience together are kept as a set of their own.
pub(super) const COHORT_MIN: u64 = 1_024;

/// Who joined one audience together, in one event.
#[derive(Debug, Serialize, Deserialize)]
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
    /// The people of whom there is anything, for those who go through many people.
    rows: RoaringBitmap,
}

#[derive(Debug, Serialize, Deserialize)]
struct SingleJoin {
    joined: Occasion,
    /// Numbers of audiences, ascending.
    audiences: Vec<u32>,
}

impl SingleJoins {
    /// Somebody joined these audiences, ascending, none of which held them before.
    pub(super) fn add(&mut self, row: u32, joined: Occasion, audiences: Vec<u32>) {
        if !audiences.is_empty() {
            self.rows.insert(row);
            let joins = self.of_row.entry(row).or_default();
            joins.push(SingleJoin { joined, audiences });
        }
    }

    pub(super) fn rows(&self) -> &RoaringBitmap {
        &self.rows
    }

    pub(super) fn get(&self, row: u32, audience: u32) -> Option<Occasion> {
        let joins = self.of_row.get(&row)?;
        joins
            .iter()
            .find(|join| join.audiences.binary_search(&audience).is_ok())
            .map(|join| join.joined)
    }

    /// Somebody left these audiences, ascending; `otherwise` hears of those of which nothing was
    /// kept here.
    pub(super) fn remove(&mut self, row: u32, audiences: &[u32], mut otherwise: impl FnMut(u32)) {
        let Some(joins) = self.of_row.get_mut(&row) else {
            audiences.iter().copied().for_each(otherwise);
            return;
        };
        let is_among = |joins: &[SingleJoin], audience: u32| {
            joins
                .iter()
                .any(|join| join.audiences.binary_search(&audience).is_ok())
        };
        for audience in audiences {
            if !is_among(joins, *audience) {
                otherwise(*audience);
            }
        }
        for join in joins.iter_mut() {
            join.audiences
                .retain(|held| audiences.binary_search(held).is_err());
        }
        joins.retain(|join| !join.audiences.is_empty());
        if joins.is_empty() {
            self.of_row.remove(&row);
            self.rows.remove(row);
        }
    }
}

impl SingleJoins {
    pub(super) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put(&self.rows.len())?;
        for row in &self.rows {
            out.put(&(row, self.of_row.get(&row)))?;
        }
        Ok(())
    }

    pub(super) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut restored = Self::default();
        for of_row in input.take_all()? {
            let (row, joins): (u32, Option<Vec<SingleJoin>>) = of_row?;
            restored.rows.insert(row);
            restored.of_row.insert(row, joins.unwrap_or_default());
        }
        Ok(restored)
    }
}
