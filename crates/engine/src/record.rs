use std::borrow::Cow;

use event_log::{NewRecord, Record};
use events::{DecodeError, Envelope, Event, Metadata};
use types::{StreamId, StreamVersion, SubjectId, Timestamp};

/// A record that is intact but does not hold an event that this version understands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("`{0}` is not the name of a stream")]
    Stream(String),
    #[error(transparent)]
    Event(#[from] DecodeError),
}

/// An event that was decided and waits for its position.
pub(crate) struct PendingEvent {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    pub(crate) recorded_at: Timestamp,
    pub(crate) subjects: Vec<SubjectId>,
    pub(crate) metadata: Metadata,
    pub(crate) event: Event,
}

impl PendingEvent {
    pub(crate) fn to_record(&self) -> NewRecord {
        NewRecord {
            stream: self.stream.clone(),
            version: self.version,
            event_type: Cow::Borrowed(self.event.event_type()),
            schema: self.event.schema(),
            recorded_at: self.recorded_at,
            subjects: self.subjects.clone(),
            metadata: self.metadata.encode(),
            payload: self.event.encode(),
        }
    }
}

pub fn to_envelope(record: &Record<'_>) -> Result<Envelope, RecordError> {
    let stream = StreamId::parse(record.stream)
        .ok_or_else(|| RecordError::Stream(record.stream.to_owned()))?;
    Ok(Envelope {
        position: record.position,
        stream,
        version: record.version,
        recorded_at: record.recorded_at,
        subjects: record.subjects.iter().collect(),
        event: Event::decode(record.event_type, record.schema, record.payload)?,
    })
}
