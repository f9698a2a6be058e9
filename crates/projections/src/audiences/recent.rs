use std::collections::VecDeque;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::joined::Occasion;

/// How many single changes of membership are remembered; older ones are found by replay.
const CHANGES_MAX: usize = 1 << 20;

/// The latest changes of membership, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Arc<Change>>,
    weight: usize,
    /// Changes up to here may have been forgotten.
    forgotten: types::Position,
}

/// What one event did to the membership of one person, or to that of one audience.
#[derive(Debug)]
pub(super) enum Change {
    Row {
        occasion: Occasion,
        row: u32,
        /// Numbers of audiences, ascending.
        joined: Box<[u32]>,
        left: Box<[u32]>,
        /// What became true or false of the person.
        because: Box<[(Arc<str>, bool)]>,
    },
    Audience {
        occasion: Occasion,
        audience: u32,
        joined: RoaringBitmap,
        left: RoaringBitmap,
        because: Arc<str>,
    },
}

impl Change {
    pub(super) fn occasion(&self) -> Occasion {
        match self {
            Self::Row { occasion, .. } | Self::Audience { occasion, .. } => *occasion,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Row {
                joined,
                left,
                because,
                ..
            } => 4 + joined.len() + left.len() + 4 * because.len(),
            // About the bytes of two bitmaps, in the size of a number.
            Self::Audience { joined, left, .. } => {
                16 + (joined.serialized_size() + left.serialized_size()) / 4
            }
        }
    }
}

impl Recent {
    pub(super) fn push(&mut self, change: Change) {
        self.weight += change.weight();
        self.events.push_back(Arc::new(change));
        while self.weight > CHANGES_MAX
            && self.events.len() > 1
            && let Some(oldest) = self.events.pop_front()
        {
            self.weight -= oldest.weight();
            self.forgotten = oldest.occasion().position;
        }
    }

    /// Nothing that happened after this position is forgotten.
    pub(super) fn complete_after(&self) -> types::Position {
        self.forgotten
    }

    /// What happened at the position and later.
    pub(super) fn from(&self, position: types::Position) -> impl Iterator<Item = &Arc<Change>> {
        let start = self
            .events
            .partition_point(|change| change.occasion().position < position);
        self.events.range(start..)
    }
}
