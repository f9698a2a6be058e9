use std::sync::Arc;

use domain::limits::EVENTS_EXAMINED_MAX;
use event_log::{Block, EventLog, LogIndex, ReadError, Record, Span};
use events::{Actor, Envelope, Event, Metadata};
use parking_lot::Mutex;
use projections::ReadModels;
use types::{ListId, PageLimit, Position, StreamId, SubjectId, TenantId, Timestamp};

use crate::event_json::EventJson;
use crate::event_store::EventStore;
use crate::record::{RecordError, actor_label, correlation_label, tenant_label, to_envelope};
use crate::replay::ReplayError;
use crate::snapshots::Snapshots;
use crate::tenant_history::{TenantHead, TenantTrees};

/// Positions that are taken from the index at a time.
const PIECE: usize = 1_024;

/// Reads what happened, newest or oldest first.
#[derive(Clone)]
pub struct History {
    pub(crate) store: EventStore,
    pub(crate) read_models: Arc<ReadModels>,
    /// Held by whoever builds the read models of the past: they are as large as those of the
    /// present, so there is one at a time.
    pub(crate) replaying: Arc<Mutex<()>>,
    /// From where they can be built without the whole log.
    pub(crate) snapshots: Option<Arc<Snapshots>>,
    pub(crate) tenant_trees: Arc<Mutex<TenantTrees>>,
}

/// Which events; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct EventsQuery {
    /// The name of a stream as feeds show it, with user ids; or a category and `-*`.
    pub stream: Option<String>,
    /// An event type, or the beginning of one followed by `*`.
    pub event_type: Option<String>,
    /// A user id.
    pub subject: Option<String>,
    /// The id of the credential.
    pub actor: Option<String>,
    pub tenant_id: Option<String>,
    pub correlation_id: Option<String>,
    /// Exclusive.
    pub after: Option<Position>,
    /// Exclusive.
    pub before: Option<Position>,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded then or earlier.
    pub until: Option<Timestamp>,
    pub order: Order,
    pub limit: PageLimit,
    /// A page that holds more bytes than this is not filled further; [`PageLimit::BYTES_MAX`] unless given.
    pub bytes_max: Option<usize>,
    /// Event types of which one has to match, if there are any: each as in `event_type`.
    pub event_types: Vec<String>,
    /// Only what is about this tenant, those below it, and their members and lists.
    pub within: Option<TenantId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
}

/// What is said of an event without reading what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    pub position: Position,
    pub event_type: String,
    pub stream: String,
    /// The people that it is about.
    pub subjects: Vec<SubjectId>,
}

/// One page of events, or of what is made of each.
pub struct EventsPage<T = EventJson> {
    pub items: Vec<T>,
    /// Where to go on, if there may be more: the last position looked at.
    pub next: Option<Position>,
    /// Oldest first: everything up to here has been looked at, and what matches is in this page or in
    /// those before it.
    pub through: Position,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("somebody else is having the log read")]
    Busy,
}

impl History {
    pub fn new(store: EventStore, read_models: Arc<ReadModels>) -> Self {
        Self {
            store,
            read_models,
            replaying: Arc::default(),
            snapshots: None,
            tenant_trees: Arc::default(),
        }
    }

