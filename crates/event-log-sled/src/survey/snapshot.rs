//! sled's snapshots: what its last open saw of the log.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::survey::message::{take, take_i64, take_varint};
use crate::survey::segment::Layout;
use crate::survey::{Oddity, Survey};

/// What sled's snapshot says of its last open.
pub(super) enum Remembered {
    /// There is none: sled never opened a store that held something.
    Nothing,
    /// There is one that cannot be trusted.
    Unknown,
    Open(LastOpen),
}

/// How the segments were when sled opened the store for the last time: it writes the snapshot
/// before it makes all segments zero that the snapshot does not use (its own `snapshot.rs`,
/// `advance_snapshot`; `segment.rs`, `initialize_from_snapshot`).
pub(super) struct LastOpen {
    pub(super) stable: u64,
    /// Index and LSN of the segment that sled went on with.
    pub(super) active: Option<(u64, u64)>,
    /// LSNs of the segments in use, by index.
    pub(super) used: BTreeMap<u64, u64>,
    /// How many pages there were: all that have lower numbers.
    pub(super) pages: u64,
}

impl LastOpen {
    /// The LSN of the first segment that was begun after the open (`Snapshot::recovered_coords`).
    pub(super) fn next_lsn(&self, layout: Layout) -> u64 {
        match self.active {
            Some((_, lsn)) => lsn.saturating_add(layout.segment_size),
            None => self
                .stable
                .checked_next_multiple_of(layout.segment_size)
                .unwrap_or(u64::MAX),
        }
    }
}

/// sled uses the snapshot with the last name, and takes one that it did not finish for one as well.
pub(super) fn look_at_snapshots(
    survey: &mut Survey,
    directory: &Path,
    layout: Layout,
) -> io::Result<Remembered> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("snap.") && !text.ends_with(".in___motion") {
            names.push(PathBuf::from(name));
        }
    }
    names.sort();
    let mut remembered = Remembered::Nothing;
    for name in names {
        let Some(bytes) = survey.read(directory, &name)? else {
            continue;
        };
        remembered = match read_snapshot(&bytes, layout) {
            Ok(open) => Remembered::Open(open),
            Err(what) => {
                survey.add(name, 0, what);
                Remembered::Unknown
            }
        };
    }
    Ok(remembered)
}

fn read_snapshot(bytes: &[u8], layout: Layout) -> Result<LastOpen, Oddity> {
    let parts = bytes
        .split_last_chunk::<4>()
        .and_then(|(rest, checksum)| Some((rest.split_last_chunk::<8>()?, checksum)));
    let Some(((table, length), checksum)) = parts else {
        return Err(Oddity::SnapshotChecksum);
    };
    let is_whole = u64::from_le_bytes(*length) == table.len() as u64
        && u32::from_le_bytes(*checksum) == crc32fast::hash(table);
    if !is_whole {
        return Err(Oddity::SnapshotChecksum);
    }
    read_page_table(table, layout).ok_or(Oddity::SnapshotContent)
}

/// As in `serialization.rs`: stable LSN, active segment, then for every page its place or places.
fn read_page_table(mut table: &[u8], layout: Layout) -> Option<LastOpen> {
    // Zero stands for none, and nothing is written then; else the value is one less.
    let stable = u64::try_from(take_i64(&mut table)?).ok()?.checked_sub(1)?;
    let mut used = BTreeMap::new();
    let active = match take_varint(&mut table)?.checked_sub(1) {
        Some(offset) if offset % layout.segment_size == 0 => {
            let (index, lsn) = (offset / layout.segment_size, layout.segment_lsn(stable));
            used.insert(index, lsn);
            Some((index, lsn))
        }
        Some(_) => return None,
        None => None,
    };
    let mut pages = 0;
    while !table.is_empty() {
        pages += 1;
        let places = take(&mut table, 1)?[0];
        for _ in 0..places.max(1) {
            let lsn = u64::try_from(take_i64(&mut table)?).ok()?;
            let is_blob = match take(&mut table, 1)?[0] {
                0 => false,
                1 => true,
                _ => return None,
            };
            let offset = take_varint(&mut table)?;
            if is_blob {
                take_i64(&mut table)?;
            }
            if places > 0 {
                // The size on disk, which a free page does not have.
                take_varint(&mut table)?;
            }
            let index = offset / layout.segment_size;
            let segment_lsn = layout.segment_lsn(lsn);
            let fits = lsn % layout.segment_size == offset % layout.segment_size
                && *used.entry(index).or_insert(segment_lsn) == segment_lsn;
            if !fits {
                return None;
            }
        }
    }
    Some(LastOpen {
        stable,
        active,
        used,
        pages,
    })
}
