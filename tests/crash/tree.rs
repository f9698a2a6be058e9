//! A directory with everything in it, in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Paths are relative to the root, which is not itself an entry. Parents come before children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Directory,
    File(Vec<u8>),
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let entry = entry?;
                let path = directory.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    waiting.push(path.clone());
                    tree.entries.insert(path, Entry::Directory);
                } else {
                    let content = fs::read(entry.path())
                        .with_context(|| format!("reading {}", path.display()))?;
                    tree.entries.insert(path, Entry::File(content));
                }
            }
        }
        Ok(tree)
    }

    pub(crate) fn write(&self, root: &Path) -> Result<()> {
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory => fs::create_dir_all(root.join(path))?,
                Entry::File(content) => fs::write(root.join(path), content)?,
            }
        }
        Ok(())
    }

    pub(crate) fn file(&self, path: &Path) -> Option<&[u8]> {
        match self.entries.get(path) {
            Some(Entry::File(content)) => Some(content),
            Some(Entry::Directory) | None => None,
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File(content) => Some((path.as_path(), content.as_slice())),
            Entry::Directory => None,
        })
    }

    /// Where two trees differ, for messages.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let mut paths: Vec<_> = self.entries.keys().chain(other.entries.keys()).collect();
        paths.sort();
        paths.dedup();
        let mut differences = Vec::new();
        for path in paths {
            let size = |tree: &Self| match tree.entries.get(path) {
                None => "absent".to_owned(),
                Some(Entry::Directory) => "directory".to_owned(),
                Some(Entry::File(content)) => format!("{} bytes", content.len()),
            };
            if self.entries.get(path) != other.entries.get(path) {
                let first = match (self.file(path), other.file(path)) {
                    (Some(one), Some(two)) => one.iter().zip(two).position(|(a, b)| a != b),
                    _ => None,
                };
                differences.push(format!(
                    "{}: {} and {}, first different byte {first:?}",
                    path.display(),
                    size(self),
                    size(other)
                ));
            }
        }
        differences
    }
}