    /// The same, which need not read the whole log for what happened lately.
    #[must_use]
    pub fn with_snapshots(self, snapshots: Arc<Snapshots>) -> Self {
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    pub fn log(&self) -> &dyn EventLog {
        &*self.store.log
    }

    /// The last durable position.
    pub fn head(&self) -> Position {
        self.store.log.head().position
    }

    /// The first position at whose time something holds that holds for all later ones; the one after the
    /// last if it holds for none.
    pub(crate) fn first_position(
        &self,
        holds: impl Fn(Timestamp) -> bool,
    ) -> Result<Position, HistoryError> {
        let mut reader = Reader::of(&*self.store.log);
        first_position(self.read_models.checkpoint(), |position| {
            Ok(holds(reader.record(position)?.recorded_at))
        })
    }

    pub(crate) fn time_of(&self, position: Position) -> Result<Timestamp, HistoryError> {
        Ok(Reader::of(&*self.store.log).record(position)?.recorded_at)
    }

    /// One event; `None` past the end of the log.
    pub fn event(
        &self,
        position: Position,
        within: Option<&TenantId>,
    ) -> Result<Option<EventJson>, HistoryError> {
        if position == Position::START || position > self.read_models.checkpoint() {
            return Ok(None);
        }
        let mut reader = Reader::of(&*self.store.log);
        let record = reader.record(position)?;
        if !within.is_none_or(|root| self.is_within(&record, root)) {
            return Ok(None);
        }
        self.show_within(&record, within).map(Some)
    }

    /// One event with whatever can still be read of it; `None` past the end of the log. While a group is
    /// folded, some read models name its events already that others do not show yet.
    pub fn envelope(&self, position: Position) -> Result<Option<Envelope>, HistoryError> {
        if position == Position::START || position > self.head() {
            return Ok(None);
        }
        let mut reader = Reader::of(&*self.store.log);
        let record = reader.record(position)?;
        Ok(Some(to_envelope(&record, &self.store.vault)?))
    }

    /// The event as whoever reaches no further sees it: without what is above the tenant, and without who
    /// acts for others.
    pub(crate) fn show_within(
        &self,
        record: &Record<'_>,
        within: Option<&TenantId>,
    ) -> Result<EventJson, HistoryError> {
        let mut event = self.show(record)?;
        let Some(root) = within else {
            return Ok(event);
        };
        let key = self.read_models.keys.get(&event.actor.id);
        let tenant = key.and_then(|key| TenantId::parse(&key.tenant_id?).ok());
        let tenants = &self.read_models.tenants;
        if !tenant.is_some_and(|tenant| tenants.is_in_tree(&tenant, root)) {
            event.actor = Actor {
                id: "operator".to_owned(),
                name: "operator".to_owned(),
                on_behalf_of: None,
            };
            event.correlation_id.clone_from(&event.command_id);
        }
        if StreamId::parse(record.stream) == Some(StreamId::Tenant(root.clone())) {
            event.hide_parent();
        }
        Ok(event)
    }

    /// Whether the stream is of this tenant, of one below it, or of what is theirs as it is now.
    fn is_stream_within(&self, stream: &StreamId, root: &TenantId) -> bool {
        let tenants = &self.read_models.tenants;
        let of_list = |list: &ListId| tenants.is_list_in_tree(list, root);
        let of_person = |subject| tenants.is_member_of_tree(root, subject);
        match stream {
            StreamId::Tenant(tenant) | StreamId::TenantMember(tenant, _) => {
                tenants.is_in_tree(tenant, root)
            }
            StreamId::List(list) => of_list(list),
            StreamId::ListMember(list, subject) => of_list(list) && of_person(*subject),
            StreamId::Subject(subject)
            | StreamId::Profile(subject)
            | StreamId::Preference(subject)
            | StreamId::Token(subject)
            | StreamId::Track(subject) => of_person(*subject),
            StreamId::Template(template) => {
                let tenant = template.tenant.as_ref();
                tenant.is_some_and(|it| tenants.is_in_tree(it, root))
            }
            // A message may be in the context of any tenant, and tells what others wrote.
            StreamId::Message(_)
            | StreamId::Bulk(_)
            | StreamId::Inbox(_)
            | StreamId::Audience(_)
            | StreamId::Section(_)
            | StreamId::Topic(_)
            | StreamId::PreferencePage
            | StreamId::Brand(_)
            | StreamId::Clock
            | StreamId::Key(_)
            | StreamId::Webhook(_)
            | StreamId::Request => false,
        }
    }

    /// Whether the event is about this tenant, one below it, or what is theirs as it is now.
    pub(crate) fn is_within(&self, record: &Record<'_>, root: &TenantId) -> bool {
        let tenants = &self.read_models.tenants;
        let everybody_is = || {
            let mut subjects = record.subjects.iter();
            subjects.all(|subject| tenants.is_member_of_tree(root, subject))
        };
        let context_is = || {
            Metadata::decode(record.metadata).is_ok_and(|metadata| {
                let context = metadata.tenant_id.map(|it| TenantId::parse(&it));
                context.is_none_or(|it| it.is_ok_and(|it| tenants.is_in_tree(&it, root)))
            })
        };
        let Some(stream) = StreamId::parse(record.stream) else {
            return false;
        };
        let of_tenant = matches!(stream, StreamId::Tenant(_) | StreamId::TenantMember(..));
        self.is_stream_within(&stream, root) && (of_tenant || everybody_is() && context_is())
    }

    /// How much there is about a tenant up to the present. The first time it reads the whole log, later
    /// what was written since; one asks at a time.
    pub fn tenant_head(
        &self,
        tenant: &TenantId,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<TenantHead, HistoryError> {
        let mut trees = self.tenant_trees.try_lock().ok_or(HistoryError::Busy)?;
        let until = self.read_models.checkpoint();
        trees.head(&*self.store.log, tenant, until, still_wanted)
    }

    /// One page. It may hold fewer events than asked for although there are more, when many had to
    /// be looked at or those found are large: `next` tells. Gives up when nobody wants it any more.
    pub fn page(
        &self,
        query: &EventsQuery,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<EventsPage, HistoryError> {
        let within = query.within.as_ref();
        self.gather(query, still_wanted, |record| {
            self.show_within(record, within).map(Some)
        })
    }

    /// As [`History::page`], of what is said of events from outside.
    pub fn outlines(
        &self,
        query: &EventsQuery,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<EventsPage<Outline>, HistoryError> {
        self.gather(query, still_wanted, |record| {
            Ok(Some(Outline {
                position: record.position,
                event_type: record.event_type.to_owned(),
                stream: record.stream.to_owned(),
                subjects: record.subjects.iter().collect(),
            }))
        })
    }

    /// As [`History::page`], with whatever is made of each event; nothing where it is not wanted.
    pub(crate) fn gather<T>(
        &self,
        query: &EventsQuery,
        still_wanted: &dyn Fn() -> bool,
        show: impl Fn(&Record<'_>) -> Result<Option<T>, HistoryError>,
    ) -> Result<EventsPage<T>, HistoryError> {
        // Before it is asked whom the conditions name: who is not known now may be named later, by events
        // after this one.
        let head = self.read_models.checkpoint();
        let mut page = EventsPage {
            items: Vec::new(),
            next: None,
            through: head,
        };
        let Some(selection) = self.selection(query) else {
            return Ok(page);
        };
        let mut reader = Reader::of(&*self.store.log);
        let (after, before) = bounds(query, head, &mut reader)?;
        let mut from = if query.order == Order::Ascending {
            after
        } else {
            before
        };
        let (mut examined, mut bytes) = (0, 0);
        loop {
            let (after, before) = match query.order {
                Order::Ascending => (from, before),
                Order::Descending => (after, from),
            };
            let newest_first = query.order == Order::Descending;
            let span = Span {
                after,
                before,
                newest_first,
                at_most: PIECE,
            };
            let candidates = selection.candidates(self.store.log.index(), span);
            if candidates.is_empty() {
                return Ok(page);
            }
            if !still_wanted() {
                page.through = from;
                return Ok(page);
            }
            for position in candidates {
                if examined == EVENTS_EXAMINED_MAX {
                    page.next = Some(from);
                    page.through = from;
                    return Ok(page);
                }
                examined += 1;
                let record = reader.record(position)?;
                if selection.accepts(&record)?
                    && query
                        .within
                        .as_ref()
                        .is_none_or(|it| self.is_within(&record, it))
                    && let Some(item) = show(&record)?
                {
                    let full = page.items.len() == query.limit.rows();
                    if full || bytes > query.bytes_max.unwrap_or(PageLimit::BYTES_MAX) {
                        page.next = Some(from);
                        page.through = from;
                        return Ok(page);
                    }
                    bytes += record.payload.len() + record.metadata.len();
                    page.items.push(item);
                }
                from = position;
            }
        }
    }

    /// What kind of event stands at each of these positions, which are ascending.
    pub(crate) fn types_at(
        &self,
        positions: impl Iterator<Item = Position>,
    ) -> Result<Vec<String>, HistoryError> {
        let mut reader = Reader::of(&*self.store.log);
        positions
            .map(|position| Ok(reader.record(position)?.event_type.to_owned()))
            .collect()
    }

    fn show(&self, record: &Record<'_>) -> Result<EventJson, HistoryError> {
        let subjects = &self.read_models.subjects;
        Ok(EventJson::from_record(
            record,
            &self.store.vault,
            |subject| subjects.user_id(subject),
        )?)
    }

    /// `None` if a condition names somebody who is not known, so that nothing can match.
    fn selection(&self, query: &EventsQuery) -> Option<Selection> {
        let within = query.within.as_ref();
        let tenants = &self.read_models.tenants;
        let subject = match query.subject.as_deref() {
            Some(user_id) => Some(self.read_models.subjects.named(user_id)?),
            None => None,
        };
        // Who is beyond reach is as who is not known, also to whoever counts how far a page has looked.
        if let (Some(root), Some(subject)) = (within, subject)
            && !tenants.is_member_of_tree(root, subject)
        {
            return None;
        }
        let category = query.stream.as_deref().and_then(category_of);
        let one = query.stream.as_deref().filter(|_| category.is_none());
        let mut streams = one.map(|shown| self.streams(shown));
        if let (Some(root), Some(streams)) = (within, &mut streams) {
            streams.retain(|stream| self.is_stream_within(stream, root));
            if streams.is_empty() {
                return None;
            }
        }
        Some(Selection {
            streams,
            subject,
            types: types(query, category),
            category: category.map(|category| format!("{category}-")),
            actor: query.actor.clone(),
            tenant_id: query.tenant_id.clone(),
            correlation_id: query.correlation_id.clone(),
        })
    }

    /// The streams that are shown by this name: a list id and a user id may both hold a colon, so
    /// there can be several.
    fn streams(&self, shown: &str) -> Vec<StreamId> {
        let number = |user_id: &str| self.read_models.subjects.named(user_id);
        let (category, key) = shown.split_once('-').unwrap_or((shown, ""));
        match category {
            "subject" => number(key).map(StreamId::Subject).into_iter().collect(),
            "profile" => number(key).map(StreamId::Profile).into_iter().collect(),
            "preference" => number(key).map(StreamId::Preference).into_iter().collect(),
            "token" => number(key).map(StreamId::Token).into_iter().collect(),
            "track" => number(key).map(StreamId::Track).into_iter().collect(),
            "inbox" => number(key).map(StreamId::Inbox).into_iter().collect(),
            "tenant_member" => key
                .match_indices(':')
                .filter_map(|(colon, _)| {
                    let tenant = TenantId::parse(&key[..colon]).ok()?;
                    let subject = number(&key[colon + 1..])?;
                    Some(StreamId::TenantMember(tenant, subject))
                })
                .collect(),
            "list" => ListId::parse(key)
                .ok()
                .map(StreamId::List)
                .into_iter()
                .collect(),
            "list_member" => key
                .match_indices(':')
                .filter_map(|(colon, _)| {
                    let list = ListId::parse(&key[..colon]).ok()?;
                    Some(StreamId::ListMember(list, number(&key[colon + 1..])?))
                })
                .collect(),
            _ => StreamId::parse(shown)
                .filter(|stream| stream.subject().is_none())
                .into_iter()
                .collect(),
        }
    }
}

/// The positions between which to look, both exclusive, times included.
fn bounds(
    query: &EventsQuery,
    head: Position,
    reader: &mut Reader<'_>,
) -> Result<(Position, Position), HistoryError> {
    let mut after = query.after.unwrap_or_default();
    let mut before = query.before.unwrap_or(head.next()).min(head.next());
    if let Some(since) = query.since {
        let first = first_position(head, |position| {
            Ok(reader.record(position)?.recorded_at >= since)
        })?;
        after = after.max(Position(first.0 - 1));
    }
    if let Some(until) = query.until {
        let end = first_position(head, |position| {
            Ok(reader.record(position)?.recorded_at > until)
        })?;
        before = before.min(end);
    }
    Ok((after, before))
}

/// The first position for which something holds that holds for all later ones; the one after the
/// head if it holds for none.
fn first_position(
    head: Position,
    mut holds: impl FnMut(Position) -> Result<bool, HistoryError>,
) -> Result<Position, HistoryError> {
    let (mut first, mut end) = (1, head.0 + 1);
    while first < end {
        let middle = first.midpoint(end);
        if holds(Position(middle))? {
            end = middle;
        } else {
            first = middle + 1;
        }
    }
    Ok(Position(first))
}

/// Reads records one by one, and keeps the block of the last one: neighbours often share it.
pub(crate) struct Reader<'a> {
    log: &'a dyn EventLog,
    block: Option<Block>,
}

impl<'a> Reader<'a> {
    pub(crate) fn of(log: &'a dyn EventLog) -> Self {
        Self { log, block: None }
    }

    pub(crate) fn record(&mut self, position: Position) -> Result<Record<'_>, ReadError> {
        let holds =
            |block: &Block| block.header().first <= position && position <= block.header().last();
        if !self.block.as_ref().is_some_and(holds) {
            let raw = self.log.read(position, 1)?.into_iter().next();
            let raw = raw.ok_or_else(|| ReadError::damaged(position, "no block holds it"))?;
            self.block = Some(raw.decode()?);
        }
        match &self.block {
            Some(block) => block.record(position),
            None => Err(ReadError::damaged(position, "no block holds it")),
        }
    }
}

struct Selection {
    streams: Option<Vec<StreamId>>,
    /// With what the names of streams begin.
    category: Option<String>,
    subject: Option<SubjectId>,
    types: Option<Vec<&'static str>>,
    actor: Option<String>,
    tenant_id: Option<String>,
    correlation_id: Option<String>,
}

impl Selection {
    /// A piece of the positions in the span that may match: those of the narrowest condition that
    /// the index knows. The record answers for the others.
    fn candidates(&self, index: &LogIndex, span: Span) -> Vec<Position> {
        if let Some(subject) = self.subject {
            return index.by_subject(subject, span);
        }
        if let Some(streams) = &self.streams {
            let of_stream = |stream: &StreamId| match stream.subject() {
                Some(subject) => index.by_subject(subject, span),
                None => index.by_stream(stream, span),
            };
            return merged(streams.iter().map(of_stream), span);
        }
        if let Some(id) = &self.correlation_id {
            return index.by_rare_label(correlation_label(id), span);
        }
        let actor = self.actor.as_deref().map(actor_label);
        let tenant = self.tenant_id.as_deref().map(tenant_label);
        let labels = actor.into_iter().chain(tenant);
        let counted = labels.map(|label| (index.count_common_label(label), label));
        let of_types = self.types.as_ref().map(|types| {
            let counts = types.iter().map(|name| index.count_type(name));
            counts.sum::<u64>()
        });
        if let Some((count, label)) = counted.min()
            && of_types.is_none_or(|of_types| count < of_types)
        {
            return index.by_common_label(label, span);
        }
        if let Some(types) = &self.types {
            return merged(types.iter().map(|name| index.by_type(name, span)), span);
        }
        let all = span.after.0.saturating_add(1)..span.before.0;
        if span.newest_first {
            all.rev().take(span.at_most).map(Position).collect()
        } else {
            all.take(span.at_most).map(Position).collect()
        }
    }

    fn accepts(&self, record: &Record<'_>) -> Result<bool, RecordError> {
        let in_stream = |streams: &Vec<StreamId>| {
            StreamId::parse(record.stream).is_some_and(|stream| streams.contains(&stream))
        };
        let in_category = |category: &String| record.stream.starts_with(category.as_str());
        let found = self.streams.as_ref().is_none_or(in_stream)
            && self.category.as_ref().is_none_or(in_category)
            && self
                .subject
                .is_none_or(|subject| record.subjects.iter().any(|it| it == subject))
            && self
                .types
                .as_ref()
                .is_none_or(|types| types.contains(&record.event_type));
        if !found || (&self.actor, &self.tenant_id, &self.correlation_id) == (&None, &None, &None) {
            return Ok(found);
        }
        let metadata = Metadata::decode(record.metadata)?;
        let correlation_id = metadata
            .correlation_id
            .unwrap_or_else(|| metadata.command_id.to_string());
        Ok(self
            .actor
            .as_ref()
            .is_none_or(|actor| *actor == metadata.actor.id)
            && (self.tenant_id.is_none() || self.tenant_id == metadata.tenant_id)
            && self
                .correlation_id
                .as_ref()
                .is_none_or(|id| *id == correlation_id))
    }
}

/// Several lists of positions as one, in the order asked for and no longer than asked for: past that
/// nothing is known of those lists that were cut.
fn merged(lists: impl Iterator<Item = Vec<Position>>, span: Span) -> Vec<Position> {
    let mut positions: Vec<Position> = lists.flatten().collect();
    positions.sort_unstable();
    positions.dedup();
    if span.newest_first {
        positions.reverse();
    }
    positions.truncate(span.at_most);
    positions
}

/// The types that may match; any if nothing is said of them.
fn types(query: &EventsQuery, category: Option<&str>) -> Option<Vec<&'static str>> {
    let one = query.event_type.as_deref().map(types_matching);
    let several = query.event_types.iter().flat_map(|it| types_matching(it));
    let several = (!query.event_types.is_empty()).then(|| several.collect::<Vec<_>>());
    let of_category = category.map(types_of_category);
    let mut conditions = [one, several, of_category].into_iter().flatten();
    let mut types = conditions.next()?;
    for others in conditions {
        types.retain(|name| others.contains(name));
    }
    types.sort_unstable();
    types.dedup();
    Some(types)
}

/// The category, if that is what is meant.
fn category_of(shown: &str) -> Option<&str> {
    let category = shown.strip_suffix("-*")?;
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    category.bytes().all(is_word).then_some(category)
}

/// The types of events that stand in streams of the category.
fn types_of_category(category: &str) -> Vec<&'static str> {
    let (set, is_member) = match category.strip_suffix("_member") {
        Some(set) => (set, true),
        None => (category, false),
    };
    let stands_there = |name: &&str| {
        let Some((aggregate, verb)) = name.split_once('.') else {
            return false;
        };
        let of_member = matches!(aggregate, "list" | "tenant") && verb.starts_with("member_");
        aggregate == set && of_member == is_member
    };
    let mut types: Vec<&'static str> = event_types().filter(stands_there).collect();
    types.dedup();
    types
}

/// Every type of event that there is.
pub fn event_types() -> impl Iterator<Item = &'static str> {
    Event::types().map(|(name, _)| name)
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
