use std::io;

use event_log::{EventLog, Head, ReadError};
use types::Position;

use crate::{Frame, NamedFile};

/// How much of the log is read at a time, as stored.
const PIECE_BYTES: usize = 1024 * 1024;

/// Why a backup was not sent to its end.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a file of the data directory cannot be read: {0}")]
    File(io::Error),
    /// Whoever takes it has gone away.
    #[error("nobody takes it any more")]
    Unwanted,
}

/// Gives the blocks after a position up to a head that the log has or had, then the files, then the end.
/// Nothing is locked meanwhile.
///
/// The files are read after the blocks: keys of people whose erasure is among these are gone from the
/// vault before anybody can read it.
pub fn send(
    log: &dyn EventLog,
    head: Head,
    after: Position,
    files: &dyn Fn() -> io::Result<Vec<NamedFile>>,
    take: &mut dyn FnMut(Frame) -> bool,
) -> Result<(), SendError> {
    let mut next = after.next();
    let mut give = |frame| {
        if take(frame) {
            Ok(())
        } else {
            Err(SendError::Unwanted)
        }
    };
    while next <= head.position {
        for block in log.read(next, PIECE_BYTES)? {
            // Groups end with a block, so that the head does as well.
            if block.header().first > head.position {
                break;
            }
            next = block.header().last().next();
            give(Frame::Block(block))?;
        }
    }
    for file in files().map_err(SendError::File)? {
        give(Frame::File(file))?;
    }
    give(Frame::End(head))
}
