use std::sync::Arc;

use engine::{History, HistoryError};
use events::{BulkEvent, Event, MessageAccepted, MessageEvent, MessageTarget, MessageText};
use projections::{Given, ReadModels};
use rendering::{Content, ContentError};
use serde_json::{Map, Value};
use types::{JsonDocument, Message, MessageId, Position, SubjectId, merge_patch};

/// An accepted message, read for sending it.
#[derive(Debug)]
pub struct Spec {
    pub message: Message,
    /// What is written out in it, if it is.
    pub content: Option<Result<Content, ContentError>>,
    pub targets: Vec<MessageTarget>,
    /// The people whom it names, in the order in which it does.
    pub named: Vec<SubjectId>,
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableSpec),
}

/// The log holds it, and it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableSpec {
    #[error("the one to whom it was is erased")]
    Erased,
    #[error("no message was accepted at this position")]
    NotThere,
    #[error("it is not a message as this version knows them")]
    Malformed,
}

impl Spec {
    pub fn read(history: &History, accepted: Position) -> Result<Self, SpecError> {
        let envelope = history
            .envelope(accepted)?
            .ok_or(UnreadableSpec::NotThere)?;
        let Event::Message(MessageEvent::Accepted(accepted)) = envelope.event else {
            return Err(UnreadableSpec::NotThere.into());
        };
        let MessageAccepted {
            message, targets, ..
        } = accepted;
        let text = match message {
            MessageText::ToMany(text) => text,
            MessageText::ToOne(text) => text.known().cloned().ok_or(UnreadableSpec::Erased)?,
        };
        let message = Message::parse(&text.to_object()).map_err(|_| UnreadableSpec::Malformed)?;
        Ok(Self::new(message, targets, envelope.subjects))
    }

    /// Of what is not written down anywhere.
    pub fn new(message: Message, targets: Vec<MessageTarget>, named: Vec<SubjectId>) -> Self {
        Self {
            content: message.content.as_ref().map(Content::parse),
            message,
            targets,
            named,
        }
    }

    /// What the target adds to the data of the message.
    pub fn target_data(target: &MessageTarget) -> Map<String, Value> {
        match target {
            MessageTarget::List { data, .. }
            | MessageTarget::ListPattern { data, .. }
            | MessageTarget::Audience { data, .. }
            | MessageTarget::Tenant { data, .. } => data
                .as_ref()
                .map(JsonDocument::to_object)
                .unwrap_or_default(),
            MessageTarget::Person(_) | MessageTarget::Bulk { .. } => Map::new(),
        }
    }

    /// All data for somebody: of the message, of the target, and what was given for the person.
    pub(crate) fn data(&self, target: &MessageTarget, given: &Given) -> Map<String, Value> {
        let mut data = self.message.data.clone();
        merge_patch(&mut data, Self::target_data(target));
        merge_patch(&mut data, given.data.clone());
        data
    }
}

/// What was given for one of the people of a bulk job; nothing through any other target.
pub fn given_in_bulk(
    history: &History,
    read_models: &ReadModels,
    target: &MessageTarget,
    subject: SubjectId,
) -> Result<Given, HistoryError> {
    match target {
        MessageTarget::Bulk { job } => {
            GivenInBulk::default().of(history, read_models, job, subject)
        }
        MessageTarget::Person(_)
        | MessageTarget::List { .. }
        | MessageTarget::ListPattern { .. }
        | MessageTarget::Audience { .. }
        | MessageTarget::Tenant { .. } => Ok(Given::default()),
    }
}

/// The message that was accepted at this position as it was written down; nothing if there is none, or
/// the one to whom it was is erased.
pub fn text_of(
    history: &History,
    accepted: Position,
) -> Result<Option<JsonDocument>, HistoryError> {
    let event = history.envelope(accepted)?.map(|it| it.event);
    let Some(Event::Message(MessageEvent::Accepted(accepted))) = event else {
        return Ok(None);
    };
    Ok(match accepted.message {
        MessageText::ToMany(text) => Some(text),
        MessageText::ToOne(text) => text.known().cloned(),
    })
}

/// What was given for the people of a bulk job, as far as it was read: it stands in the log by the
/// thousand.
#[derive(Default)]
pub(crate) struct GivenInBulk {
    read: Option<(Position, Vec<(SubjectId, Given)>)>,
}

impl GivenInBulk {
    pub(crate) fn of(
        &mut self,
        history: &History,
        read_models: &ReadModels,
        job: &MessageId,
        subject: SubjectId,
    ) -> Result<Given, HistoryError> {
        let Some(position) = read_models.bulk_jobs.given_at(job, subject) else {
            return Ok(Given::default());
        };
        if self.read.as_ref().is_none_or(|(held, _)| *held != position) {
            self.read = Some((position, given_at(history, position)?));
        }
        let people = self.read.iter().flat_map(|(_, people)| people);
        let mut found = people.filter(|(who, _)| *who == subject);
        Ok(found
            .next()
            .map(|(_, given)| given.clone())
            .unwrap_or_default())
    }
}

fn given_at(
    history: &History,
    position: Position,
) -> Result<Vec<(SubjectId, Given)>, HistoryError> {
    let Some(envelope) = history.envelope(position)? else {
        return Ok(Vec::new());
    };
    let Event::Bulk(BulkEvent::UsersIngested(ingested)) = envelope.event else {
        return Ok(Vec::new());
    };
    let subjects = envelope.subjects;
    let given = ingested.users.into_iter().filter_map(|user| {
        let subject = subjects.get(user.place as usize)?;
        Some((*subject, Given::parse(user.value.known()?)))
    });
    Ok(given.collect())
}

impl Spec {
    /// What was given in the message for a person whom it names.
    pub fn given_by(target: &MessageTarget) -> Option<Given> {
        match target {
            MessageTarget::Person(person) => Some(
                person
                    .value
                    .known()
                    .map_or_else(Given::default, Given::parse),
            ),
            MessageTarget::List { .. }
            | MessageTarget::ListPattern { .. }
            | MessageTarget::Audience { .. }
            | MessageTarget::Tenant { .. }
            | MessageTarget::Bulk { .. } => None,
        }
    }
}

/// Messages that were read, so that each is read once for all its people.
///
/// Those that name somebody are not held: what they say to or of that person is sealed in the log, and must
/// not stay in clear text here after the person is erased.
#[derive(Default)]
pub(crate) struct Specs {
    held: std::collections::HashMap<Position, Arc<Spec>>,
}

/// Messages held at the same time; each is read again when it is needed again.
const HELD_MAX: usize = 256;

impl Specs {
    pub(crate) fn get(&mut self, history: &History, at: Position) -> Result<Arc<Spec>, SpecError> {
        if let Some(held) = self.held.get(&at) {
            return Ok(Arc::clone(held));
        }
        let spec = Arc::new(Spec::read(history, at)?);
        if !spec.named.is_empty() {
            return Ok(spec);
        }
        if self.held.len() >= HELD_MAX {
            self.held.clear();
        }
        self.held.insert(at, Arc::clone(&spec));
        Ok(spec)
    }
}
