use std::fs;
use std::path::Path;

use event_log::{EventLog as _, Labels, ReadError, verify};
use types::Position;

use crate::directory::{remove_if_there, sync_directory, sync_with_files};
use crate::open::log_directory;
use crate::{OpenError, SledLog, SledLogOptions};

/// Records rewritten in one commit.
const GROUP_RECORDS: usize = 1_024;
const GROUP_BYTES: usize = 256 * 1024;
const PIECE_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub events: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the rewritten log is not the same: {0}")]
    Different(String),
    #[error("the rewritten log cannot be put in place: {0}")]
    Io(#[from] std::io::Error),
}

/// Rewrites the log into a fresh store, in which small commits share blocks, and puts it in the
/// place of the old one. What labels a record has follows from its metadata. Every record stays what it was, byte for byte, and so does the root.
pub fn compact(
    data: &Path,
    labels_of: fn(&[u8]) -> Labels,
    progress: &mut dyn FnMut(Position),
) -> Result<Compacted, CompactError> {
    let old = SledLog::open(data, &SledLogOptions::default())?;
    let bytes_before = old.stats()?.disk_bytes;
    let workshop = data.join("log.compact");
    remove_if_there(&workshop)?;
    let new = SledLog::open(&workshop, &SledLogOptions::default())?;
    rewrite(&old, &new, labels_of, progress)?;
    if new.head() != old.head() {
        return Err(CompactError::Different("its root differs".to_owned()));
    }
    if let Some(damage) = verify(&new, &mut |_| ()).damage {
        return Err(CompactError::Different(damage.what));
    }
    let compacted = Compacted {
        events: new.head().position.0,
        bytes_before,
        bytes_after: new.stats()?.disk_bytes,
    };
    drop(new);
    // The data directory stays locked until the new log is in place.
    old.replace_files(|| {
        let done = data.join("log.compacted");
        remove_if_there(&done)?;
        // sled does not sync all of its files, and the old log is about to go.
        sync_with_files(&log_directory(&workshop))?;
        fs::rename(log_directory(&workshop), &done)?;
        sync_directory(data)?;
        let aside = data.join("log.old");
        remove_if_there(&aside)?;
        fs::rename(log_directory(data), &aside)?;
        fs::rename(&done, log_directory(data))?;
        sync_directory(data)?;
        remove_if_there(&aside)?;
        remove_if_there(&workshop)
    })?;
    Ok(compacted)
}

fn rewrite(
    old: &SledLog,
    new: &SledLog,
    labels_of: fn(&[u8]) -> Labels,
    progress: &mut dyn FnMut(Position),
) -> Result<(), CompactError> {
    let head = old.head().position;
    let mut next = Position(1);
    let (mut group, mut bytes) = (Vec::new(), 0);
    let flush = |group: &mut Vec<Vec<u8>>| {
        new.append_stored(group, labels_of)
            .map_err(|error| CompactError::Different(error.to_string()))?;
        group.clear();
        Ok::<_, CompactError>(())
    };
    while next <= head {
        for raw in old.read(next, PIECE_BYTES)? {
            let block = raw.decode()?;
            for record in block.record_bytes() {
                bytes += record.len();
                group.push(record.to_owned());
                if group.len() == GROUP_RECORDS || bytes >= GROUP_BYTES {
                    flush(&mut group)?;
                    bytes = 0;
                }
            }
            next = block.header().last().next();
        }
        progress(Position(next.0 - 1));
    }
    flush(&mut group)
}
