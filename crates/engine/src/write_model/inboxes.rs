use events::{InboxEmptied, InboxMarked, InboxReceived};
use projections::InboxFilter;
use types::{InboxMark, MessageId, StreamId, SubjectId, UserId};

use super::{Decided, WriteModel};
use crate::command::InboxSelection;

impl WriteModel {
    pub(super) fn receive(
        &mut self,
        subject: SubjectId,
        received: InboxReceived,
        decided: &mut Vec<Decided>,
    ) {
        let messages = self.group.inbox_messages.entry(subject).or_default();
        messages.push(received.message.clone());
        let stream = StreamId::Inbox(subject);
        self.record(stream, vec![subject], received.into(), decided);
    }

    /// Notes what somebody did with messages of the inbox that are there and would change by it; says
    /// how many these are.
    pub(super) fn mark_inbox(
        &mut self,
        user_id: &UserId,
        mark: InboxMark,
        selection: &InboxSelection,
        decided: &mut Vec<Decided>,
    ) -> usize {
        let Some(subject) = self.known(user_id) else {
            return 0;
        };
        if self.group.emptied_inboxes.contains(&subject) {
            return 0;
        }
        let inboxes = &self.committed.inboxes;
        let would_change = |message: &projections::InboxMessage| message.would_change(mark);
        let messages: Vec<MessageId> = match selection {
            InboxSelection::All { tenant } => {
                let filter = InboxFilter {
                    tenant: tenant.clone(),
                    archived: Some(mark == InboxMark::Unarchived),
                    read: None,
                };
                let all = inboxes.all(subject, &filter).into_iter();
                all.filter(would_change).map(|it| it.message).collect()
            }
            InboxSelection::These { ids, tenant } => {
                let held = ids.iter().filter_map(|message| {
                    let (_, held) = inboxes.get(subject, message.as_str())?;
                    let is_meant = tenant.is_none() || held.tenant == *tenant;
                    (is_meant && would_change(&held)).then(|| message.clone())
                });
                held.collect()
            }
        };
        if messages.is_empty() {
            return 0;
        }
        let count = messages.len();
        let marked = InboxMarked { mark, messages };
        let stream = StreamId::Inbox(subject);
        self.record(stream, vec![subject], marked.into(), decided);
        count
    }

    /// Takes everything out of the inbox; says whether there was anything.
    pub(super) fn empty_inbox(&mut self, subject: SubjectId, decided: &mut Vec<Decided>) -> bool {
        let in_group = self.group.inbox_messages.remove(&subject).is_some();
        let is_gone = self.group.emptied_inboxes.contains(&subject);
        if !in_group && (is_gone || !self.committed.inboxes.knows(subject)) {
            return false;
        }
        self.group.emptied_inboxes.insert(subject);
        let stream = StreamId::Inbox(subject);
        self.record(stream, vec![subject], InboxEmptied {}.into(), decided);
        true
    }
}
