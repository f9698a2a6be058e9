use proofs::{Hash, Node, TILE_HEIGHT, TILE_WIDTH, Tile, TreeHead, root_of_range};

/// The tiles at the right edge of the tree, one for each level: all that it takes to append, and to
/// know the root.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edge {
    size: u64,
    /// From the leaves up; each has less than 256 hashes.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// `None` unless each level has as many hashes as a tree of that size.
    pub(crate) fn from_parts(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = (0..).zip(&levels).all(|(level, hashes)| {
            let all = size.checked_shr(TILE_HEIGHT * level).unwrap_or_default();
            hashes.len() as u64 == all % TILE_WIDTH
        });
        fits.then_some(Self { size, levels })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; a tile that is full then is handed over.
    pub(crate) fn push<E>(
        &mut self,
        leaf: Hash,
        full: &mut impl FnMut(Tile, Vec<Hash>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            if (row.len() as u64) < TILE_WIDTH {
                break;
            }
            let row = std::mem::take(row);
            hash = Tile::root(&row);
            let level = u8::try_from(level).unwrap_or(u8::MAX);
            let index = (self.size >> (TILE_HEIGHT * (u32::from(level) + 1))) - 1;
            full(Tile::full(level, index), row)?;
        }
        Ok(())
    }

    pub(crate) fn head(&self) -> TreeHead {
        // The largest complete subtrees all lie in tiles that are not full.
        let node = &mut |node: Node| self.node(node).ok_or(());
        TreeHead {
            size: self.size,
            root: root_of_range(0, self.size, node).unwrap_or_else(|()| Hash::of_nothing()),
        }
    }

    /// The hash of a complete subtree, if its tile is at the edge.
    pub(crate) fn node(&self, node: Node) -> Option<Hash> {
        let (tile, range) = Tile::of_node(node);
        let hashes = self.tile(tile)?.get(range)?;
        Some(Tile::root(hashes))
    }

    /// The hashes of this tile as far as there are any, if it is at the edge.
    pub(crate) fn tile(&self, tile: Tile) -> Option<&[Hash]> {
        let above = TILE_HEIGHT * (u32::from(tile.level) + 1);
        let index = self.size.checked_shr(above).unwrap_or_default();
        let row = self.levels.get(usize::from(tile.level))?;
        (index == tile.index).then_some(row.as_slice())
    }
}
