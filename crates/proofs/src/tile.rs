//! Tiles of the tree as files, in the layout of `c2sp.org/tlog-tiles`.

use std::fmt;
use std::str::FromStr;

use crate::{Hash, Node, node_hash};

/// Levels of the tree that one tile spans.
pub const TILE_HEIGHT: u32 = 8;
/// Hashes of a full tile.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
/// Tiles above have no place in a tree of which the size fits 64 bits; the layout allows for more.
const LEVEL_MAX: u8 = 63;

/// Hashes of neighbouring subtrees of `256^level` leaves each, `width` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    pub level: u8,
    pub index: u64,
    /// 1 to 256; below 256 the tile is partial.
    pub width: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the path of a tile")]
pub struct InvalidTile;

impl Tile {
    pub fn full(level: u8, index: u64) -> Self {
        let width = 1 << TILE_HEIGHT;
        Self {
            level,
            index,
            width,
        }
    }

    pub fn is_full(self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// The tiles that hold the right edge of a tree of this size and are not full, from the leaves up.
    pub fn partial_of(size: u64) -> Vec<Self> {
        let levels = (0..8_u8).map(|level| (level, size >> (TILE_HEIGHT * u32::from(level))));
        levels
            .filter(|(_, hashes)| hashes % TILE_WIDTH != 0)
            .map(|(level, hashes)| Self {
                level,
                index: hashes / TILE_WIDTH,
                width: u16::try_from(hashes % TILE_WIDTH).unwrap_or_default(),
            })
            .collect()
    }

    /// Whether a tree of this size has the tile.
    pub fn is_in(self, size: u64) -> bool {
        let shift = TILE_HEIGHT * u32::from(self.level);
        let hashes = size.checked_shr(shift).unwrap_or_default();
        let end = self.index.checked_mul(TILE_WIDTH);
        let end = end.and_then(|start| start.checked_add(u64::from(self.width)));
        end.is_some_and(|end| end <= hashes)
    }

    /// The tile, as if it were full, that holds what it takes to know the hash of a complete subtree,
    /// and which of its hashes those are.
    pub fn of_node(node: Node) -> (Self, std::ops::Range<usize>) {
        let level = node.level / TILE_HEIGHT;
        let within = node.level % TILE_HEIGHT;
        let first = node.index << within;
        let start = usize::try_from(first % TILE_WIDTH).unwrap_or_default();
        let tile = Self::full(u8::try_from(level).unwrap_or(LEVEL_MAX), first / TILE_WIDTH);
        (tile, start..start + (1 << within))
    }

    /// The place of one hash of a tile: level and index of its subtree.
    pub fn node(self, place: u16) -> Node {
        Node {
            level: TILE_HEIGHT * u32::from(self.level),
            index: self.index * TILE_WIDTH + u64::from(place),
        }
    }

    /// The hash of a complete subtree from some neighbouring hashes of a tile, of which there must be a
    /// power of two.
    pub fn root(hashes: &[Hash]) -> Hash {
        let mut row = hashes.to_vec();
        while row.len() > 1 {
            row = row
                .chunks(2)
                .map(|pair| node_hash(pair[0], pair[pair.len() - 1]))
                .collect();
        }
        row.first().copied().unwrap_or_else(Hash::of_nothing)
    }

    /// The hashes one after the other, as a tile is stored and sent.
    pub fn to_bytes(hashes: &[Hash]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| hash.0).collect()
    }

    /// The hashes of a tile's bytes; `None` if they are not as many as the tile has.
    pub fn hashes(self, bytes: &[u8]) -> Option<Vec<Hash>> {
        let (hashes, rest) = bytes.as_chunks::<{ Hash::BYTES }>();
        let whole = rest.is_empty() && hashes.len() == usize::from(self.width);
        whole.then(|| hashes.iter().copied().map(Hash).collect())
    }
}

/// `tile/<level>/<index>`, with `.p/<width>` if it is partial.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}", self.level)?;
        let mut thousands = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            thousands.push(rest % 1000);
            rest /= 1000;
        }
        for (place, part) in thousands.iter().enumerate().rev() {
            let more = if place > 0 { "x" } else { "" };
            write!(f, "/{more}{part:03}")?;
        }
        if self.is_full() {
            Ok(())
        } else {
            write!(f, ".p/{}", self.width)
        }
    }
}

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(path: &str) -> Result<Self, InvalidTile> {
        let tile = parse(path).ok_or(InvalidTile)?;
        // Each tile has one path.
        if tile.to_string() == path {
            Ok(tile)
        } else {
            Err(InvalidTile)
        }
    }
}

fn parse(path: &str) -> Option<Tile> {
    let path = path.strip_prefix("tile/")?;
    let (path, width) = match path.split_once(".p/") {
        None => (path, 256),
        Some((path, width)) => (path, number(width).filter(|width| *width < 256)?),
    };
    let (level, index) = path.split_once('/')?;
    let level = u8::try_from(number(level)?).ok()?;
    let mut value = 0_u64;
    for part in index.split('/') {
        let digits = part.strip_prefix('x').unwrap_or(part);
        if digits.len() != 3 {
            return None;
        }
        value = value.checked_mul(1000)?.checked_add(number(digits)?)?;
    }
    (level <= LEVEL_MAX && width > 0).then_some(Tile {
        level,
        index: value,
        width: u16::try_from(width).ok()?,
    })
}

fn number(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    all.then(|| digits.parse().ok())?
}
