//! Names in directories, which survive a power cut only when the directory itself is synced.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Copies a directory with everything in it; the copy is not synced.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

pub(crate) fn remove_if_there(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Has every file of a directory on disk, and then their names.
pub(crate) fn sync_with_files(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_with_files(&path)?;
        } else {
            File::open(path)?.sync_all()?;
        }
    }
    sync_directory(directory)
}

/// Makes a directory with all those above it, whose names are on disk afterwards.
pub(crate) fn create_synced(directory: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(directory)?;
    let there = absolute.ancestors().take_while(|path| !path.exists());
    let made: Vec<&Path> = there.collect();
    fs::create_dir_all(&absolute)?;
    for path in made.into_iter().rev() {
        if let Some(parent) = path.parent() {
            sync_directory(parent)?;
        }
    }
    Ok(())
}

/// Moves something out of the way, into `aside/` under a name that is free. Nothing is deleted.
pub(crate) fn move_aside(data: &Path, what: &Path) -> io::Result<PathBuf> {
    let aside = data.join("aside");
    fs::create_dir_all(&aside)?;
    let name = what.file_name().unwrap_or_default().to_string_lossy();
    let free = (0..10_000)
        .map(|n| aside.join(format!("{name}.{n}")))
        .find(|path| !path.exists());
    let target = free.ok_or_else(|| io::Error::other("`aside/` is full"))?;
    fs::rename(what, &target)?;
    sync_directory(&aside)?;
    sync_directory(data)?;
    Ok(target)
}

/// How many files lie below `directory`; none if it is not there.
pub(crate) fn count_files(directory: &Path) -> io::Result<u64> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(entries.count() as u64),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// sled's snapshots of its page table in this directory.
pub(crate) fn snapshots(log: &Path) -> io::Result<Vec<PathBuf>> {
    let mut snapshots = Vec::new();
    for entry in fs::read_dir(log)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            snapshots.push(entry.path());
        }
    }
    Ok(snapshots)
}
