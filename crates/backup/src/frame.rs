//! ```text
//! kind     1 byte
//! length   4 bytes, big-endian
//! content
//!   1 block      first position 8 bytes, then the block as the log stores it
//!   2 file       length of the name 1 byte, name, content
//!   3 end        position 8 bytes, root 32 bytes
//! ```

use std::io::{self, ErrorKind, Read, Write};

use event_log::{Hash, Head, RawBlock};
use types::Position;

use crate::BackupError;

/// The longest frame that is taken, in bytes: a block holds at most 64 MiB, and the vault of a log in which
/// many were erased can be larger.
const FRAME_BYTES_MAX: u32 = 1024 * 1024 * 1024;
const BLOCK: u8 = 1;
const FILE: u8 = 2;
const END: u8 = 3;

/// One piece of what is sent.
#[derive(Clone, Debug)]
pub enum Frame {
    Block(RawBlock),
    File(NamedFile),
    /// Everything up to here was sent.
    End(Head),
}

/// A small file of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Letters, digits, hyphens and dots, with at most one directory before them.
    pub name: String,
    pub content: Vec<u8>,
}

impl NamedFile {
    pub(crate) fn has_good_name(&self) -> bool {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let good =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        self.name.len() <= 128
            && self.name.split('/').count() <= 2
            && self.name.split('/').all(good)
    }
}

pub fn write_frame(frame: &Frame, out: &mut dyn Write) -> io::Result<()> {
    let (kind, head, body): (u8, Vec<u8>, &[u8]) = match frame {
        Frame::Block(block) => {
            let first = block.header().first.0.to_be_bytes();
            (BLOCK, first.to_vec(), block.as_bytes())
        }
        Frame::File(file) => {
            let length = u8::try_from(file.name.len()).map_err(|_| ErrorKind::InvalidInput)?;
            let head = [&[length], file.name.as_bytes()].concat();
            (FILE, head, &file.content)
        }
        Frame::End(head) => {
            let head = [&head.position.0.to_be_bytes()[..], &head.root.0].concat();
            (END, head, &[])
        }
    };
    let length = u32::try_from(head.len() + body.len()).map_err(|_| ErrorKind::InvalidInput)?;
    out.write_all(&[kind])?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&head)?;
    out.write_all(body)
}

/// The next frame. There is always one until [`Frame::End`].
pub fn read_frame(from: &mut dyn Read) -> Result<Frame, BackupError> {
    let mut start = [0; 5];
    fill(from, &mut start)?;
    let [kind, length @ ..] = start;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(BackupError::Malformed("a frame is too long"));
    }
    // Taken as it comes: a length alone must not take memory.
    let mut content = Vec::new();
    let read = from.take(u64::from(length)).read_to_end(&mut content);
    if read.map_err(BackupError::Source)? < length as usize {
        return Err(BackupError::CutShort);
    }
    parse(kind, &content).ok_or(BackupError::Malformed("a frame is none"))?
}

fn parse(kind: u8, content: &[u8]) -> Option<Result<Frame, BackupError>> {
    match kind {
        BLOCK => {
            let (first, block) = content.split_first_chunk()?;
            let first = Position(u64::from_be_bytes(*first));
            let block = RawBlock::from_bytes(first, block.to_vec());
            Some(block.map(Frame::Block).map_err(Into::into))
        }
        FILE => {
            let (length, rest) = content.split_first()?;
            let (name, content) = rest.split_at_checked(usize::from(*length))?;
            let file = NamedFile {
                name: String::from_utf8(name.to_vec()).ok()?,
                content: content.to_vec(),
            };
            file.has_good_name().then_some(Ok(Frame::File(file)))
        }
        END => {
            let (position, root) = content.split_first_chunk()?;
            let head = Head {
                position: Position(u64::from_be_bytes(*position)),
                root: Hash(root.try_into().ok()?),
            };
            Some(Ok(Frame::End(head)))
        }
        _ => None,
    }
}

fn fill(from: &mut dyn Read, bytes: &mut [u8]) -> Result<(), BackupError> {
    from.read_exact(bytes).map_err(|error| {
        if error.kind() == ErrorKind::UnexpectedEof {
            BackupError::CutShort
        } else {
            BackupError::Source(error)
        }
    })
}
