use events::{Actor, Event, Metadata};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::{EventId, StreamId, SubjectId, UserId};

use event_log::Record;
use vault::Vault;

use crate::record::RecordError;
use crate::sealing;

/// One event as feeds and exports show it: people appear by the caller's ids, everywhere else in
/// the log they are numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventJson {
    pub position: u64,
    pub stream: String,
    pub version: u32,
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub schema: u16,
    /// RFC 3339 with nanoseconds.
    pub recorded_at: String,
    pub actor: Actor,
    pub tenant_id: Option<String>,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    pub command_id: String,
    /// User ids, in the order in which `data` speaks of them.
    pub subjects: Vec<String>,
    pub data: Box<RawValue>,
}

impl EventJson {
    /// Leaves out which tenant this one is below, where the event says it.
    pub(crate) fn hide_parent(&mut self) {
        const PARENT: &str = "parent_tenant_id";
        let data = serde_json::from_str(self.data.get());
        let Ok(serde_json::Value::Object(mut data)) = data else {
            return;
        };
        if let Some(parent) = data.get_mut(PARENT) {
            *parent = serde_json::Value::Null;
            let hidden = serde_json::value::to_raw_value(&data);
            self.data = hidden.expect("an object is JSON");
        }
    }

    /// The record, with `user_id` saying who the numbers are: nobody where somebody was erased.
    pub fn from_record(
        record: &Record<'_>,
        vault: &Vault,
        user_id: impl Fn(SubjectId) -> Option<UserId>,
    ) -> Result<Self, RecordError> {
        let metadata = Metadata::decode(record.metadata)?;
        let name = |subject: SubjectId| match user_id(subject) {
            Some(user_id) => user_id.as_str().to_owned(),
            None => UserId::erased(subject),
        };
        let stream = StreamId::parse(record.stream)
            .ok_or_else(|| RecordError::Stream(record.stream.to_owned()))?;
        let data = Event::payload_to_json(
            record.event_type,
            record.schema,
            sealing::open(record, vault)?,
        )?;
        Ok(Self {
            position: record.position.0,
            stream: stream.shown(name),
            version: record.version.0,
            id: EventId::of(metadata.command_id, metadata.ordinal).to_string(),
            event_type: record.event_type.to_owned(),
            schema: record.schema,
            recorded_at: record.recorded_at.to_string(),
            correlation_id: metadata
                .correlation_id
                .unwrap_or_else(|| metadata.command_id.to_string()),
            causation_id: metadata.causation_id.map(|id| id.to_string()),
            command_id: metadata.command_id.to_string(),
            actor: metadata.actor,
            tenant_id: metadata.tenant_id,
            subjects: record.subjects.iter().map(name).collect(),
            data: RawValue::from_string(data)
                .map_err(|error| events::DecodeError::Payload(error.to_string()))?,
        })
    }
}
