use std::borrow::Cow;
use std::collections::HashMap;

use event_log::{NewRecord, Record};
use events::{Actor, Event, Metadata, Personal, SubjectEvent, SubjectRegistered};
use projections::Subjects;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::{CommandId, EventId, StreamId, StreamVersion, SubjectId, Timestamp, UserId};

use crate::record::RecordError;

/// One event as feeds and exports show it: people appear by the caller's ids, everywhere else in
/// the log they are numbers.
#[derive(Debug, Serialize, Deserialize)]
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
    /// The record, with `subjects` saying who the numbers are.
    pub fn from_record(record: &Record<'_>, subjects: &Subjects) -> Result<Self, RecordError> {
        let metadata = Metadata::decode(record.metadata)?;
        let name = |subject: SubjectId| match subjects.user_id(subject) {
            Some(user_id) => user_id.as_str().to_owned(),
            None => format!("unknown:{subject}"),
        };
        let stream = StreamId::parse(record.stream)
            .ok_or_else(|| RecordError::Stream(record.stream.to_owned()))?;
        let stream = match &stream {
            StreamId::Subject(subject) => format!("subject-{}", name(*subject)),
            StreamId::Profile(subject) => format!("profile-{}", name(*subject)),
            StreamId::ListMember(list, subject) => format!("list-member-{list}:{}", name(*subject)),
            StreamId::List(_) | StreamId::Key(_) => record.stream.to_owned(),
        };
        let data = Event::payload_to_json(record.event_type, record.schema, record.payload)?;
        Ok(Self {
            position: record.position.0,
            stream,
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

/// Why an exported line cannot be taken in. The line's number is its position.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ImportError {
    pub line: u64,
    pub reason: String,
}

/// Turns exported lines back into records: positions, times, versions and ids as they were, so that
/// the imported log has the same bytes, roots and digests.
#[derive(Default)]
pub struct Importer {
    lines: u64,
    last_recorded_at: Timestamp,
    subjects: HashMap<UserId, SubjectId>,
    versions: HashMap<StreamId, u32>,
}

impl Importer {
    /// The next line, without its line break. Lines must come from position 1 on without a gap.
    pub fn record(&mut self, line: &str) -> Result<NewRecord, ImportError> {
        self.lines += 1;
        let number = self.lines;
        self.parse(line).map_err(|reason| ImportError {
            line: number,
            reason,
        })
    }

    fn parse(&mut self, line: &str) -> Result<NewRecord, String> {
        let event: EventJson = serde_json::from_str(line)
            .map_err(|error| format!("not an exported event: {error}"))?;
        if event.position != self.lines {
            return Err(format!(
                "position {} where {} is due",
                event.position, self.lines
            ));
        }
        let recorded_at: Timestamp = event
            .recorded_at
            .parse()
            .map_err(|_| format!("`{}` is not a time", event.recorded_at))?;
        if recorded_at < self.last_recorded_at {
            return Err("recorded earlier than the event before it".to_owned());
        }
        let payload = Event::payload_from_json(&event.event_type, event.schema, event.data.get())
            .map_err(|error| error.to_string())?;
        self.register(&event, &payload)?;
        let subjects = event
            .subjects
            .iter()
            .map(|user_id| {
                let known = self.subjects.get(user_id.as_str()).copied();
                known.ok_or_else(|| format!("`{user_id}` is not registered before"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let stream = stream(&event.stream, &subjects, &event.subjects)
            .ok_or_else(|| format!("`{}` is not the stream of such an event", event.stream))?;
        let version = self.versions.entry(stream.clone()).or_default();
        if event.version != *version + 1 {
            return Err(format!(
                "version {} where {} is due",
                event.version,
                *version + 1
            ));
        }
        *version = event.version;
        let metadata = metadata(&event)?;
        self.last_recorded_at = recorded_at;
        Ok(NewRecord {
            stream,
            version: StreamVersion(event.version),
            event_type: Cow::Owned(event.event_type),
            schema: event.schema,
            recorded_at,
            subjects,
            metadata: metadata.encode(),
            payload,
        })
    }

    /// Numbers are given in the order of the log, so they come out as they were.
    fn register(&mut self, event: &EventJson, payload: &[u8]) -> Result<(), String> {
        let decoded = Event::decode(&event.event_type, event.schema, payload)
            .map_err(|error| error.to_string())?;
        if let Event::Subject(SubjectEvent::Registered(SubjectRegistered {
            user_id: Personal(user_id),
        })) = decoded
        {
            let number = u32::try_from(self.subjects.len()).map_err(|_| "too many people")?;
            if self.subjects.insert(user_id, SubjectId(number)).is_some() {
                return Err("somebody is registered twice".to_owned());
            }
        }
        Ok(())
    }
}

fn metadata(event: &EventJson) -> Result<Metadata, String> {
    let command_id = CommandId::parse(&event.command_id)
        .ok_or_else(|| format!("`{}` is not a UUID", event.command_id))?;
    let event_id =
        |text: &str| EventId::parse(text).ok_or_else(|| format!("`{text}` is not a UUID"));
    let ordinal = event_id(&event.id)?
        .ordinal_in(command_id)
        .ok_or_else(|| "the event's id does not belong to its command".to_owned())?;
    Ok(Metadata {
        command_id,
        ordinal,
        actor: event.actor.clone(),
        tenant_id: event.tenant_id.clone(),
        // A request without an id of its own is correlated by its command.
        correlation_id: (event.correlation_id != event.command_id)
            .then(|| event.correlation_id.clone()),
        causation_id: event.causation_id.as_deref().map(event_id).transpose()?,
    })
}

/// The stream whose shown name this is. A user id may hold any character, so the name is compared
/// with that of the person whom the event is about, and not taken apart.
fn stream(shown: &str, subjects: &[SubjectId], users: &[String]) -> Option<StreamId> {
    if let (Some(subject), Some(user)) = (subjects.first(), users.first()) {
        if shown.strip_prefix("subject-") == Some(user) {
            return Some(StreamId::Subject(*subject));
        }
        if shown.strip_prefix("profile-") == Some(user) {
            return Some(StreamId::Profile(*subject));
        }
        if let Some(rest) = shown.strip_prefix("list-member-")
            && let Some(list) = rest
                .strip_suffix(user)
                .and_then(|list| list.strip_suffix(':'))
        {
            let list = types::ListId::parse(list).ok()?;
            return Some(StreamId::ListMember(list, *subject));
        }
    }
    match StreamId::parse(shown)? {
        stream @ (StreamId::List(_) | StreamId::Key(_)) => Some(stream),
        StreamId::Subject(_) | StreamId::Profile(_) | StreamId::ListMember(..) => None,
    }
}
