use std::collections::VecDeque;

use event_log::Span;
use serde::Serialize;
use types::{PageLimit, Position, SubjectId, TenantId};

use crate::event_json::EventJson;
use crate::history::{History, HistoryError, Order, Reader};
use crate::person_fields::{FieldChange, PersonFields};
use crate::record::to_envelope;

/// Positions that are taken from the index at a time.
const PIECE: usize = 1_024;

/// An event about a person, and what it changed of them.
#[derive(Debug, Serialize)]
pub struct TimelineEvent {
    #[serde(flatten)]
    pub event: EventJson,
    pub changes: Vec<FieldChange>,
}

/// A page of what happened to a person.
#[derive(Debug, Default)]
pub struct TimelinePage {
    pub items: Vec<TimelineEvent>,
    /// Where to go on, if there is more: after this position, or before it, as the order is.
    pub next: Option<Position>,
}

/// Which part of a person's timeline.
#[derive(Clone, Debug)]
pub struct TimelineQuery {
    pub order: Order,
    /// Exclusive: in the order asked for, only what comes after this.
    pub from: Option<Position>,
    pub limit: PageLimit,
    /// Only what is about this tenant, those below it, and their members and lists.
    pub within: Option<TenantId>,
}

impl History {
    /// Everything that happened to a person, with the fields that each event changed. Every event about
    /// the person up to the page is read, because what was before follows from those before it: the cost
    /// is that of the person's history, and of nobody else's.
    pub fn timeline(
        &self,
        subject: SubjectId,
        query: &TimelineQuery,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<TimelinePage, HistoryError> {
        let head = self.read_models.checkpoint();
        let newest_first = query.order == Order::Descending;
        let before = query.from.filter(|_| newest_first);
        let before = before.unwrap_or(head.next()).min(head.next());
        let after = query.from.filter(|_| !newest_first).unwrap_or_default();
        let mut window = Window::new(query.limit, newest_first);
        let (mut fields, mut from) = (PersonFields::default(), Position::START);
        let mut reader = Reader::of(&*self.store.log);
        'all: loop {
            let span = Span {
                after: from,
                before,
                newest_first: false,
                at_most: PIECE,
            };
            let piece = self.store.log.index().by_subject(subject, span);
            let Some(last) = piece.last() else { break };
            from = *last;
            for position in piece {
                let record = reader.record(position)?;
                let envelope = to_envelope(&record, &self.store.vault)?;
                let changes = fields.apply(&envelope, subject);
                let within = query.within.as_ref();
                let is_seen = within.is_none_or(|root| self.is_within(&record, root));
                if position <= after || !is_seen {
                    continue;
                }
                let event = self.show_within(&record, within)?;
                let bytes = record.payload.len() + record.metadata.len() + weight(&changes);
                if window.push(TimelineEvent { event, changes }, bytes) {
                    break 'all;
                }
            }
            if !still_wanted() {
                break;
            }
        }
        Ok(window.into_page())
    }
}

/// The items of a page: the first that come, or the last.
struct Window {
    items: VecDeque<(TimelineEvent, usize)>,
    bytes: usize,
    rows_max: usize,
    keeps_last: bool,
    more: bool,
}

impl Window {
    fn new(limit: PageLimit, keeps_last: bool) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            rows_max: limit.rows(),
            keeps_last,
            more: false,
        }
    }

    /// Whether the page is full and nothing further can change it.
    fn push(&mut self, item: TimelineEvent, bytes: usize) -> bool {
        let is_full = |window: &Self| {
            window.items.len() >= window.rows_max || window.bytes > PageLimit::BYTES_MAX
        };
        if !self.keeps_last && is_full(self) {
            self.more = true;
            return true;
        }
        while self.keeps_last
            && is_full(self)
            && let Some((_, oldest)) = self.items.pop_front()
        {
            self.bytes -= oldest;
            self.more = true;
        }
        self.bytes += bytes;
        self.items.push_back((item, bytes));
        false
    }

    fn into_page(self) -> TimelinePage {
        let mut items: Vec<TimelineEvent> = self.items.into_iter().map(|(item, _)| item).collect();
        if self.keeps_last {
            items.reverse();
        }
        let last = items.last().map(|item| Position(item.event.position));
        TimelinePage {
            items,
            next: last.filter(|_| self.more),
        }
    }
}

/// What the changes take as JSON, about.
fn weight(changes: &[FieldChange]) -> usize {
    let of = |value: &serde_json::Value| value.to_string().len();
    let bytes = changes
        .iter()
        .map(|it| it.path.len() + of(&it.before) + of(&it.after));
    bytes.sum()
}
