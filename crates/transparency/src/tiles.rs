use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use proofs::{Hash, Tile};

use crate::files::{Readable, beside, read, remove_if_there, replace_unsynced, write};

/// So many files are synced one by one; more with one sync of the whole file system.
const SYNCED_EACH_MAX: usize = 8;

/// The tiles as files.
pub(crate) struct Tiles {
    directory: PathBuf,
}

impl Tiles {
    /// Makes the directory, if it is not there.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    pub(crate) fn path(&self, tile: Tile) -> PathBuf {
        self.directory.join(tile.to_string())
    }

    /// The hashes of a tile; `None` if it is not there or not as long as it must be.
    pub(crate) fn read(&self, tile: Tile) -> io::Result<Option<Vec<Hash>>> {
        let bytes = read(&self.path(tile))?;
        Ok(bytes.and_then(|bytes| tile.hashes(&bytes)))
    }

    pub(crate) fn has(&self, tile: Tile) -> bool {
        let length = 32 * u64::from(tile.width);
        fs::metadata(self.path(tile)).is_ok_and(|it| it.len() == length)
    }

    /// Writes full tiles: each is there whole, and on disk, or not at all.
    pub(crate) fn write_full(&self, tiles: &[(Tile, Vec<Hash>)]) -> io::Result<()> {
        let mut directories = BTreeSet::new();
        let mut written = Vec::new();
        for (tile, hashes) in tiles {
            let path = self.path(*tile);
            let parent = path.parent().unwrap_or(&self.directory);
            fs::create_dir_all(parent)?;
            // Their names, and those of the directories above, are synced at the end.
            let ours = parent
                .ancestors()
                .take_while(|it| it.starts_with(&self.directory));
            directories.extend(ours.map(Path::to_owned));
            let new = beside(&path, "new");
            written.push(write(&new, &Tile::to_bytes(hashes), Readable::ByAll)?);
        }
        if written.len() > SYNCED_EACH_MAX {
            rustix::fs::syncfs(File::open(&self.directory)?)?;
        } else {
            written.iter().try_for_each(File::sync_all)?;
        }
        for (tile, _) in tiles {
            let path = self.path(*tile);
            fs::rename(beside(&path, "new"), &path)?;
            // Whoever wants the partial one takes the full one.
            remove_if_there(&beside(&path, "p"))?;
        }
        for directory in directories {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Writes the tiles at the edge that a checkpoint needs. They are not synced: a start writes them
    /// again.
    pub(crate) fn write_partial(&self, tile: Tile, hashes: &[Hash]) -> io::Result<()> {
        let path = self.path(tile);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        replace_unsynced(&path, &Tile::to_bytes(hashes))
    }

    /// Removes every tile.
    pub(crate) fn clear(&self) -> io::Result<()> {
        remove_if_there(&self.directory.join("tile"))
    }
}
