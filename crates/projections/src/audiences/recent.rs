use std::collections::VecDeque;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::joined::Occasion;

/// How much is remembered, about; older changes are found by replay.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The latest changes of membership, in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Arc<Change>>,
    bytes: usize,
    /// Changes up to here may have been forgotten.
    forgotten: types::Position,
    /// How many people joined or left an audience since the start, forgotten ones included.
    pub(super) people: u64,
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

    pub(super) fn people(&self) -> u64 {
        match self {
            Self::Row { joined, left, .. } => (joined.len() + left.len()) as u64,
            Self::Audience { joined, left, .. } => joined.len() + left.len(),
        }
    }

    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        const FIXED: usize = 128;
        match self {
            Self::Row {
                joined,
                left,
                because,
                ..
            } => FIXED + 4 * (joined.len() + left.len()) + 24 * because.len(),
            Self::Audience { joined, left, .. } => {
                FIXED + joined.serialized_size() + left.serialized_size()
            }
        }
    }
}

impl Recent {
    /// Nothing that happened up to this position is known.
    pub(super) fn since(position: types::Position) -> Self {
        Self {
            forgotten: position,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        let position = change.occasion().position;
        self.bytes += change.bytes();
        self.people += change.people();
        self.events.push_back(Arc::new(change));
        // What an event did is remembered as a whole at least until the next one, however much it
        // was: whoever replays the log picks it up then.
        while self.bytes > BYTES_MAX
            && let Some(oldest) = self.events.front()
            && oldest.occasion().position < position
        {
            self.bytes -= oldest.bytes();
            self.forgotten = oldest.occasion().position;
            self.events.pop_front();
        }
    }

    /// Forgets everything up to here.
    pub(super) fn forget(&mut self, position: types::Position) {
        self.events.clear();
        self.bytes = 0;
        self.forgotten = position;
    }

    /// Nothing that happened after this position is forgotten; of what happened at it, a part.
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

#[cfg(test)]
mod tests {
    use types::{Position, Timestamp};

    use super::*;

    fn change(position: u64, row: u32) -> Change {
        Change::Row {
            occasion: Occasion {
                position: Position(position),
                at: Timestamp(position),
            },
            row,
            joined: vec![0; 10_000].into(),
            left: Box::default(),
            because: Box::default(),
        }
    }

    #[test]
    fn what_one_event_did_is_remembered_as_a_whole_until_the_next() {
        let mut recent = Recent::default();
        recent.push(change(1, 0));
        for row in 0..1_000 {
            recent.push(change(2, row));
        }
        assert_eq!(recent.complete_after(), Position(1));
        assert_eq!(recent.from(Position(2)).count(), 1_000);
        recent.push(change(3, 0));
        assert_eq!(recent.complete_after(), Position(2));
        assert!(recent.bytes <= BYTES_MAX);
    }
}
