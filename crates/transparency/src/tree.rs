use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use event_log::{EventLog, ReadError, leaf_hash};
use proofs::{
    Hash, Node, ProofError, TILE_HEIGHT, TILE_WIDTH, Tile, TreeHead, prove_consistency,
    prove_inclusion, root_of_range, verify_consistency,
};
use types::Position;

use crate::edge::Edge;
use crate::tiles::Tiles;

/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;
/// Tiles that are kept in memory, of 8 KiB each.
const CACHED_MAX: usize = 64;

/// The tree over the records: full tiles on disk, the right edge in memory.
pub(crate) struct Tree {
    tiles: Tiles,
    edge: Edge,
    cached: HashMap<Tile, Arc<[Hash]>>,
    /// Full tiles that are not on disk yet.
    unwritten: Vec<(Tile, Vec<Hash>)>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("the tiles cannot be kept: {0}")]
    Io(#[from] io::Error),
    /// A tile that should be there is not, or holds something else than the records say.
    #[error("the tiles are not those of the log: {0}")]
    Tiles(String),
}

impl Tree {
    /// The tree as far as its tiles are there: up to the last full tile of leaves.
    pub(crate) fn open(directory: &Path, head: u64) -> Result<Self, TreeError> {
        let tiles = Tiles::open(directory)?;
        let full = full_tiles(&tiles, head / TILE_WIDTH);
        let edge = edge_after(&tiles, full)?.unwrap_or_default();
        Ok(Self::with(tiles, edge))
    }

    /// The tree without any leaf, and without any tile.
    pub(crate) fn empty(directory: &Path) -> Result<Self, TreeError> {
        let tiles = Tiles::open(directory)?;
        tiles.clear()?;
        Ok(Self::with(tiles, Edge::default()))
    }

    fn with(tiles: Tiles, edge: Edge) -> Self {
        Self {
            tiles,
            edge,
            cached: HashMap::new(),
            unwritten: Vec::new(),
        }
    }

    pub(crate) fn head(&self) -> TreeHead {
        self.edge.head()
    }

    /// Takes up the records of about one piece of the log, up to `head` at most, and says whether that was
    /// reached. The tiles that are full then are on disk when it returns.
    pub(crate) fn read_on(
        &mut self,
        log: &dyn EventLog,
        head: Position,
    ) -> Result<bool, TreeError> {
        // Those that could not be written the last time come first, so that there are never many.
        self.write_full()?;
        let next = Position(self.edge.size() + 1);
        if next > head {
            return Ok(true);
        }
        for raw in log.read(next, PIECE_BYTES)? {
            let block = raw.decode()?;
            let positions = block.header().first.0..;
            for (position, record) in positions.zip(block.record_bytes()) {
                if position == self.edge.size() + 1 && position <= head.0 {
                    let unwritten = &mut self.unwritten;
                    let keep = &mut |tile, hashes| {
                        unwritten.push((tile, hashes));
                        Ok::<(), TreeError>(())
                    };
                    self.edge.push(leaf_hash(record), keep)?;
                }
            }
        }
        if self.edge.size() < next.0 {
            return Err(ReadError::damaged(next, "the log ends before its head").into());
        }
        self.write_full()?;
        Ok(self.edge.size() == head.0)
    }

    fn write_full(&mut self) -> io::Result<()> {
        if !self.unwritten.is_empty() {
            self.tiles.write_full(&self.unwritten)?;
            self.unwritten.clear();
        }
        Ok(())
    }

    /// The root of the tree of the first `size` leaves, which is not believed before it is shown to be the
    /// beginning of the whole.
    pub(crate) fn head_at(&mut self, size: u64) -> Result<TreeHead, TreeError> {
        let head = self.head();
        let root = root_of_range(0, size, &mut |node| self.node(node))?;
        let old = TreeHead { size, root };
        let proof = self.consistency(size, head.size)?;
        match verify_consistency(&old, &head, &proof) {
            Ok(()) => Ok(old),
            Err(error) => Err(TreeError::Tiles(error.to_string())),
        }
    }

