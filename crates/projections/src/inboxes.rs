use std::collections::{BTreeMap, HashMap};
use std::io;

use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, InboxEvent};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::{InboxMark, MessageId, Position, StreamId, SubjectId, TenantId, Timestamp};

use crate::by_subject::BySubject;
use crate::{Digest, Projection};

/// Messages that one inbox holds; beyond it the oldest go, which the log keeps.
pub const INBOX_MESSAGES_MAX: usize = 10_000;

/// What lies in the inboxes of people. What each says stays in the log.
#[derive(Default)]
pub struct Inboxes {
    people: RwLock<BySubject<Inbox>>,
}

#[derive(Default)]
struct Inbox {
    messages: BTreeMap<Position, InboxMessage>,
    /// Where each message lies. A message comes to somebody once, since whoever is settled stays so.
    places: HashMap<MessageId, Position>,
    /// How often it has changed since the start.
    revision: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxMessage {
    pub message: MessageId,
    pub tenant: Option<TenantId>,
    pub received_at: Timestamp,
    pub opened_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub archived_at: Option<Timestamp>,
    pub clicked_at: Option<Timestamp>,
}

/// Which messages of an inbox are wanted. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    pub tenant: Option<TenantId>,
    pub read: Option<bool>,
    pub archived: Option<bool>,
}

impl InboxMessage {
    /// Whether the mark would change something.
    pub fn would_change(&self, mark: InboxMark) -> bool {
        match mark {
            InboxMark::Opened => self.opened_at.is_none(),
            InboxMark::Read => self.read_at.is_none(),
            InboxMark::Unread => self.read_at.is_some(),
            InboxMark::Archived => self.archived_at.is_none(),
            InboxMark::Unarchived => self.archived_at.is_some(),
            InboxMark::Clicked => self.clicked_at.is_none(),
        }
    }

    fn mark(&mut self, mark: InboxMark, at: Timestamp) {
        match mark {
            InboxMark::Opened => {
                self.opened_at.get_or_insert(at);
            }
            InboxMark::Read => {
                self.read_at.get_or_insert(at);
                self.opened_at.get_or_insert(at);
            }
            InboxMark::Unread => self.read_at = None,
            InboxMark::Archived => {
                self.archived_at.get_or_insert(at);
            }
            InboxMark::Unarchived => self.archived_at = None,
            InboxMark::Clicked => {
                self.clicked_at.get_or_insert(at);
                self.opened_at.get_or_insert(at);
            }
        }
    }
}

impl InboxFilter {
    fn wants(&self, message: &InboxMessage) -> bool {
        let is_tenant = self.tenant.is_none() || self.tenant == message.tenant;
        is_tenant
            && self.read.is_none_or(|it| it == message.read_at.is_some())
            && self
                .archived
                .is_none_or(|it| it == message.archived_at.is_some())
    }
}

impl Inbox {
    fn of(messages: BTreeMap<Position, InboxMessage>) -> Self {
        let places = messages.iter();
        let places = places.map(|(place, it)| (it.message.clone(), *place));
        Self {
            places: places.collect(),
            messages,
            revision: 0,
        }
    }

    fn receive(&mut self, place: Position, message: InboxMessage) {
        self.revision += 1;
        self.places.insert(message.message.clone(), place);
        self.messages.insert(place, message);
        if self.messages.len() > INBOX_MESSAGES_MAX
            && let Some((_, oldest)) = self.messages.pop_first()
        {
            self.places.remove(&oldest.message);
        }
    }

    fn mark(&mut self, messages: &[MessageId], mark: InboxMark, at: Timestamp) {
        self.revision += 1;
        for message in messages {
            let place = self.places.get(message);
            if let Some(message) = place.and_then(|it| self.messages.get_mut(it)) {
                message.mark(mark, at);
            }
        }
    }
}

impl Inboxes {
    /// Newest first, those before a place, and whether there are more.
    pub fn page(
        &self,
        subject: SubjectId,
        filter: &InboxFilter,
        before: Option<Position>,
        limit: usize,
    ) -> (Vec<(Position, InboxMessage)>, bool) {
        let people = self.people.read();
        let Some(inbox) = people.get(subject) else {
            return (Vec::new(), false);
        };
        let end = before.unwrap_or(Position(u64::MAX));
        let wanted = inbox
            .messages
            .range(..end)
            .rev()
            .filter(|(_, it)| filter.wants(it));
        let wanted = wanted.take(limit + 1);
        let mut found: Vec<_> = wanted.map(|(place, it)| (*place, it.clone())).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }

