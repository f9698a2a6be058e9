//! Keys of the one tree: a byte for the kind, then a big-endian position, so that they sort.

use types::Position;

/// A part of a block: first position, then the number of the part.
const BLOCK: u8 = b'B';
/// The tree's right edge after a position, so that opening needs to hash few records again.
const FRONTIER: u8 = b'F';
/// What a block holds, for the index in memory.
const INDEX: u8 = b'I';
/// With what the store was made.
pub(crate) const SETTINGS: &[u8] = b"Msettings";

pub(crate) fn block(first: Position, part: u16) -> [u8; 11] {
    let mut key = [BLOCK; 11];
    key[1..9].copy_from_slice(&first.0.to_be_bytes());
    key[9..].copy_from_slice(&part.to_be_bytes());
    key
}

pub(crate) fn index(first: Position) -> [u8; 9] {
    with_position(INDEX, first)
}

pub(crate) fn frontier(position: Position) -> [u8; 9] {
    with_position(FRONTIER, position)
}

fn with_position(kind: u8, position: Position) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&position.0.to_be_bytes());
    key
}

/// First position and part of a block's key.
pub(crate) fn parse_block(key: &[u8]) -> Option<(Position, u16)> {
    let key: &[u8; 11] = key.try_into().ok()?;
    let (first, part) = (key[1..9].try_into().ok()?, key[9..].try_into().ok()?);
    (key[0] == BLOCK).then(|| {
        (
            Position(u64::from_be_bytes(first)),
            u16::from_be_bytes(part),
        )
    })
}

/// The position in any other key.
pub(crate) fn parse_position(key: &[u8]) -> Option<Position> {
    let key: &[u8; 9] = key.try_into().ok()?;
    Some(Position(u64::from_be_bytes(key[1..].try_into().ok()?)))
}
