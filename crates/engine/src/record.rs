use std::borrow::Cow;

use event_log::{NewRecord, Record};
use events::{
    AudienceDefined, AudienceEvent, DecodeError, Envelope, Event, ListMemberEvent, Metadata,
    Personal, PreferenceEvent, ProfileEvent, QuietHoursChanged, TenantMemberEvent,
};
use types::filter::{Group, RuleLimits};
use types::{JsonDocument, StreamId, StreamVersion, SubjectId, Timestamp};

/// A record that is intact but does not hold an event that this version understands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("`{0}` is not the name of a stream")]
    Stream(String),
    #[error(transparent)]
    Event(#[from] DecodeError),
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
    let envelope = Envelope {
        position: record.position,
        stream,
        version: record.version,
        recorded_at: record.recorded_at,
        subjects: record.subjects.iter().collect(),
        event: Event::decode(record.event_type, record.schema, record.payload)?,
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
        | (Event::Token(_), StreamId::Token(_)) => about_one,
        (Event::Profile(event), StreamId::Profile(_)) => {
            if let ProfileEvent::Updated(updated) = event
                && !updated.changes.0.is_object()
            {
                return Err("the changes of a profile are not an object");
            }
            about_one
        }
        (Event::Preference(event), StreamId::Preference(_)) => {
            if let PreferenceEvent::QuietHoursChanged(QuietHoursChanged {
                quiet_hours: Some(Personal(hours)),
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
        | (Event::Webhook(_), StreamId::Webhook(_)) => subjects.is_empty(),
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

/// What is given for some of the people of an event is given in their order, and for nobody else.
fn check_places<T>(given: &[(u32, T)], subjects: &[SubjectId]) -> Result<(), &'static str> {
    let places = given.iter().map(|(place, _)| *place as usize);
    if !places.clone().is_sorted_by(|a, b| a < b) || places.max() >= Some(subjects.len()) {
        return Err("something is given for people whom the event does not name");
    }
    Ok(())
}
