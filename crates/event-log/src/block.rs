//! A block: the records that one group, or a part of a large one, wrote together.
//!
//! ```text
//! format         1 byte, 1
//! codec          1 byte: how payloads are encoded; 2 = bincode 1.3 with varints, personal values sealed
//! flags          1 byte: bit 0 = the body is compressed with LZ4
//! checksum       4 bytes, CRC-32 over all else
//! first position 8 bytes
//! count          4 bytes
//! body length    4 bytes, uncompressed
//! root before    32 bytes: root of the tree over all records before this block
//! root after     32 bytes: root of the tree with this block's records
//! record lengths count × varint
//! body           the records, one after the other
//! ```
//! Numbers are big-endian.

use types::Position;

use crate::record::{Reader, put_varint};
use crate::{Frontier, Hash, NewRecord, ReadError, Record, encode, leaf_hash};

const FORMAT: u8 = 1;
const CODEC_BINCODE: u8 = 2;
const COMPRESSED: u8 = 1;
const HEADER_BYTES: usize = 87;
const CHECKSUM: std::ops::Range<usize> = 3..7;

/// The most that a block's body may claim to hold; a corrupt length must not take all memory.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The records of one block, uncompressed. A larger record has a block to itself.
const FILLED_BYTES_MAX: usize = 22 * 1024;

/// The encoded records that the next block takes of a group: at least one, unless none is left.
pub fn fill(first: Position, rest: &[NewRecord]) -> Vec<Vec<u8>> {
    let encoded = (first.0..).zip(rest).map(|(position, record)| {
        let mut bytes = Vec::with_capacity(record.payload.len() + record.metadata.len() + 64);
        encode(record, Position(position), &mut bytes);
        bytes
    });
    fill_encoded(encoded)
}

/// The same of records that are encoded already.
pub fn fill_encoded(rest: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for record in rest {
        bytes += record.len();
        if bytes > FILLED_BYTES_MAX && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    records
}

/// A block as stored, cheap to hand to another thread for decoding.
#[derive(Clone, Debug)]
pub struct RawBlock {
    header: BlockHeader,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    pub first: Position,
    /// At least 1.
    pub count: u32,
    pub root_before: Hash,
    pub root_after: Hash,
    body_bytes: u32,
    compressed: bool,
}

impl BlockHeader {
    pub fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }
}

/// A block whose checksum is right, ready to be read.
#[derive(Debug)]
pub struct Block {
    header: BlockHeader,
    /// Where each record ends in the body.
    ends: Vec<usize>,
    body: Vec<u8>,
}

impl RawBlock {
    /// Puts encoded records into a block and takes them up into the tree.
    pub fn encode(first: Position, records: &[Vec<u8>], frontier: &mut Frontier) -> Self {
        let root_before = frontier.root();
        let mut lengths = Vec::with_capacity(2 * records.len());
        let mut body = Vec::with_capacity(records.iter().map(Vec::len).sum());
        for record in records {
            frontier.append(leaf_hash(record));
            put_varint(&mut lengths, record.len() as u64);
            body.extend_from_slice(record);
        }
        let number = |value: usize| u32::try_from(value).expect("groups are far below 4 GiB");
        let mut header = BlockHeader {
            first,
            count: number(records.len()),
            root_before,
            root_after: frontier.root(),
            body_bytes: number(body.len()),
            compressed: false,
        };
        // One record alone seldom repeats itself, and a reader is then spared the work.
        if records.len() > 1 {
            let compressed = lz4_flex::block::compress(&body);
            if compressed.len() < body.len() {
                header.compressed = true;
                body = compressed;
            }
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + lengths.len() + body.len());
        bytes.extend([
            FORMAT,
            CODEC_BINCODE,
            if header.compressed { COMPRESSED } else { 0 },
        ]);
        bytes.extend([0; 4]);
        bytes.extend(first.0.to_be_bytes());
        bytes.extend(header.count.to_be_bytes());
        bytes.extend(header.body_bytes.to_be_bytes());
        bytes.extend(header.root_before.0);
        bytes.extend(header.root_after.0);
        bytes.extend_from_slice(&lengths);
        bytes.extend_from_slice(&body);
        let checksum = checksum(&bytes);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        Self { header, bytes }
    }

