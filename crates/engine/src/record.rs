use std::borrow::Cow;

use event_log::{Labels, NewRecord, Record};
use events::{
    AudienceDefined, AudienceEvent, BulkEvent, DecodeError, Envelope, Event, ListMemberEvent,
    MessageEvent, MessageTarget, MessageText, Metadata, OfPerson, Personal, PreferenceEvent,
    ProfileEvent, QuietHoursChanged, TenantMemberEvent,
};
use types::filter::{Group, RuleLimits};
use types::{EventId, JsonDocument, StreamId, StreamVersion, SubjectId, Timestamp};
use vault::Vault;

use crate::sealing::{self, SealError};

/// A record that is intact but does not hold an event that this version understands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("`{0}` is not the name of a stream")]
    Stream(String),
    #[error(transparent)]
    Event(#[from] DecodeError),
    #[error(transparent)]
    Sealed(#[from] SealError),
    #[error("{0}")]
    Shape(&'static str),
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
    pub(crate) fn to_record(&self, vault: &Vault) -> Result<NewRecord, SealError> {
        let event_id = EventId::of(self.metadata.command_id, self.metadata.ordinal);
        let payload = self.event.encode();
        Ok(NewRecord {
            stream: self.stream.clone(),
            version: self.version,
            event_type: Cow::Borrowed(self.event.event_type()),
            schema: self.event.schema(),
            recorded_at: self.recorded_at,
            subjects: self.subjects.clone(),
            labels: labels(&self.metadata),
            metadata: self.metadata.encode(),
            payload: sealing::seal(&payload, &self.subjects, event_id, vault)?,
        })
    }
}

/// By which credential, tenant and request an event is found. Stored beside the log: what they are made
/// of must not change.
pub(crate) fn actor_label(id: &str) -> u32 {
    Labels::of(b'a', id)
}

pub(crate) fn tenant_label(id: &str) -> u32 {
    Labels::of(b't', id)
}

pub(crate) fn correlation_label(id: &str) -> u32 {
    Labels::of(b'c', id)
}

fn labels(metadata: &Metadata) -> Labels {
    let tenant = metadata.tenant_id.as_deref().map(tenant_label);
    let correlation = match &metadata.correlation_id {
        Some(id) => correlation_label(id),
        None => correlation_label(&metadata.command_id.to_string()),
    };
    Labels {
        common: std::iter::once(actor_label(&metadata.actor.id))
            .chain(tenant)
            .collect(),
        rare: Some(correlation),
    }
}

/// By what a record with this metadata is found; by nothing if that cannot be read, which whoever reads
/// the record is told.
pub fn labels_of(metadata: &[u8]) -> Labels {
    Metadata::decode(metadata).map_or_else(|_| Labels::default(), |it| labels(&it))
}

/// The event of a record. What is of people whose keys are destroyed is [`Personal::Erased`].
pub fn to_envelope(record: &Record<'_>, vault: &Vault) -> Result<Envelope, RecordError> {
    let stream = StreamId::parse(record.stream)
        .ok_or_else(|| RecordError::Stream(record.stream.to_owned()))?;
    let envelope = Envelope {
        position: record.position,
        stream,
        version: record.version,
        recorded_at: record.recorded_at,
        subjects: record.subjects.iter().collect(),
        event: Event::decode(
            record.event_type,
            record.schema,
            sealing::open(record, vault)?,
        )?,
    };
    check_shape(&envelope).map_err(RecordError::Shape)?;
    Ok(envelope)
}

/// An event stands in a stream of its kind, and is about whom that stream is about. The writer makes
/// no others; one that was taken in from outside would be folded wrongly or not at all.
fn check_shape(envelope: &Envelope) -> Result<(), &'static str> {
    let Envelope {
        stream,
        subjects,
        event,
        ..
    } = envelope;
    let about_one = stream
        .subject()
        .is_some_and(|subject| subjects[..] == [subject]);
    let fits = match (event, stream) {
        (Event::Subject(_), StreamId::Subject(_))
        | (
            Event::ListMember(
                ListMemberEvent::Added(_)
                | ListMemberEvent::Updated(_)
                | ListMemberEvent::Removed(_),
            ),
            StreamId::ListMember(..),
        )
        | (
            Event::TenantMember(
                TenantMemberEvent::Added(_)
                | TenantMemberEvent::Updated(_)
                | TenantMemberEvent::Removed(_),
            ),
            StreamId::TenantMember(..),
        )
        | (Event::Token(_), StreamId::Token(_))
        | (Event::Track(_), StreamId::Track(_))
        | (Event::Inbox(_), StreamId::Inbox(_)) => about_one,
        (Event::Profile(event), StreamId::Profile(_)) => {
            if let ProfileEvent::Updated(updated) = event
                && updated.changes.known().is_some_and(|it| !it.is_object())
            {
                return Err("the changes of a profile are not an object");
            }
            about_one
        }
        (Event::Preference(event), StreamId::Preference(_)) => {
            if let PreferenceEvent::QuietHoursChanged(QuietHoursChanged {
                quiet_hours: Some(Personal::Known(hours)),
            }) = event
                && !hours.is_valid()
            {
                return Err("the quiet hours have no days, or times that no day has");
            }
            about_one
        }
        (Event::List(_), StreamId::List(_))
        | (Event::Tenant(_), StreamId::Tenant(_))
        | (Event::Section(_), StreamId::Section(_))
        | (Event::Topic(_), StreamId::Topic(_))
        | (Event::PreferencePage(_), StreamId::PreferencePage)
        | (Event::Brand(_), StreamId::Brand(_))
        | (Event::Clock(_), StreamId::Clock)
        | (Event::Key(_), StreamId::Key(_))
        | (Event::Webhook(_), StreamId::Webhook(_))
        | (Event::Template(_), StreamId::Template(_)) => subjects.is_empty(),
        (Event::Message(event), StreamId::Message(_)) => return check_message(event, subjects),
        (Event::Bulk(event), StreamId::Bulk(_)) => match event {
            BulkEvent::UsersIngested(ingested) => {
                check_places(&ingested.users, subjects)?;
                !subjects.is_empty()
            }
            BulkEvent::Created(_) | BulkEvent::Started(_) => subjects.is_empty(),
        },
        (Event::Request(_), StreamId::Request) => subjects.len() <= 1,
        (Event::Audience(event), StreamId::Audience(_)) => {
            if let AudienceEvent::Defined(AudienceDefined {
                filter: Some(filter),
                ..
            }) = event
            {
                let rule = Group::parse(&filter.to_value(), None, RuleLimits::STORED);
                if !rule.is_ok_and(|rule| JsonDocument::from_value(&rule.to_value()) == *filter) {
                    return Err("the filter of an audience is not a rule in its current shape");
                }
            }
            subjects.is_empty()
        }
        (Event::ListMember(ListMemberEvent::ManyAdded(added)), StreamId::List(_)) => {
            check_places(&added.preferences, subjects)?;
            !subjects.is_empty()
        }
        (Event::TenantMember(TenantMemberEvent::ManyAdded(added)), StreamId::Tenant(_)) => {
            check_places(&added.profiles, subjects)?;
            !subjects.is_empty()
        }
        (Event::ListMember(ListMemberEvent::ManyRemoved(_)), StreamId::List(_))
        | (Event::TenantMember(TenantMemberEvent::ManyRemoved(_)), StreamId::Tenant(_)) => {
            !subjects.is_empty()
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err("the event does not belong into this stream, or names others")
    }
}

/// A message names its people one after the other, and tells of each in their order.
fn check_message(event: &MessageEvent, subjects: &[SubjectId]) -> Result<(), &'static str> {
    const WRONG: &str = "a message tells of people whom it does not name, or of none whom it names";
    let fits = match event {
        MessageEvent::Accepted(accepted) => {
            // Everybody in the order in which they are named first.
            let mut known = 0;
            let in_order = accepted.targets.iter().all(|target| match target {
                MessageTarget::Person(person) => {
                    let place = person.place as usize;
                    known += usize::from(place == known);
                    place < known
                }
                MessageTarget::List { .. }
                | MessageTarget::ListPattern { .. }
                | MessageTarget::Audience { .. }
                | MessageTarget::Tenant { .. }
                | MessageTarget::Bulk { .. } => true,
            });
            let is_alone = matches!(accepted.targets[..], [MessageTarget::Person(_)]);
            let is_to_one = matches!(accepted.message, MessageText::ToOne(_));
            in_order && known == subjects.len() && is_alone == is_to_one
        }
        MessageEvent::Resolved(_) | MessageEvent::Archived(_) => subjects.is_empty(),
        MessageEvent::Settled(settled) => {
            check_places(&settled.receipts, subjects)?;
            let counts = settled.outcomes.iter().map(|(_, count)| *count as usize);
            counts.sum::<usize>() == subjects.len()
        }
        MessageEvent::Canceled(_) => true,
    };
    if fits { Ok(()) } else { Err(WRONG) }
}

/// What is given for some of the people of an event is given in their order, and for nobody else.
fn check_places<T>(given: &[OfPerson<T>], subjects: &[SubjectId]) -> Result<(), &'static str> {
    let places = given.iter().map(|it| it.place as usize);
    if !places.clone().is_sorted_by(|a, b| a < b) || places.max() >= Some(subjects.len()) {
        return Err("something is given for people whom the event does not name");
    }
    Ok(())
}
