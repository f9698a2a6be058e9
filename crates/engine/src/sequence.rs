use events::{Envelope, Event};
use types::{Position, StreamId, StreamVersion, SubjectId, Timestamp};

use crate::stream_versions::StreamVersions;

/// What one event after another has to keep to, whether it is read from the log or taken in from
/// outside: versions without gaps, time that does not go back, people registered in order and
/// before they are named.
#[derive(Default)]
pub(crate) struct Sequence {
    pub(crate) versions: StreamVersions,
    pub(crate) last_recorded_at: Timestamp,
    /// The number that the next new person gets.
    next_subject: SubjectId,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    #[error("at position {position} stream `{stream}` goes on with version {}, and {} was due", found.0, due.0)]
    StreamGap {
        position: Position,
        stream: StreamId,
        found: StreamVersion,
        due: StreamVersion,
    },
    #[error("the event at position {position} was recorded before the one that it follows")]
    TimeBackwards { position: Position },
    #[error("the event at position {position} registers somebody by a number that is not the next")]
    SubjectOutOfOrder { position: Position },
    #[error("the event at position {position} names a person who is not registered before it")]
    UnknownSubject { position: Position },
}

impl SequenceError {
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::StreamGap { position, .. }
            | Self::TimeBackwards { position }
            | Self::SubjectOutOfOrder { position }
            | Self::UnknownSubject { position } => *position,
        }
    }
}

impl Sequence {
    /// Takes note of the next event.
    pub(crate) fn follow(&mut self, envelope: &Envelope) -> Result<(), SequenceError> {
        let Envelope {
            position,
            stream,
            version,
            recorded_at,
            subjects,
            event,
        } = envelope;
        let position = *position;
        if *recorded_at < self.last_recorded_at {
            return Err(SequenceError::TimeBackwards { position });
        }
        self.last_recorded_at = *recorded_at;
        self.versions
            .advance(stream, *version)
            .map_err(|due| SequenceError::StreamGap {
                position,
                stream: stream.clone(),
                found: *version,
                due,
            })?;
        if let Event::Subject(_) = event {
            if *stream != StreamId::Subject(self.next_subject) {
                return Err(SequenceError::SubjectOutOfOrder { position });
            }
            self.next_subject.0 += 1;
        }
        if subjects.iter().any(|subject| *subject >= self.next_subject) {
            return Err(SequenceError::UnknownSubject { position });
        }
        Ok(())
    }
}
