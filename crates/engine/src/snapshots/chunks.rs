//! A stream of bytes in compressed pieces, each protected by itself.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender};

use vault::Vault;

/// Bytes of a chunk before it is compressed.
const CHUNK_BYTES: usize = 1024 * 1024;
/// A chunk as it is stored is not much longer, whatever protects it.
const STORED_BYTES_MAX: usize = 2 * CHUNK_BYTES;
/// Chunks that were read and wait to be used.
pub(super) const CHUNKS_WAITING_MAX: usize = 4;

/// Where a chunk stands, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// Of which snapshot: different for each.
    pub snapshot: [u8; 16],
    pub number: u32,
    pub is_last: bool,
}

/// What protects the chunks of a snapshot.
pub trait ChunkCipher: Send + Sync {
    /// The chunk as it is stored.
    fn seal(&self, place: ChunkPlace, chunk: Vec<u8>) -> Vec<u8>;

    /// The chunk that was sealed for this place; nothing if it was not.
    fn open(&self, place: ChunkPlace, stored: &[u8]) -> Option<Vec<u8>>;

    /// Another number after everything that was sealed so far is to be forgotten. What was begun before is
    /// then not good, although it be finished after.
    fn epoch(&self) -> u32 {
        0
    }
}

/// What a snapshot says of people is as secret as the log, and gone when anybody is erased.
impl ChunkCipher for Vault {
    fn seal(&self, place: ChunkPlace, chunk: Vec<u8>) -> Vec<u8> {
        let key = self.snapshot_key();
        key.seal(place.snapshot, place.number, place.is_last, &chunk)
    }

    fn open(&self, place: ChunkPlace, stored: &[u8]) -> Option<Vec<u8>> {
        let key = self.snapshot_key();
        key.open(place.snapshot, place.number, place.is_last, stored)
    }

    fn epoch(&self) -> u32 {
        Self::epoch(self)
    }
}

/// Finds what was damaged, and hides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum;

impl ChunkCipher for Checksum {
    fn seal(&self, place: ChunkPlace, mut chunk: Vec<u8>) -> Vec<u8> {
        let checksum = checksum(place, &chunk);
        chunk.extend(checksum.to_be_bytes());
        chunk
    }

    fn open(&self, place: ChunkPlace, stored: &[u8]) -> Option<Vec<u8>> {
        let (chunk, found) = stored.split_last_chunk()?;
        let expected = checksum(place, chunk).to_be_bytes();
        (expected == *found).then(|| chunk.to_vec())
    }
}

fn checksum(place: ChunkPlace, chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&place.snapshot);
    hasher.update(&place.number.to_be_bytes());
    hasher.update(&[u8::from(place.is_last)]);
    hasher.update(chunk);
    hasher.finalize()
}

/// Cuts what is written into chunks.
///
/// ```text
/// length   4 bytes, big-endian: of what follows the flag
/// is last  1 byte, 0 or 1
/// chunk    compressed with LZ4, its length before it, and sealed
/// ```
pub(super) struct ChunkWriter<'a, W> {
    out: W,
    cipher: &'a dyn ChunkCipher,
    still_wanted: &'a dyn Fn() -> bool,
    snapshot: [u8; 16],
    number: u32,
    chunk: Vec<u8>,
}

impl<'a, W: Write> ChunkWriter<'a, W> {
    pub(super) fn new(
        out: W,
        snapshot: [u8; 16],
        cipher: &'a dyn ChunkCipher,
        still_wanted: &'a dyn Fn() -> bool,
    ) -> Self {
        Self {
            out,
            cipher,
            still_wanted,
            snapshot,
            number: 0,
            chunk: Vec::with_capacity(CHUNK_BYTES),
        }
    }

    /// Writes what is left as the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write_chunk(true)?;
        Ok(self.out)
    }

    fn write_chunk(&mut self, is_last: bool) -> io::Result<()> {
        if !(self.still_wanted)() {
            // Not `Interrupted`, after which writers try again.
            return Err(io::Error::other("nobody wants it any more"));
        }
        let compressed = lz4_flex::block::compress_prepend_size(&self.chunk);
        self.chunk.clear();
        let place = ChunkPlace {
            snapshot: self.snapshot,
            number: self.number,
            is_last,
        };
        let stored = self.cipher.seal(place, compressed);
        self.number += 1;
        let length = u32::try_from(stored.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(&[u8::from(is_last)])?;
        self.out.write_all(&stored)
    }
}

