//! One snapshot.
//!
//! ```text
//! magic    8 bytes
//! length   4 bytes, big-endian: of the header
//! header   what it is of, and in which versions
//! checksum 4 bytes, CRC-32 over the header
//! chunks   the header again, so that it is protected as they are; then the state
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::thread;

use event_log::{Head, ReadError};
use events::codec::{Decoder, Encoder, from_bytes, to_bytes};
use serde::{Deserialize, Serialize};
use types::{Position, Timestamp};

use super::chunks::{CHUNKS_WAITING_MAX, ChunkCipher, ChunkReader, ChunkWriter, read_chunks};
use crate::replay::Rebuilt;

/// The last character is the version of the layout around the state.
const MAGIC: &[u8; 8] = b"MUSTERS1";
/// Bytes of a header; a corrupt length must not take all memory.
const HEADER_BYTES_MAX: u32 = 64 * 1024;

/// Why a snapshot cannot be used, or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("it is damaged, or cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it was written by another version of the software")]
    OtherVersion,
    #[error("it is past the head of the log, at position {0}")]
    PastTheHead(Position),
    #[error("at position {0} no block of the log ends, so it cannot be compared")]
    NoBlockEnds(Position),
    #[error("the log was another one at its position")]
    OtherLog,
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// What the state is of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) position: Position,
    /// Of the log's tree at the position.
    pub(super) root: [u8; 32],
    /// The time of the last event.
    pub(super) recorded_at: Timestamp,
    /// Names and versions of what the state consists of, in that order.
    versions: Vec<(String, u16)>,
}

impl Header {
    pub(super) fn of(rebuilt: &Rebuilt, head: Head) -> Self {
        Self {
            position: head.position,
            root: head.root.0,
            recorded_at: rebuilt.sequence.last_recorded_at,
            versions: versions(),
        }
    }
}

impl Header {
    /// By what the chunks of this snapshot are told from those of others, and of other epochs: no two states
    /// are of the same root.
    pub(super) fn label(&self, epoch: u32) -> [u8; 16] {
        let mut label = [0; 16];
        label[..12].copy_from_slice(&self.root[..12]);
        label[12..].copy_from_slice(&epoch.to_be_bytes());
        label
    }
}

fn versions() -> Vec<(String, u16)> {
    let nothing = Rebuilt::default();
    let parts = nothing.parts().into_iter();
    parts
        .map(|part| (part.name.to_owned(), part.version))
        .collect()
}

/// Writes the state and syncs it; how many bytes that took. Nothing if nobody wants it any more.
pub(super) fn write(
    path: &Path,
    header: &Header,
    label: [u8; 16],
    rebuilt: &Rebuilt,
    cipher: &dyn ChunkCipher,
    still_wanted: &dyn Fn() -> bool,
) -> Result<Option<u64>, SnapshotError> {
    let mut file = File::create(path)?;
    let bytes = to_bytes(header);
    let length = u32::try_from(bytes.len()).expect("a header is a few names");
    file.write_all(MAGIC)?;
    file.write_all(&length.to_be_bytes())?;
    file.write_all(&bytes)?;
    file.write_all(&crc32fast::hash(&bytes).to_be_bytes())?;
    let mut chunks = ChunkWriter::new(file, label, cipher, still_wanted);
    let written = save(header, rebuilt, &mut Encoder::new(&mut chunks));
    let finished = written.and_then(|()| chunks.finish());
    let file = match finished {
        Err(_) if !still_wanted() => return Ok(None),
        finished => finished?,
    };
    file.sync_all()?;
    Ok(Some(file.metadata()?.len()))
}

fn save(header: &Header, rebuilt: &Rebuilt, out: &mut Encoder<'_>) -> io::Result<()> {
    out.put(header)?;
    rebuilt.parts().iter().try_for_each(|part| (part.save)(out))
}

/// What the snapshot is of. Fails if it is not one that this version writes.
pub(super) fn read_header(path: &Path) -> Result<Header, SnapshotError> {
    header_of(&mut File::open(path)?)
}

fn header_of(file: &mut impl Read) -> Result<Header, SnapshotError> {
    let mut magic = [0; 8];
    file.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Err(SnapshotError::OtherVersion);
    }
    let mut number = [0; 4];
    file.read_exact(&mut number)?;
    let length = u32::from_be_bytes(number);
    if length > HEADER_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes)?;
    file.read_exact(&mut number)?;
    if u32::from_be_bytes(number) != crc32fast::hash(&bytes) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its header is damaged").into());
    }
    let header: Header = from_bytes(&bytes).map_err(|_| SnapshotError::OtherVersion)?;
    if header.versions != versions() {
        return Err(SnapshotError::OtherVersion);
    }
    Ok(header)
}

/// Reads the state. Chunks are read and decompressed on a core of their own.
pub(super) fn read(path: &Path, cipher: &dyn ChunkCipher) -> Result<Rebuilt, SnapshotError> {
    let mut file = BufReader::new(File::open(path)?);
    let header = header_of(&mut file)?;
    let (chunks, waiting) = sync_channel(CHUNKS_WAITING_MAX);
    let label = header.label(cipher.epoch());
    thread::scope(|scope| {
        scope.spawn(move || read_chunks(file, label, cipher, &chunks));
        let mut reader = ChunkReader::new(waiting);
        let rebuilt = restore(&header, &mut Decoder::new(&mut reader))?;
        if !reader.is_at_end()? {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Ok(rebuilt)
    })
}

fn restore(header: &Header, input: &mut Decoder<'_>) -> io::Result<Rebuilt> {
    let inner: Header = input.take()?;
    if inner != *header {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not of what it says",
        ));
    }
    Rebuilt::restore(header.position, input)
}
