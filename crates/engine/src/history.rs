use std::sync::Arc;

use domain::limits::EVENTS_EXAMINED_MAX;
use event_log::{EventLog, ReadError};
use events::Event;
use projections::ReadModels;
use types::{ListId, PageLimit, Position, StreamId, SubjectId};

use crate::event_json::EventJson;
use crate::record::RecordError;

/// Reads what happened, newest or oldest first.
#[derive(Clone)]
pub struct History {
    log: Arc<dyn EventLog>,
    read_models: Arc<ReadModels>,
}

/// Which events; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct EventsQuery {
    /// The name of a stream as feeds show it, with user ids.
    pub stream: Option<String>,
    /// An event type, or the beginning of one followed by `*`.
    pub event_type: Option<String>,
    /// A user id.
    pub subject: Option<String>,
    /// Exclusive.
    pub after: Option<Position>,
    /// Exclusive.
    pub before: Option<Position>,
    pub order: Order,
    pub limit: PageLimit,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
}

pub struct EventsPage {
    pub items: Vec<EventJson>,
    /// Where to go on, if there may be more: the last position looked at.
    pub next: Option<Position>,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl History {
    pub fn new(log: Arc<dyn EventLog>, read_models: Arc<ReadModels>) -> Self {
        Self { log, read_models }
    }

    /// One event; `None` past the end of the log.
    pub fn event(&self, position: Position) -> Result<Option<EventJson>, HistoryError> {
        if position == Position::START || position > self.read_models.checkpoint() {
            return Ok(None);
        }
        self.read(position, |_| true)
    }

    /// One page. It may hold fewer events than asked for although there are more, when many had to
    /// be looked at: `next` tells.
    pub fn page(&self, query: &EventsQuery) -> Result<EventsPage, HistoryError> {
        let nothing = EventsPage {
            items: Vec::new(),
            next: None,
        };
        let streams = query.stream.as_deref().map(|shown| self.streams(shown));
        let subject = match query.subject.as_deref() {
            None => None,
            Some(user_id) => match self.read_models.subjects.number(user_id) {
                Some(subject) => Some(subject),
                None => return Ok(nothing),
            },
        };
        let types = query.event_type.as_deref().map(types_matching);
        let head = self.read_models.checkpoint();
        let after = query.after.unwrap_or_default();
        let before = query.before.unwrap_or(head.next()).min(head.next());
        let selection = Selection {
            streams,
            subject,
            types,
        };
        let mut page = nothing;
        let mut from = match query.order {
            Order::Ascending => after,
            Order::Descending => before,
        };
        let mut examined = 0;
        loop {
            let (after, before) = match query.order {
                Order::Ascending => (from, before),
                Order::Descending => (after, from),
            };
            let candidates = self.candidates(&selection, after, before, query.order);
            if candidates.is_empty() {
                return Ok(page);
            }
            for position in candidates {
                if page.items.len() == query.limit.rows() || examined == EVENTS_EXAMINED_MAX {
                    page.next = Some(from);
                    return Ok(page);
                }
                from = position;
                examined += 1;
                page.items
                    .extend(self.read(position, |record| selection.accepts(record))?);
            }
        }
    }

    fn read(
        &self,
        position: Position,
        accepts: impl Fn(&event_log::Record<'_>) -> bool,
    ) -> Result<Option<EventJson>, HistoryError> {
        let Some(raw) = self.log.read(position, 1)?.into_iter().next() else {
            return Ok(None);
        };
        let block = raw.decode()?;
        let record = block.record(position)?;
        if !accepts(&record) {
            return Ok(None);
        }
        Ok(Some(EventJson::from_record(
            &record,
            &self.read_models.subjects,
        )?))
    }

    /// A piece of the positions between the bounds, both exclusive, that may match.
    fn candidates(
        &self,
        selection: &Selection,
        after: Position,
        before: Position,
        order: Order,
    ) -> Vec<Position> {
        const PIECE: usize = 1_024;
        let index = self.log.index();
        let newest_first = order == Order::Descending;
        let span = event_log::Span {
            after,
            before,
            newest_first,
            at_most: PIECE,
        };
        // The narrowest condition that the index knows; the record answers for the others.
        if let Some(subject) = selection.subject {
            return index.by_subject(subject, span);
        }
        if let Some(streams) = &selection.streams {
            let mut positions: Vec<Position> = streams
                .iter()
                .flat_map(|stream| match stream.subject() {
                    Some(subject) => index.by_subject(subject, span),
                    None => index.by_stream(stream, span),
                })
                .collect();
            positions.sort_unstable();
            positions.dedup();
            return cut(positions, span);
        }
        if let Some(types) = &selection.types {
            let mut positions: Vec<Position> = types
                .iter()
                .flat_map(|event_type| index.by_type(event_type, span))
                .collect();
            positions.sort_unstable();
            return cut(positions, span);
        }
        let span_of = after.0 + 1..before.0;
        if newest_first {
            span_of.rev().take(PIECE).map(Position).collect()
        } else {
            span_of.take(PIECE).map(Position).collect()
        }
    }

    /// The streams that are shown by this name: a list id and a user id may both hold a colon, so
    /// there can be several.
    fn streams(&self, shown: &str) -> Vec<StreamId> {
        let number = |user_id: &str| self.read_models.subjects.number(user_id);
        let mut streams = Vec::new();
        if let Some(user_id) = shown.strip_prefix("subject-") {
            streams.extend(number(user_id).map(StreamId::Subject));
        }
        if let Some(user_id) = shown.strip_prefix("profile-") {
            streams.extend(number(user_id).map(StreamId::Profile));
        }
        if let Some(rest) = shown.strip_prefix("list-member-") {
            streams.extend(rest.match_indices(':').filter_map(|(colon, _)| {
                let list = ListId::parse(&rest[..colon]).ok()?;
                Some(StreamId::ListMember(list, number(&rest[colon + 1..])?))
            }));
        }
        if let Some(list) = shown
            .strip_prefix("list-")
            .and_then(|list| ListId::parse(list).ok())
        {
            streams.push(StreamId::List(list));
        }
        if let Some(id) = shown.strip_prefix("key-") {
            streams.push(StreamId::Key(id.to_owned()));
        }
        streams
    }
}

/// Puts ascending positions into the order asked for, and keeps no more than asked for: of several
/// lists only as much is known as each of them gave.
fn cut(mut positions: Vec<Position>, span: event_log::Span) -> Vec<Position> {
    if span.newest_first {
        positions.reverse();
    }
    positions.truncate(span.at_most);
    positions
}

struct Selection {
    streams: Option<Vec<StreamId>>,
    subject: Option<SubjectId>,
    types: Option<Vec<&'static str>>,
}

impl Selection {
    fn accepts(&self, record: &event_log::Record<'_>) -> bool {
        let in_stream = |streams: &Vec<StreamId>| {
            StreamId::parse(record.stream).is_some_and(|stream| streams.contains(&stream))
        };
        self.streams.as_ref().is_none_or(in_stream)
            && self
                .subject
                .is_none_or(|subject| record.subjects.iter().any(|it| it == subject))
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&record.event_type))
    }
}

fn types_matching(pattern: &str) -> Vec<&'static str> {
    let mut types: Vec<&'static str> = Event::types()
        .map(|(name, _)| name)
        .filter(|name| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *name == pattern,
        })
        .collect();
    types.dedup();
    types
}
