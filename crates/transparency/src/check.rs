use std::fs;
use std::path::{Path, PathBuf};

use proofs::{Hash, Tile};

use crate::edge::Edge;
use crate::tiles::Tiles;

/// Compares the tiles on disk with leaves that are read from the records.
pub struct TileCheck {
    tiles: Option<Tiles>,
    edge: Edge,
    checked: u64,
    damaged: Option<TileDamage>,
}

/// A tile that does not hold what the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileDamage {
    pub path: PathBuf,
    pub what: &'static str,
}

impl TileCheck {
    /// Of the tiles in this directory; of none if it is not there.
    pub fn of(directory: &Path) -> Self {
        let is_there = fs::exists(directory.join("tile")).unwrap_or(false);
        Self {
            tiles: is_there.then(|| Tiles::open(directory).ok()).flatten(),
            edge: Edge::default(),
            checked: 0,
            damaged: None,
        }
    }

    pub fn leaf(&mut self, leaf: Hash) {
        let Self {
            tiles: Some(tiles),
            edge,
            checked,
            damaged,
        } = self
        else {
            return;
        };
        let compare = &mut |tile: Tile, hashes: Vec<Hash>| {
            *checked += 1;
            let path = tiles.path(tile);
            let what = match fs::read(&path) {
                // One that is not there yet, or was removed, is made again.
                Err(_) => return Ok::<(), ()>(()),
                Ok(bytes) if bytes == Tile::to_bytes(&hashes) => return Ok(()),
                Ok(bytes) if tile.hashes(&bytes).is_none() => "it has another length",
                Ok(_) => "it holds other hashes than the records have",
            };
            damaged.get_or_insert(TileDamage { path, what });
            Ok(())
        };
        let _ = edge.push(leaf, compare);
    }

    /// Full tiles that were compared.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// The first that is wrong.
    pub fn damage(&self) -> Option<&TileDamage> {
        self.damaged.as_ref()
    }
}
