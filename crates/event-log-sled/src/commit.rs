//! From records to one batch.

use event_log::{BlockIndex, Frontier, NewRecord, RawBlock, encode};
use types::Position;

use crate::keys;

/// The most that one value holds, in bytes, parts of larger blocks included: sled puts up to
/// sixteen values into a page, and a page must stay below a quarter of a segment.
const VALUE_BYTES_MAX: usize = 24 * 1024;

/// Records of one block, uncompressed. A larger record has a block to itself.
const BLOCK_BODY_BYTES_MAX: usize = 22 * 1024;

/// How many blocks are written between two notes of the tree's right edge; opening hashes at most
/// the records of so many blocks again.
const FRONTIER_BLOCKS: u32 = 256;

/// What a store was made with. A store made with other settings is not opened.
pub(crate) const SETTINGS: &str = "format 1, codec 1, segment 2097152, value 24576";

/// The tree with what it takes to write on.
#[derive(Clone, Default)]
pub(crate) struct Edge {
    pub(crate) frontier: Frontier,
    pub(crate) blocks_since_noted: u32,
}

/// One group, ready to be written in one batch.
pub(crate) struct Commit {
    pub(crate) batch: sled::Batch,
    pub(crate) indexes: Vec<BlockIndex>,
    pub(crate) edge: Edge,
    pub(crate) blocks: u64,
}

impl Commit {
    pub(crate) fn of(group: &[NewRecord], mut edge: Edge) -> Self {
        let mut batch = sled::Batch::default();
        let mut indexes = Vec::new();
        let mut rest = group;
        while !rest.is_empty() {
            let first = Position(edge.frontier.size() + 1);
            let records = take_block(rest, first);
            let (taken, later) = rest.split_at(records.len());
            let block = RawBlock::encode(first, &records, &mut edge.frontier);
            insert_block(&mut batch, first, block.as_bytes());
            let index = BlockIndex::of(first, taken);
            batch.insert(&keys::index(first), index.as_bytes());
            indexes.push(index);
            rest = later;
        }
        edge.blocks_since_noted += u32::try_from(indexes.len()).unwrap_or(u32::MAX);
        if edge.blocks_since_noted >= FRONTIER_BLOCKS {
            edge.blocks_since_noted = 0;
            let position = Position(edge.frontier.size());
            let roots: Vec<u8> = edge
                .frontier
                .roots()
                .iter()
                .flat_map(|hash| hash.0)
                .collect();
            batch.insert(&keys::frontier(position), roots);
        }
        let blocks = indexes.len() as u64;
        Self {
            batch,
            indexes,
            edge,
            blocks,
        }
    }
}

/// The encoded records that the next block takes: at least one.
fn take_block(rest: &[NewRecord], first: Position) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for (position, record) in (first.0..).zip(rest) {
        let mut encoded = Vec::with_capacity(record.payload.len() + record.metadata.len() + 64);
        encode(record, Position(position), &mut encoded);
        bytes += encoded.len();
        if bytes > BLOCK_BODY_BYTES_MAX && !records.is_empty() {
            break;
        }
        records.push(encoded);
    }
    records
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