    /// Reads what a store gave back. `expected` is where the store says that it begins.
    pub fn from_bytes(expected: Position, bytes: Vec<u8>) -> Result<Self, ReadError> {
        let damaged = |what: &str| ReadError::damaged(expected, what);
        if bytes.len() < HEADER_BYTES {
            return Err(damaged("the block is shorter than its header"));
        }
        if bytes[0] != FORMAT {
            return Err(damaged(
                "the block has a format that this version does not know",
            ));
        }
        if bytes[1] != CODEC_BINCODE {
            return Err(damaged(
                "the block has a codec that this version does not know",
            ));
        }
        if bytes[2] & !COMPRESSED != 0 {
            return Err(damaged(
                "the block has a flag that this version does not know",
            ));
        }
        let header = Self::header_of(&bytes).map_err(damaged)?;
        if header.first != expected {
            return Err(damaged("the block belongs to another position"));
        }
        Ok(Self { header, bytes })
    }

    fn header_of(bytes: &[u8]) -> Result<BlockHeader, &'static str> {
        let mut reader = Reader(&bytes[CHECKSUM.end..]);
        let eight = <[u8; 8]>::try_from(reader.take(8)?).map_err(|_| "too short")?;
        let mut four = || -> Result<u32, &'static str> {
            let bytes = <[u8; 4]>::try_from(reader.take(4)?).map_err(|_| "too short")?;
            Ok(u32::from_be_bytes(bytes))
        };
        let (count, body_bytes) = (four()?, four()?);
        let mut root = || -> Result<Hash, &'static str> {
            Ok(Hash(reader.take(32)?.try_into().map_err(|_| "too short")?))
        };
        let (root_before, root_after) = (root()?, root()?);
        let first = Position(u64::from_be_bytes(eight));
        if count == 0 || first.0.checked_add(u64::from(count)).is_none() {
            return Err("the block claims an impossible number of records");
        }
        if body_bytes as usize > BODY_BYTES_MAX {
            return Err("the block claims an impossible length");
        }
        let compressed = bytes[2] & COMPRESSED != 0;
        Ok(BlockHeader {
            first,
            count,
            root_before,
            root_after,
            body_bytes,
            compressed,
        })
    }

    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks the checksum and makes the records readable.
    pub fn decode(&self) -> Result<Block, ReadError> {
        let damaged = |what: &str| ReadError::damaged(self.header.first, what);
        if checksum(&self.bytes).to_be_bytes() != self.bytes[CHECKSUM] {
            return Err(damaged("the block does not match its checksum"));
        }
        let mut reader = Reader(&self.bytes[HEADER_BYTES..]);
        let mut ends = Vec::new();
        let mut end = 0_usize;
        for _ in 0..self.header.count {
            let length = reader.varint().map_err(damaged)?;
            end = usize::try_from(length)
                .ok()
                .and_then(|length| end.checked_add(length))
                .filter(|end| *end <= self.header.body_bytes as usize)
                .ok_or_else(|| damaged("a record's length is out of range"))?;
            ends.push(end);
        }
        let body_bytes = self.header.body_bytes as usize;
        let body = if self.header.compressed {
            lz4_flex::block::decompress(reader.0, body_bytes)
                .map_err(|error| damaged(&format!("the block does not decompress: {error}")))?
        } else {
            reader.0.to_vec()
        };
        if body.len() != body_bytes || end != body_bytes {
            return Err(damaged("the block is not as long as it claims"));
        }
        Ok(Block {
            header: self.header,
            ends,
            body,
        })
    }
}

impl Block {
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// The bytes of each record, as the tree covers them.
    pub fn record_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.body[start..*end])
    }

    pub fn records(&self) -> impl Iterator<Item = Result<Record<'_>, ReadError>> {
        (self.header.first.0..)
            .map(Position)
            .zip(self.record_bytes())
            .map(|(position, bytes)| decode_at(position, bytes))
    }

    pub fn record(&self, position: Position) -> Result<Record<'_>, ReadError> {
        let place = position.0.checked_sub(self.header.first.0);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let Some((place, end)) = place.and_then(|place| Some((place, *self.ends.get(place)?)))
        else {
            let what = "the block does not hold this position";
            return Err(ReadError::damaged(position, what));
        };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        decode_at(position, &self.body[start..end])
    }
}

fn decode_at(position: Position, bytes: &[u8]) -> Result<Record<'_>, ReadError> {
    let record = Record::decode(bytes).map_err(|what| ReadError::damaged(position, what))?;
    if record.position != position {
        let what = "the record belongs to another position";
        return Err(ReadError::damaged(position, what));
    }
    Ok(record)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..CHECKSUM.start]);
    hasher.update(&bytes[CHECKSUM.end..]);
    hasher.finalize()
}
