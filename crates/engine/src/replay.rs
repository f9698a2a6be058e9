use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use event_log::{RawBlock, ReadError};
use events::Envelope;
use events::codec::Decoder;
use projections::{ReadModels, SavedPart};
use types::{Position, Timestamp};
use vault::Vault;

use crate::event_store::EventStore;
use crate::record::{RecordError, to_envelope};
use crate::sequence::{Sequence, SequenceError};

/// How much of the log is held in memory at a time, as stored. Replay needs no more memory for a
/// longer log.
const PIECE_BYTES: usize = 1024 * 1024;
/// Decoded pieces that wait to be folded.
const PIECES_WAITING_MAX: usize = 4;

/// How far to replay, that point included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Head,
    Position(Position),
    Time(Timestamp),
}

/// The state at some position, ready to go on from.
#[derive(Default)]
pub struct Rebuilt {
    pub read_models: Arc<ReadModels>,
    pub(crate) sequence: Sequence,
    /// Up to where it was read from a snapshot.
    resumed_at: Position,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the event at position {position} cannot be understood: {error}")]
    Record {
        position: Position,
        error: RecordError,
    },
    #[error(transparent)]
    Sequence(#[from] SequenceError),
}

impl ReplayError {
    /// Where it went wrong.
    pub fn position(&self) -> Position {
        match self {
            Self::Read(ReadError::Damaged { position, .. }) | Self::Record { position, .. } => {
                *position
            }
            Self::Read(ReadError::Io(_)) => Position::START,
            Self::Sequence(error) => error.position(),
        }
    }
}

/// Folds the log from its beginning.
pub fn replay(
    store: &EventStore,
    until: Until,
    progress: &mut dyn FnMut(Position),
) -> Result<Rebuilt, ReplayError> {
    replay_on(store, Rebuilt::default(), until, &mut |position| {
        progress(position);
        ControlFlow::Continue(())
    })
}

/// Folds what follows the state. `progress` hears of every piece, and may end it early.
pub fn replay_on(
    store: &EventStore,
    mut rebuilt: Rebuilt,
    until: Until,
    progress: &mut dyn FnMut(Position) -> ControlFlow<()>,
) -> Result<Rebuilt, ReplayError> {
    rebuilt.resumed_at = rebuilt.read_models.checkpoint();
    let from = rebuilt.resumed_at.next();
    each_piece(store, from, |piece| {
        let flow = rebuilt.fold(piece, until)?;
        if progress(rebuilt.read_models.checkpoint()).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        Ok(flow)
    })?;
    Ok(rebuilt)
}

/// Reads every event and looks whether one can follow the other, without folding them: what it keeps
/// in memory is a few bytes for each stream.
pub fn check(store: &EventStore) -> Result<(), ReplayError> {
    let mut sequence = Sequence::default();
    each_piece(store, Position(1), |piece| {
        piece
            .iter()
            .try_for_each(|envelope| sequence.follow(envelope))?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Decodes the log from a position on in pieces, on a core of its own, and hands each over until told
/// otherwise.
pub(crate) fn each_piece(
    store: &EventStore,
    from: Position,
    mut take: impl FnMut(Vec<Envelope>) -> Result<ControlFlow<()>, ReplayError>,
) -> Result<(), ReplayError> {
    let head = store.log.head().position;
    let (decoded, pieces) = sync_channel::<Result<Vec<Envelope>, ReplayError>>(PIECES_WAITING_MAX);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = from;
            while next <= head {
                let piece = read_piece(store, next, head);
                let going_on = match &piece {
                    Ok(envelopes) => envelopes.last().map(|last| last.position.next()),
                    Err(_) => None,
                };
                // The other side hangs up when it has seen enough.
                if decoded.send(piece).is_err() {
                    return;
                }
                let Some(position) = going_on else { return };
                next = position;
            }
        });
        for piece in pieces {
            if take(piece?)?.is_break() {
                break;
            }
        }
        Ok::<_, ReplayError>(())
    })?;
    Ok(store.log.release_memory()?)
}

impl Rebuilt {
    /// Up to where it was read from a snapshot; what followed was folded.
    pub fn resumed_at(&self) -> Position {
        self.resumed_at
    }

    /// The time of the last event; the beginning of time if there is none.
    pub fn last_recorded_at(&self) -> Timestamp {
        self.sequence.last_recorded_at
    }

    /// What a snapshot holds, part by part.
    pub fn parts(&self) -> Vec<SavedPart<'_>> {
        let mut parts = self.read_models.parts();
        parts.push(SavedPart {
            name: "sequence",
            version: Sequence::VERSION,
            save: Box::new(|out| self.sequence.save(out)),
        });
        parts
    }

    /// Reads what the parts wrote, one after the other, at this position.
    pub(crate) fn restore(position: Position, input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(Self {
            read_models: Arc::new(ReadModels::restore(position, input)?),
            sequence: Sequence::restore(input)?,
            resumed_at: position,
        })
    }

    fn fold(
        &mut self,
        mut piece: Vec<Envelope>,
        until: Until,
    ) -> Result<ControlFlow<()>, ReplayError> {
        let wanted = piece.partition_point(|envelope| match until {
            Until::Head => true,
            Until::Position(position) => envelope.position <= position,
            Until::Time(time) => envelope.recorded_at <= time,
        });
        let ends_here = wanted < piece.len();
        piece.truncate(wanted);
        for envelope in &piece {
            self.sequence.follow(envelope)?;
        }
        self.read_models.apply(&piece, &[]);
        Ok(if ends_here {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }
}

fn read_piece(
    store: &EventStore,
    from: Position,
    head: Position,
) -> Result<Vec<Envelope>, ReplayError> {
    let mut envelopes = Vec::new();
    for raw in store.log.read(from, PIECE_BYTES)? {
        decode_block(&raw, &store.vault, from, head, &mut envelopes)?;
    }
    Ok(envelopes)
}

fn decode_block(
    raw: &RawBlock,
    vault: &Vault,
    from: Position,
    head: Position,
    envelopes: &mut Vec<Envelope>,
) -> Result<(), ReplayError> {
    let block = raw.decode()?;
    for record in block.records() {
        let record = record?;
        if record.position < from || record.position > head {
            continue;
        }
        let position = record.position;
        let envelope =
            to_envelope(&record, vault).map_err(|error| ReplayError::Record { position, error })?;
        envelopes.push(envelope);
    }
    Ok(())
}