    /// Oldest first, those after a place, so many at most.
    pub fn since(
        &self,
        subject: SubjectId,
        filter: &InboxFilter,
        after: Position,
        at_most: usize,
    ) -> Vec<(Position, InboxMessage)> {
        let people = self.people.read();
        let Some(inbox) = people.get(subject) else {
            return Vec::new();
        };
        let since = inbox.messages.range(after.next()..);
        let wanted = since.filter(|(_, it)| filter.wants(it)).take(at_most);
        wanted.map(|(place, it)| (*place, it.clone())).collect()
    }

    /// How many messages are not read and not archived.
    pub fn unread_count(&self, subject: SubjectId, tenant: Option<&TenantId>) -> usize {
        let filter = InboxFilter {
            tenant: tenant.cloned(),
            read: Some(false),
            archived: Some(false),
        };
        let people = self.people.read();
        let inbox = people
            .get(subject)
            .into_iter()
            .flat_map(|it| it.messages.values());
        inbox.filter(|message| filter.wants(message)).count()
    }

    /// How often an inbox has changed since the start; that of nobody never does.
    pub fn revision(&self, subject: SubjectId) -> u64 {
        let people = self.people.read();
        people.get(subject).map_or(0, |it| it.revision)
    }

    pub fn get(&self, subject: SubjectId, message: &str) -> Option<(Position, InboxMessage)> {
        let people = self.people.read();
        let inbox = people.get(subject)?;
        let place = *inbox.places.get(message)?;
        Some((place, inbox.messages.get(&place)?.clone()))
    }

    pub fn knows(&self, subject: SubjectId) -> bool {
        self.people.read().knows(subject)
    }

    /// Everybody in whose inbox something lies, or lay.
    pub(crate) fn everybody(&self) -> RoaringBitmap {
        self.people.read().everybody().clone()
    }

    /// The messages that are wanted, all of them.
    pub fn all(&self, subject: SubjectId, filter: &InboxFilter) -> Vec<InboxMessage> {
        let people = self.people.read();
        let inbox = people
            .get(subject)
            .into_iter()
            .flat_map(|it| it.messages.values());
        inbox.filter(|it| filter.wants(it)).cloned().collect()
    }
}

impl Inboxes {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let people = self.people.read();
        let people = people.in_order();
        out.put_all(people.map(|(subject, inbox)| (subject, &inbox.messages)))
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let people = input.take_all::<(SubjectId, _)>()?;
        let people = people.map(|entry| {
            let (subject, messages) = entry?;
            io::Result::Ok((subject, Inbox::of(messages)))
        });
        let people: BySubject<Inbox> = people.collect::<io::Result<_>>()?;
        Ok(Self {
            people: RwLock::new(people),
        })
    }
}

impl Projection for Inboxes {
    const NAME: &'static str = "inboxes";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let (Event::Inbox(event), StreamId::Inbox(subject)) = (&envelope.event, &envelope.stream)
        else {
            return;
        };
        let at = envelope.recorded_at;
        let mut people = self.people.write();
        match event {
            InboxEvent::Received(received) => {
                let inbox = people.or_default(*subject);
                let message = InboxMessage {
                    message: received.message.clone(),
                    tenant: received.tenant.clone(),
                    received_at: at,
                    opened_at: None,
                    read_at: None,
                    archived_at: None,
                    clicked_at: None,
                };
                inbox.receive(envelope.position, message);
            }
            InboxEvent::Marked(marked) => {
                if let Some(inbox) = people.get_mut(*subject) {
                    inbox.mark(&marked.messages, marked.mark, at);
                }
            }
            InboxEvent::Emptied(_) => people.remove(*subject),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (subject, inbox) in self.people.read().in_order() {
            digest.number(u64::from(subject.0));
            digest.json(&inbox.messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_forgets_its_oldest_and_finds_the_others() {
        let id = |number: usize| MessageId::parse(&format!("message{number}")).unwrap();
        let mut inbox = Inbox::default();
        for number in 0..=INBOX_MESSAGES_MAX {
            let message = InboxMessage {
                message: id(number),
                tenant: None,
                received_at: Timestamp(1),
                opened_at: None,
                read_at: None,
                archived_at: None,
                clicked_at: None,
            };
            inbox.receive(Position(number as u64), message);
        }
        let all: Vec<_> = (0..=INBOX_MESSAGES_MAX).map(id).collect();
        inbox.mark(&all, InboxMark::Read, Timestamp(2));
        let restored = Inbox::of(inbox.messages.clone());

        assert_eq!(restored.places, inbox.places);
        assert_eq!(inbox.places.len(), INBOX_MESSAGES_MAX);
        assert!(!inbox.places.contains_key(&id(0)));
        for (place, message) in &inbox.messages {
            assert_eq!(inbox.places.get(&message.message), Some(place));
            assert_eq!(message.read_at, Some(Timestamp(2)));
        }
    }
}
