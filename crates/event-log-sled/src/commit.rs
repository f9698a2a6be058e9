//! From records to one batch.

use event_log::{
    BlockIndex, Frontier, Head, Labels, NewRecord, RawBlock, ReadError, Record, fill, fill_encoded,
};
use types::Position;

use crate::keys;

/// The most that one value holds, in bytes, parts of larger blocks included: sled puts up to
/// sixteen values into a page, and a page must stay below a quarter of a segment.
const VALUE_BYTES_MAX: usize = 24 * 1024;

/// How many blocks are written between two notes of the tree's right edge; opening hashes at most
/// the records of so many blocks again.
const FRONTIER_BLOCKS: u32 = 256;

/// What a store was made with. A store made with other settings is not opened.
pub(crate) const SETTINGS: &str = "format 2, codec 1, segment 2097152, value 24576";

/// The tree with what it takes to write on.
#[derive(Clone, Default)]
pub(crate) struct Edge {
    pub(crate) frontier: Frontier,
    pub(crate) blocks_since_noted: u32,
}

impl Edge {
    pub(crate) fn head(&self) -> Head {
        Head {
            position: Position(self.frontier.size()),
            root: self.frontier.root(),
        }
    }
}

/// One group, ready to be written in one batch.
pub(crate) struct Commit {
    pub(crate) batch: sled::Batch,
    pub(crate) indexes: Vec<BlockIndex>,
    pub(crate) edge: Edge,
    pub(crate) blocks: u64,
}

impl Commit {
    pub(crate) fn of(group: &[NewRecord], edge: Edge) -> Self {
        let mut commit = Self::onto(edge);
        let mut rest = group;
        while !rest.is_empty() {
            let first = commit.next();
            let records = fill(first, rest);
            let (taken, later) = rest.split_at(records.len());
            commit.insert(&records, BlockIndex::of(first, taken));
            rest = later;
        }
        commit.note_edge();
        commit
    }

    /// Of records as another store has them, byte for byte.
    pub(crate) fn of_stored(
        group: &[Vec<u8>],
        edge: Edge,
        labels_of: fn(&[u8]) -> Labels,
    ) -> Result<Self, ReadError> {
        let mut commit = Self::onto(edge);
        let mut rest = group;
        while !rest.is_empty() {
            let first = commit.next();
            let records = fill_encoded(rest.iter().cloned());
            let decoded: Vec<Record<'_>> = records
                .iter()
                .map(|bytes| Record::decode(bytes))
                .collect::<Result<_, _>>()
                .map_err(|what| ReadError::damaged(first, what))?;
            let index = BlockIndex::of_stored(first, &decoded, labels_of);
            commit.insert(&records, index);
            rest = &rest[records.len()..];
        }
        commit.note_edge();
        Ok(commit)
    }

    fn onto(edge: Edge) -> Self {
        Self {
            batch: sled::Batch::default(),
            indexes: Vec::new(),
            edge,
            blocks: 0,
        }
    }

    fn next(&self) -> Position {
        Position(self.edge.frontier.size() + 1)
    }

    fn insert(&mut self, records: &[Vec<u8>], index: BlockIndex) {
        let first = self.next();
        let block = RawBlock::encode(first, records, &mut self.edge.frontier);
        insert_block(&mut self.batch, first, block.as_bytes());
        self.batch.insert(&keys::index(first), index.as_bytes());
        self.indexes.push(index);
        self.blocks += 1;
        self.edge.blocks_since_noted += 1;
    }

    fn note_edge(&mut self) {
        if self.edge.blocks_since_noted < FRONTIER_BLOCKS {
            return;
        }
        self.edge.blocks_since_noted = 0;
        let position = Position(self.edge.frontier.size());
        let roots = self.edge.frontier.roots().iter();
        let roots: Vec<u8> = roots.flat_map(|hash| hash.0).collect();
        self.batch.insert(&keys::frontier(position), roots);
    }
}

fn insert_block(batch: &mut sled::Batch, first: Position, bytes: &[u8]) {
    let parts: Vec<&[u8]> = bytes.chunks(VALUE_BYTES_MAX - 2).collect();
    let count = u16::try_from(parts.len()).expect("a record is far smaller than 65,535 parts");
    for (number, part) in (0..count).zip(parts) {
        let mut value = if number == 0 {
            count.to_be_bytes().to_vec()
        } else {
            Vec::new()
        };
        value.extend_from_slice(part);
        batch.insert(&keys::block(first, number), value);
    }
}
