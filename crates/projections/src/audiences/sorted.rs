use roaring::RoaringBitmap;

use super::rows::{Rows, Union};

/// Distinct values in one bucket; a fuller one is split.
const BUCKET_ENTRIES_MAX: usize = 4_096;

/// The distinct values of a column in ascending order, in buckets that know the rows of all their
/// values: a range is the union of whole buckets and of a few single values at its ends.
///
/// Order goes by a 64-bit key that may be the same for values that differ a little; whether such a
/// value is within a range is asked one by one.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    buckets: Vec<Bucket>,
    rows: u64,
}

#[derive(Debug)]
struct Bucket {
    /// Sorted by key, then by entry.
    keys: Vec<u64>,
    entries: Vec<u32>,
    rows: RoaringBitmap,
}

/// The order of floating-point numbers as that of whole numbers.
pub(super) fn number_key(number: f64) -> u64 {
    let bits = number.to_bits();
    if number.is_sign_negative() {
        !bits
    } else {
        bits | (1 << 63)
    }
}

/// The order of signed numbers as that of unsigned ones.
pub(super) fn time_key(milliseconds: i64) -> u64 {
    milliseconds.cast_unsigned() ^ (1 << 63)
}

impl Sorted {
    /// From entries with their keys and rows, in any order.
    pub(super) fn build<'a>(mut all: Vec<(u64, u32)>, rows_of: impl Fn(u32) -> &'a Rows) -> Self {
        all.sort_unstable();
        let mut sorted = Self::default();
        for chunk in all.chunks(BUCKET_ENTRIES_MAX / 2) {
            let mut union = Union::default();
            for (_, entry) in chunk {
                union.add(rows_of(*entry));
            }
            let rows = union.finish();
            sorted.rows += rows.len();
            sorted.buckets.push(Bucket {
                keys: chunk.iter().map(|(key, _)| *key).collect(),
                entries: chunk.iter().map(|(_, entry)| *entry).collect(),
                rows,
            });
        }
        sorted
    }

    /// How many rows hold a value that has a place in this order.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// A row takes the value.
    pub(super) fn add<'a>(
        &mut self,
        key: u64,
        entry: u32,
        row: u32,
        rows_of: impl Fn(u32) -> &'a Rows,
    ) {
        self.rows += 1;
        if self.buckets.is_empty() {
            self.buckets.push(Bucket {
                keys: Vec::new(),
                entries: Vec::new(),
                rows: RoaringBitmap::new(),
            });
        }
        let number = self.bucket_of(key, entry);
        let bucket = &mut self.buckets[number];
        bucket.rows.insert(row);
        if let Err(place) = bucket.find(key, entry) {
            bucket.keys.insert(place, key);
            bucket.entries.insert(place, entry);
            if bucket.entries.len() > BUCKET_ENTRIES_MAX {
                let upper = bucket.split(rows_of);
                self.buckets.insert(number + 1, upper);
            }
        }
    }

    /// A row gives the value up; `emptied` if no other row holds it.
    pub(super) fn remove(&mut self, key: u64, entry: u32, row: u32, emptied: bool) {
        if self.buckets.is_empty() {
            return;
        }
        let number = self.bucket_of(key, entry);
        let bucket = &mut self.buckets[number];
        let Ok(place) = bucket.find(key, entry) else {
            return;
        };
        self.rows -= 1;
        bucket.rows.remove(row);
        if emptied {
            bucket.keys.remove(place);
            bucket.entries.remove(place);
            if bucket.entries.is_empty() {
                self.buckets.remove(number);
            }
        }
    }

    /// The rows of all values whose key lies strictly between the two, and of those on an edge that
    /// are accepted. `None` is an open end.
    pub(super) fn range<'a>(
        &'a self,
        from: Option<u64>,
        to: Option<u64>,
        rows_of: impl Fn(u32) -> &'a Rows,
        accepts: impl Fn(u32) -> bool,
    ) -> RoaringBitmap {
        let above = |key: u64| from.is_none_or(|from| key > from);
        let below = |key: u64| to.is_none_or(|to| key < to);
        let mut union = Union::default();
        for bucket in self.buckets_between(from, to) {
            if above(bucket.keys[0]) && below(*bucket.keys.last().unwrap_or(&u64::MAX)) {
                union.add_bitmap(&bucket.rows);
                continue;
            }
            for place in bucket.between(from, to) {
                let (key, entry) = (bucket.keys[place], bucket.entries[place]);
                if (above(key) && below(key)) || accepts(entry) {
                    union.add(rows_of(entry));
                }
            }
        }
        union.finish()
    }

    /// The entries whose key lies between the two, both included, in ascending order of keys.
    pub(super) fn entries(
        &self,
        from: Option<u64>,
        to: Option<u64>,
    ) -> impl Iterator<Item = (u64, u32)> {
        self.buckets_between(from, to).flat_map(move |bucket| {
            let places = bucket.between(from, to);
            places.map(|place| (bucket.keys[place], bucket.entries[place]))
        })
    }

    fn buckets_between(&self, from: Option<u64>, to: Option<u64>) -> impl Iterator<Item = &Bucket> {
        let last = |bucket: &Bucket| bucket.keys.last().copied().unwrap_or(0);
        let start = self
            .buckets
            .partition_point(|bucket| from.is_some_and(|from| last(bucket) < from));
        self.buckets[start..]
            .iter()
            .take_while(move |bucket| to.is_none_or(|to| bucket.keys[0] <= to))
    }

    fn bucket_of(&self, key: u64, entry: u32) -> usize {
        let begins_after = |bucket: &Bucket| (bucket.keys[0], bucket.entries[0]) > (key, entry);
        let beyond = self
            .buckets
            .partition_point(|bucket| bucket.keys.is_empty() || !begins_after(bucket));
        beyond.saturating_sub(1)
    }
}