    pub(crate) fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        let none = ProofError::NoSuchIndex { index, size };
        let proof = prove_inclusion(index, size, |node| self.node(node))?;
        proof.ok_or_else(|| TreeError::Tiles(none.to_string()))
    }

    pub(crate) fn consistency(&mut self, from: u64, to: u64) -> Result<Vec<Hash>, TreeError> {
        let none = ProofError::NoSuchSize { from, to };
        let proof = prove_consistency(from, to, |node| self.node(node))?;
        proof.ok_or_else(|| TreeError::Tiles(none.to_string()))
    }

    /// The hashes of a tile, if a tree of the size that this one has holds it.
    pub(crate) fn tile(&mut self, tile: Tile) -> Result<Option<Vec<Hash>>, TreeError> {
        if !tile.is_in(self.edge.size()) {
            return Ok(None);
        }
        let width = usize::from(tile.width);
        if let Some(hashes) = self.edge.tile(tile) {
            return Ok(hashes.get(..width).map(<[Hash]>::to_vec));
        }
        let full = self.full(Tile::full(tile.level, tile.index))?;
        Ok(full.get(..width).map(<[Hash]>::to_vec))
    }

    /// Has the tiles on disk that a checkpoint of this size needs besides the full ones.
    pub(crate) fn write_edge(&mut self, size: u64) -> Result<(), TreeError> {
        for tile in Tile::partial_of(size) {
            if let Some(hashes) = self.tile(tile)? {
                self.tiles.write_partial(tile, &hashes)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, node: Node) -> Result<Hash, TreeError> {
        if let Some(hash) = self.edge.node(node) {
            return Ok(hash);
        }
        let (tile, range) = Tile::of_node(node);
        let hashes = self.full(tile)?;
        Ok(Tile::root(&hashes[range]))
    }

    fn full(&mut self, tile: Tile) -> Result<Arc<[Hash]>, TreeError> {
        if let Some(cached) = self.cached.get(&tile) {
            return Ok(Arc::clone(cached));
        }
        if let Some((_, hashes)) = self.unwritten.iter().find(|it| it.0 == tile) {
            return Ok(hashes.as_slice().into());
        }
        let missing = || TreeError::Tiles(format!("{tile} is missing or too short"));
        let hashes: Arc<[Hash]> = self.tiles.read(tile)?.ok_or_else(missing)?.into();
        if self.cached.len() == CACHED_MAX {
            self.cached.clear();
        }
        self.cached.insert(tile, Arc::clone(&hashes));
        Ok(hashes)
    }
}

/// How many full tiles of leaves are there one after the other, of so many at most. They are written in
/// order, so that it need not be counted.
fn full_tiles(tiles: &Tiles, most: u64) -> u64 {
    let (mut there, mut missing) = (0, most + 1);
    while there + 1 < missing {
        let middle = there.midpoint(missing);
        if tiles.has(Tile::full(0, middle - 1)) {
            there = middle;
        } else {
            missing = middle;
        }
    }
    there
}

/// The right edge after so many full tiles of leaves; `None` if a tile that it takes is not there.
fn edge_after(tiles: &Tiles, full: u64) -> Result<Option<Edge>, TreeError> {
    let size = full * TILE_WIDTH;
    let mut levels = vec![Vec::new()];
    let mut below = full;
    for level in 1_u8.. {
        if below == 0 {
            break;
        }
        let mut row = Vec::new();
        for index in below - below % TILE_WIDTH..below {
            let Some(hashes) = tiles.read(Tile::full(level - 1, index))? else {
                return Ok(None);
            };
            row.push(Tile::root(&hashes));
        }
        levels.push(row);
        below /= TILE_WIDTH;
        debug_assert!(u32::from(level) < 64 / TILE_HEIGHT);
    }
    Ok(Edge::from_parts(size, levels))
}
