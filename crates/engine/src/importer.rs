use std::collections::HashMap;

use std::sync::Arc;

use event_log::{NewRecord, Record, encode};
use events::{Event, Metadata, SubjectEvent, SubjectRegistered};
use types::{
    CommandId, EventId, ListId, Position, StreamId, StreamVersion, SubjectId, TenantId, Timestamp,
    UserId,
};

use crate::event_json::EventJson;
use vault::Vault;

use crate::record::{labels_of, to_envelope};
use crate::sealing;
use crate::sequence::Sequence;

/// Why an exported line cannot be taken in. The line's number is its position.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ImportError {
    pub line: u64,
    pub reason: String,
}

/// Turns exported lines back into records: positions, times, versions and ids as they were, and what is of
/// people sealed anew, so that the imported log has the same digests and is exported in the same bytes.
/// What would not come out again exactly as it went in is refused.
pub struct Importer {
    vault: Arc<Vault>,
    lines: u64,
    latest: Timestamp,
    sequence: Sequence,
    numbers: HashMap<UserId, SubjectId>,
    users: Vec<Option<UserId>>,
}

impl Importer {
    /// Nothing recorded later than `latest` is taken: time would otherwise stand still until then.
    ///
    /// The vault is a new one; who was erased loses the key in it as well.
    pub fn new(latest: Timestamp, vault: Arc<Vault>) -> Self {
        Self {
            vault,
            lines: 0,
            latest,
            sequence: Sequence::default(),
            numbers: HashMap::new(),
            users: Vec::new(),
        }
    }

    /// The next line, without its line break. Lines must come from position 1 on without a gap.
    pub fn record(&mut self, line: &str) -> Result<NewRecord, ImportError> {
        self.lines += 1;
        let number = self.lines;
        self.take(line).map_err(|reason| ImportError {
            line: number,
            reason,
        })
    }

    fn take(&mut self, line: &str) -> Result<NewRecord, String> {
        let event: EventJson = serde_json::from_str(line)
            .map_err(|error| format!("not an exported event: {error}"))?;
        if event.position != self.lines {
            return Err(format!(
                "position {} where {} is due",
                event.position, self.lines
            ));
        }
        let record = self.parse(&event)?;
        if record.recorded_at > self.latest {
            return Err("recorded in the future".to_owned());
        }
        let mut bytes = Vec::new();
        encode(&record, Position(self.lines), &mut bytes);
        let stored = Record::decode(&bytes)?;
        let envelope = to_envelope(&stored, &self.vault).map_err(|error| error.to_string())?;
        self.sequence
            .follow(&envelope)
            .map_err(|error| error.to_string())?;
        let user_id = |subject: SubjectId| self.users.get(subject.index()).cloned().flatten();
        let shown = EventJson::from_record(&stored, &self.vault, user_id);
        let shown = shown.map_err(|error| error.to_string())?;
        let shown = serde_json::to_string(&shown).map_err(|error| error.to_string())?;
        if shown != line {
            return Err("an export would not write the line like this".to_owned());
        }
        if let Event::Subject(SubjectEvent::Erased(_)) = &envelope.event {
            self.vault
                .erase(&envelope.subjects)
                .map_err(|error| error.to_string())?;
        }
        Ok(record)
    }