impl Bucket {
    fn find(&self, key: u64, entry: u32) -> Result<usize, usize> {
        let start = self.keys.partition_point(|held| *held < key);
        let end = start + self.keys[start..].partition_point(|held| *held == key);
        self.entries[start..end]
            .binary_search(&entry)
            .map(|place| start + place)
            .map_err(|place| start + place)
    }

    fn between(&self, from: Option<u64>, to: Option<u64>) -> std::ops::Range<usize> {
        let start = from.map_or(0, |from| self.keys.partition_point(|key| *key < from));
        let end = to.map_or(self.keys.len(), |to| {
            self.keys.partition_point(|key| *key <= to)
        });
        start..end.max(start)
    }

    /// Gives away the upper half.
    fn split<'a>(&mut self, rows_of: impl Fn(u32) -> &'a Rows) -> Self {
        let middle = self.entries.len() / 2;
        let (keys, entries) = (self.keys.split_off(middle), self.entries.split_off(middle));
        let mut union = Union::default();
        for entry in &entries {
            union.add(rows_of(*entry));
        }
        let rows = union.finish();
        self.rows -= &rows;
        Self {
            keys,
            entries,
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_in_the_order_of_what_they_stand_for() {
        let numbers = [
            f64::NEG_INFINITY,
            -2.5,
            -1e-300,
            0.0,
            1e-300,
            7.0,
            f64::INFINITY,
        ];
        assert!(numbers.map(number_key).is_sorted_by(|a, b| a < b));
        assert!(
            [i64::MIN, -1, 0, 1, i64::MAX]
                .map(time_key)
                .is_sorted_by(|a, b| a < b)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        /// Against a map, with enough values that buckets are split and emptied.
        #[test]
        fn a_range_holds_the_rows_of_the_values_in_it(
            values in proptest::collection::vec(0_u64..9_000, 1..12_000),
            leaving in any::<proptest::sample::Index>(),
            (from, to) in (0_u64..9_000, 0_u64..9_000),
            prebuilt in any::<bool>(),
        ) {
            // The value is the entry; two neighbouring ones share a key.
            let key = |value: u64| value / 2;
            let mut rows: Vec<Rows> = (0..9_000).map(|_| Rows::Many(RoaringBitmap::new())).collect();
            let mut held: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
            let mut sorted = Sorted::default();
            for (row, value) in (0_u32..).zip(&values) {
                let entry = u32::try_from(*value).unwrap();
                rows[entry as usize].insert(row);
                held.entry(*value).or_default().push(row);
                if !prebuilt {
                    sorted.add(key(*value), entry, row, |entry| &rows[entry as usize]);
                }
            }
            if prebuilt {
                let all = held.keys().map(|value| (key(*value), u32::try_from(*value).unwrap()));
                sorted = Sorted::build(all.collect(), |entry| &rows[entry as usize]);
            }
            for (row, value) in (0_u32..).zip(&values).take(leaving.index(values.len())) {
                let entry = u32::try_from(*value).unwrap();
                let emptied = rows[entry as usize].remove(row);
                held.get_mut(value).unwrap().retain(|other| *other != row);
                sorted.remove(key(*value), entry, row, emptied);
            }
            let found = sorted.range(
                Some(key(from)), Some(key(to)),
                |entry| &rows[entry as usize],
                |entry| (from..=to).contains(&u64::from(entry)),
            );
            let within = if from <= to { held.range(from..=to).collect() } else { vec![] };
            let expected: RoaringBitmap = within.into_iter().flat_map(|(_, rows)| rows).copied().collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(sorted.rows(), held.values().map(|rows| rows.len() as u64).sum::<u64>());
        }
    }
}
