use serde::{Deserialize, Serialize};
use types::{CommandId, EventId, Position, StreamId, StreamVersion, SubjectId, Timestamp};

use crate::{DecodeError, Event, codec};

/// One event with its place, time and people: what a fold needs. Who caused it stands in the
/// [`Metadata`] of the same record, which is decoded only for those who ask, because replay reads
/// every event and no fold needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub position: Position,
    pub stream: StreamId,
    pub version: StreamVersion,
    /// UTC; never goes backwards from one position to the next.
    pub recorded_at: Timestamp,
    /// The people that the event is about, in the order in which the payload speaks of them.
    pub subjects: Vec<SubjectId>,
    pub event: Event,
}

/// Who, in which request, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub command_id: CommandId,
    /// Place of the event among those of its command, from 1.
    pub ordinal: u32,
    pub actor: Actor,
    pub tenant_id: Option<String>,
    /// The id of the request, as the caller gave it; the command's id when it gave none.
    pub correlation_id: Option<String>,
    /// The event that made this one happen, if one did.
    pub causation_id: Option<EventId>,
}

/// Through which credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub id: String,
    pub name: String,
    pub on_behalf_of: Option<String>,
}

/// The durable form. Frozen: a change is a new record format.
#[derive(Serialize, Deserialize)]
struct StoredMetadata {
    command_id: [u8; 16],
    ordinal: u32,
    actor: Actor,
    tenant_id: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<[u8; 16]>,
}

impl Metadata {
    pub fn encode(&self) -> Vec<u8> {
        codec::to_bytes(&self.stored())
    }

    /// As [`Metadata::encode`], where nobody has checked the size.
    pub fn try_encode(&self) -> Result<Vec<u8>, DecodeError> {
        codec::try_to_bytes(&self.stored())
    }

    fn stored(&self) -> StoredMetadata {
        StoredMetadata {
            command_id: self.command_id.0.to_be_bytes(),
            ordinal: self.ordinal,
            actor: self.actor.clone(),
            tenant_id: self.tenant_id.clone(),
            correlation_id: self.correlation_id.clone(),
            causation_id: self.causation_id.map(|id| id.0.to_be_bytes()),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let stored: StoredMetadata = codec::from_bytes(bytes)?;
        Ok(Self {
            command_id: CommandId(u128::from_be_bytes(stored.command_id)),
            ordinal: stored.ordinal,
            actor: stored.actor,
            tenant_id: stored.tenant_id,
            correlation_id: stored.correlation_id,
            causation_id: stored
                .causation_id
                .map(|id| EventId(u128::from_be_bytes(id))),
        })
    }
}
