use std::collections::HashMap;

use types::Position;

use crate::Span;

/// By what records can be found besides people, streams and types. The log does not know what they mean;
/// whoever finds a record by one looks whether it is the right one, for different texts can have the same
/// label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Labels that many records share.
    pub common: Vec<u32>,
    /// A label that few records share.
    pub rare: Option<u32>,
}

impl Labels {
    /// The label of a text of some kind.
    pub fn of(kind: u8, text: &str) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(text.as_bytes());
        hasher.finalize()
    }
}

/// Positions by rare labels, in eight bytes each: 24 bits of the label, 40 of the position, in sorted runs
/// of which each is more than twice as long as the next.
#[derive(Default)]
pub(crate) struct RareLabels {
    runs: Vec<Vec<u64>>,
    /// The latest, unsorted.
    recent: Vec<u64>,
}

const POSITION_BITS: u32 = 40;
/// What is looked through entry by entry.
const RECENT_MAX: usize = 16 * 1_024;

impl RareLabels {
    pub(crate) fn push(&mut self, label: u32, position: u64) {
        self.recent.push(first(label) | position);
        if self.recent.len() < RECENT_MAX {
            return;
        }
        self.recent.sort_unstable();
        self.runs.push(std::mem::take(&mut self.recent));
        while let [.., longer, last] = &self.runs[..]
            && longer.len() <= 2 * last.len()
            && let (Some(last), Some(mut longer)) = (self.runs.pop(), self.runs.pop())
        {
            longer.extend(last);
            merge(&mut longer);
            self.runs.push(longer);
        }
    }

    pub(crate) fn within(&self, label: u32, span: Span) -> Vec<Position> {
        let range = first(label)..=first(label) | ((1 << POSITION_BITS) - 1);
        let mut found: Vec<u64> = Vec::new();
        for run in &self.runs {
            let from = run.partition_point(|it| it < range.start());
            found.extend(run[from..].iter().take_while(|it| range.contains(it)));
        }
        found.extend(self.recent.iter().filter(|it| range.contains(it)));
        for entry in &mut found {
            *entry &= (1 << POSITION_BITS) - 1;
        }
        found.sort_unstable();
        found.dedup();
        span.of_few(&found)
    }
}

#[expect(
    clippy::stable_sort_primitive,
    reason = "the stable sort finds the two sorted parts and merges them; the other sorts anew"
)]
fn merge(two_sorted_parts: &mut [u64]) {
    two_sorted_parts.sort();
}

/// The first entry that the label can have.
fn first(label: u32) -> u64 {
    u64::from(label >> 8) << POSITION_BITS
}

/// The labels of a block, each once, in the order in which they came.
#[derive(Default)]
pub(crate) struct LabelTable {
    places: HashMap<u32, u64>,
    pub(crate) labels: Vec<u32>,
}

impl LabelTable {
    pub(crate) fn place(&mut self, label: u32) -> u64 {
        let next = self.labels.len() as u64;
        *self.places.entry(label).or_insert_with(|| {
            self.labels.push(label);
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_position_is_found_by_its_label(
            labels in proptest::collection::vec(0_u32..40, 1..60_000),
            wanted in 0_u32..40,
            after in 0_u64..60_000,
            newest_first in any::<bool>(),
        ) {
            let mut rare = RareLabels::default();
            // The lower bits tell nothing apart.
            let label = |number: u32| number << 8 | number;
            for (position, number) in (1..).zip(&labels) {
                rare.push(label(*number), position);
            }
            let span = Span {
                after: Position(after),
                before: Position(u64::MAX),
                newest_first,
                at_most: 100,
            };
            let plain: Vec<u64> = (1..)
                .zip(&labels)
                .filter(|(_, number)| **number == wanted)
                .map(|(position, _)| position)
                .collect();
            prop_assert_eq!(rare.within(label(wanted), span), span.of_few(&plain));
        }
    }
}