impl<W: Write> Write for ChunkWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES - self.chunk.len();
        let taken = room.min(bytes.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK_BYTES {
            self.write_chunk(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads chunk after chunk, and hands each over. Ends after the last one, or with what is wrong.
pub(super) fn read_chunks(
    mut input: impl Read,
    snapshot: [u8; 16],
    cipher: &dyn ChunkCipher,
    chunks: &SyncSender<io::Result<Vec<u8>>>,
) {
    for number in 0.. {
        let chunk = read_chunk(&mut input, snapshot, number, cipher);
        let goes_on = matches!(chunk, Ok((_, false)));
        // The other side hangs up when it finds something wrong.
        if chunks.send(chunk.map(|(chunk, _)| chunk)).is_err() || !goes_on {
            return;
        }
    }
}

/// The chunk, and whether it is the last.
fn read_chunk(
    input: &mut impl Read,
    snapshot: [u8; 16],
    number: u32,
    cipher: &dyn ChunkCipher,
) -> io::Result<(Vec<u8>, bool)> {
    let damaged = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    let mut flag = [0; 1];
    input.read_exact(&mut flag)?;
    if length > STORED_BYTES_MAX || flag[0] > 1 {
        return Err(damaged("a chunk is longer than any can be"));
    }
    let is_last = flag[0] == 1;
    let mut stored = vec![0; length];
    input.read_exact(&mut stored)?;
    let place = ChunkPlace {
        snapshot,
        number,
        is_last,
    };
    let compressed = cipher.open(place, &stored);
    let compressed = compressed.ok_or_else(|| damaged("a chunk is not what was written"))?;
    let (size, _) = lz4_flex::block::uncompressed_size(&compressed)
        .map_err(|_| damaged("a chunk does not decompress"))?;
    if size > CHUNK_BYTES {
        return Err(damaged("a chunk is longer than any can be"));
    }
    let chunk = lz4_flex::block::decompress_size_prepended(&compressed)
        .map_err(|_| damaged("a chunk does not decompress"))?;
    if is_last && input.read(&mut [0])? != 0 {
        return Err(damaged("something follows the last chunk"));
    }
    Ok((chunk, is_last))
}

/// The bytes of the chunks that somebody else reads.
pub(super) struct ChunkReader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    place: usize,
}

impl ChunkReader {
    pub(super) fn new(chunks: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self {
            chunks,
            chunk: Vec::new(),
            place: 0,
        }
    }

    /// Whether everything has been read, and nothing was wrong with it.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.read(&mut [0])? == 0)
    }
}

impl Read for ChunkReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.place == self.chunk.len() {
            let Ok(chunk) = self.chunks.recv() else {
                return Ok(0);
            };
            self.chunk = chunk?;
            self.place = 0;
        }
        let rest = &self.chunk[self.place..];
        let taken = rest.len().min(bytes.len());
        bytes[..taken].copy_from_slice(&rest[..taken]);
        self.place += taken;
        Ok(taken)
    }

    /// Most of what is read is a few bytes that are there.
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        if let Some(rest) = self.chunk.get(self.place..self.place + bytes.len()) {
            bytes.copy_from_slice(rest);
            self.place += bytes.len();
            return Ok(());
        }
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn written(bytes: &[u8]) -> Vec<u8> {
        let mut chunks = ChunkWriter::new(Vec::new(), [7; 16], &Checksum, &|| true);
        chunks.write_all(bytes).unwrap();
        chunks.finish().unwrap()
    }

    fn read(stored: &[u8]) -> io::Result<Vec<u8>> {
        let (chunks, waiting) = sync_channel(1_000);
        read_chunks(stored, [7; 16], &Checksum, &chunks);
        drop(chunks);
        let mut bytes = Vec::new();
        ChunkReader::new(waiting).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7] {
            let bytes: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
            assert_eq!(read(&written(&bytes)).unwrap(), bytes, "{length} bytes");
        }
    }

    #[test]
    fn a_chunk_is_good_in_its_place_only() {
        let two: Vec<u8> = vec![7; 2 * CHUNK_BYTES];
        let stored = written(&two);
        // Both chunks are full of the same, so they are as long; what follows is an empty last one.
        let length = 5 + u32::from_be_bytes(stored[..4].try_into().unwrap()) as usize;
        let (first, rest) = stored.split_at(length);
        let (second, last) = rest.split_at(length);
        assert_eq!(read(&[first, second, last].concat()).unwrap(), two);
        for wrong in [
            [second, first, last].concat(),
            [first, first, last].concat(),
            [first, last].concat(),
            [first, second].concat(),
            [first, second, last, b"x"].concat(),
        ] {
            assert!(read(&wrong).is_err());
        }
    }

    #[test]
    fn nobody_who_is_not_wanted_goes_on_writing() {
        let mut chunks = ChunkWriter::new(Vec::new(), [7; 16], &Checksum, &|| false);
        assert!(chunks.write_all(&vec![0; 3 * CHUNK_BYTES]).is_err());
    }
}