    fn parse(&mut self, event: &EventJson) -> Result<NewRecord, String> {
        let (name, schema) = (event.event_type.as_str(), event.schema);
        let erased = event
            .subjects
            .iter()
            .map(|it| UserId::parse_erased(it).is_some());
        let erased: Vec<bool> = erased.collect();
        let payload = Event::payload_from_json(name, schema, event.data.get(), &erased)
            .map_err(|error| error.to_string())?;
        let decoded = Event::decode(name, schema, payload.clone());
        let decoded = decoded.map_err(|error| error.to_string())?;
        if let Event::Subject(SubjectEvent::Registered(SubjectRegistered { user_id })) = &decoded {
            self.register(user_id.known())?;
        }
        let subjects = event
            .subjects
            .iter()
            .map(|user_id| {
                let known = self.numbers.get(user_id.as_str()).copied();
                let nameless = |subject: &SubjectId| {
                    self.users.get(subject.index()).is_some_and(Option::is_none)
                };
                let erased = || UserId::parse_erased(user_id).filter(nameless);
                known
                    .or_else(erased)
                    .ok_or_else(|| format!("`{user_id}` is not registered before"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let stream = stream_of(&decoded, event, &subjects)
            .ok_or_else(|| format!("`{}` is not the stream of such an event", event.stream))?;
        let (metadata, event_id) = metadata(event)?;
        let payload = sealing::seal(&payload, &subjects, event_id, &self.vault)
            .map_err(|error| error.to_string())?;
        Ok(NewRecord {
            stream,
            version: StreamVersion(event.version),
            event_type: event.event_type.clone().into(),
            schema: event.schema,
            recorded_at: event
                .recorded_at
                .parse()
                .map_err(|_| format!("`{}` is not a time", event.recorded_at))?,
            subjects,
            labels: labels_of(&metadata),
            metadata,
            payload,
        })
    }

    /// Numbers are given in the order of the log, so they come out as they were.
    fn register(&mut self, user_id: Option<&UserId>) -> Result<(), String> {
        let number = u32::try_from(self.users.len()).map_err(|_| "too many people")?;
        if let Some(user_id) = user_id {
            let before = self.numbers.insert(user_id.clone(), SubjectId(number));
            if before.is_some() {
                return Err("somebody is registered twice".to_owned());
            }
        }
        self.users.push(user_id.cloned());
        Ok(())
    }
}

fn metadata(event: &EventJson) -> Result<(Vec<u8>, EventId), String> {
    let command_id = CommandId::parse(&event.command_id)
        .ok_or_else(|| format!("`{}` is not a UUID", event.command_id))?;
    let event_id =
        |text: &str| EventId::parse(text).ok_or_else(|| format!("`{text}` is not a UUID"));
    let ordinal = event_id(&event.id)?
        .ordinal_in(command_id)
        .ok_or_else(|| "the event's id does not belong to its command".to_owned())?;
    let metadata = Metadata {
        command_id,
        ordinal,
        actor: event.actor.clone(),
        tenant_id: event.tenant_id.clone(),
        // A request without an id of its own is correlated by its command.
        correlation_id: (event.correlation_id != event.command_id)
            .then(|| event.correlation_id.clone()),
        causation_id: event.causation_id.as_deref().map(event_id).transpose()?,
    };
    let encoded = metadata.try_encode().map_err(|error| error.to_string())?;
    Ok((encoded, EventId::of(command_id, ordinal)))
}

/// The stream, as the kind of event has it. Its shown name is compared when the record is shown
/// again; here it only tells which list or key is meant.
fn stream_of(decoded: &Event, event: &EventJson, subjects: &[SubjectId]) -> Option<StreamId> {
    let name = event.stream.as_str();
    let (category, key) = name.split_once('-').unwrap_or((name, ""));
    let first = subjects.first().copied();
    // A user id may hold a colon too, so it is taken off the end as a whole.
    let set = || {
        key.strip_suffix(event.subjects.first()?.as_str())?
            .strip_suffix(':')
    };
    match decoded {
        Event::Subject(_) => first.map(StreamId::Subject),
        Event::Profile(_) => first.map(StreamId::Profile),
        Event::Preference(_) => first.map(StreamId::Preference),
        Event::Token(_) => first.map(StreamId::Token),
        Event::Track(_) => first.map(StreamId::Track),
        Event::Inbox(_) => first.map(StreamId::Inbox),
        Event::List(_) => ListId::parse(key).ok().map(StreamId::List),
        Event::ListMember(_) if category == "list" => ListId::parse(key).ok().map(StreamId::List),
        Event::ListMember(_) => {
            let list = ListId::parse(set()?).ok()?;
            Some(StreamId::ListMember(list, first?))
        }
        Event::TenantMember(_) if category == "tenant" => {
            TenantId::parse(key).ok().map(StreamId::Tenant)
        }
        Event::TenantMember(_) => {
            let tenant = TenantId::parse(set()?).ok()?;
            Some(StreamId::TenantMember(tenant, first?))
        }
        Event::Audience(_)
        | Event::Tenant(_)
        | Event::Section(_)
        | Event::Topic(_)
        | Event::PreferencePage(_)
        | Event::Brand(_)
        | Event::Clock(_)
        | Event::Key(_)
        | Event::Webhook(_)
        | Event::Request(_)
        | Event::Message(_)
        | Event::Bulk(_)
        | Event::Template(_) => {
            // These hold no people, so the name is the stream's own.
            let stream = StreamId::parse(&event.stream)?;
            stream.subject().is_none().then_some(stream)
        }
    }
}
