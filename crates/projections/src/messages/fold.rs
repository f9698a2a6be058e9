use events::{
    Envelope, Event, InboxEvent, MessageAccepted, MessageEvent, MessageTarget, MessageText,
    SubjectEvent,
};
use types::{
    InboxMark, Message, MessageId, MessageReason, MessageStatus, Position, StreamId, SubjectId,
};

use super::request::{About, People, Request, Settled, Turn};
use super::{Messages, State};
use crate::{Digest, Projection};

impl Projection for Messages {
    const NAME: &'static str = "messages";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let mut state = self.state.write();
        match (&envelope.event, &envelope.stream) {
            (Event::Message(event), StreamId::Message(id)) => state.apply(id, event, envelope),
            (Event::Inbox(InboxEvent::Marked(marked)), StreamId::Inbox(subject)) => {
                for id in &marked.messages {
                    let Some(position) = state.by_id.get(id).copied() else {
                        continue;
                    };
                    let marks = state.marks.entry((position, *subject)).or_default();
                    match marked.mark {
                        InboxMark::Opened | InboxMark::Read => {
                            marks.opened_at.get_or_insert(envelope.recorded_at);
                        }
                        InboxMark::Clicked => {
                            marks.opened_at.get_or_insert(envelope.recorded_at);
                            marks.clicked_at.get_or_insert(envelope.recorded_at);
                        }
                        InboxMark::Unread | InboxMark::Archived | InboxMark::Unarchived => {}
                    }
                }
            }
            (Event::Subject(SubjectEvent::Erased(_)), _) => {
                for subject in &envelope.subjects {
                    state.erase(*subject, envelope);
                }
            }
            _ => {}
        }
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (position, request) in &state.requests {
            digest.number(position.0);
            digest.stored(request);
        }
        let mut marks: Vec<_> = state.marks.iter().collect();
        marks.sort_unstable_by_key(|(place, _)| **place);
        for ((position, subject), marks) in marks {
            digest.number(position.0);
            digest.number(u64::from(subject.0));
            digest.stored(marks);
        }
    }
}

impl State {
    /// Nothing that comes later may name somebody who is erased, so with that it is known what became of
    /// whatever was still to be told to them. What was told to them alone is sealed under the key that is
    /// gone, and a replay will not know it either.
    fn erase(&mut self, subject: SubjectId, envelope: &Envelope) {
        let alone = self.of_person.get(&subject).into_iter().flatten();
        let among = self.of_many.iter();
        let requests: Vec<Position> = alone.chain(among).copied().collect();
        for position in requests {
            let Some(request) = self.requests.get_mut(&position) else {
                continue;
            };
            if !request.is_for(subject) {
                continue;
            }
            let before = request.turn();
            let settled = Settled {
                position: envelope.position,
                at: envelope.recorded_at,
                status: MessageStatus::Undeliverable,
                reason: Some(MessageReason::Failed),
                channel: None,
                provider: None,
                tenant: None,
            };
            request.settle(settled, &[subject]);
            if matches!(request.people, People::One { .. }) {
                request.about = About::default();
            }
            let after = request.turn();
            if before != after {
                self.queue(position, before, after);
            }
        }
    }

    fn apply(&mut self, id: &MessageId, event: &MessageEvent, envelope: &Envelope) {
        if let MessageEvent::Accepted(accepted) = event {
            self.accept(id, accepted, envelope);
            return;
        }
        let Some(position) = self.by_id.get(id).copied() else {
            return;
        };
        let Some(request) = self.requests.get_mut(&position) else {
            return;
        };
        let before = request.turn();
        match event {
            MessageEvent::Accepted(_) => {}
            MessageEvent::Resolved(resolved) => {
                let People::Many(many) = &mut request.people else {
                    return;
                };
                many.resolve(resolved);
            }
            MessageEvent::Settled(settled) => {
                let mut people = envelope.subjects.as_slice();
                for (outcome, count) in &settled.outcomes {
                    let (these, rest) = people.split_at(people.len().min(*count as usize));
                    people = rest;
                    match outcome.delayed_until {
                        Some(until) => request.delay((until, envelope.position), these),
                        None => request.settle(
                            Settled::of(outcome, envelope.position, envelope.recorded_at),
                            these,
                        ),
                    }
                }
            }
            MessageEvent::Canceled(_) if envelope.subjects.is_empty() => {
                request.canceled_at = Some(envelope.recorded_at);
            }
            MessageEvent::Canceled(_) => {
                let settled = Settled {
                    position: envelope.position,
                    at: envelope.recorded_at,
                    status: MessageStatus::Canceled,
                    reason: None,
                    channel: None,
                    provider: None,
                    tenant: None,
                };
                request.settle(settled, &envelope.subjects);
            }
            MessageEvent::Archived(_) => request.archived = true,
        }
        let after = request.turn();
        if before != after {
            self.queue(position, before, after);
        }
    }

    pub(super) fn queue(&mut self, position: Position, before: Turn, after: Turn) {
        match before {
            Turn::Done => {}
            Turn::Now => drop(self.active.remove(&position)),
            Turn::Later(at) => drop(self.waiting.remove(&(at, position))),
        }
        match after {
            Turn::Done => {}
            Turn::Now => drop(self.active.insert(position)),
            Turn::Later(at) => drop(self.waiting.insert((at, position))),
        }
    }

    fn accept(&mut self, id: &MessageId, accepted: &MessageAccepted, envelope: &Envelope) {
        let text = match &accepted.message {
            MessageText::ToMany(text) => Some(text),
            MessageText::ToOne(text) => text.known(),
        };
        // It was looked at before it was accepted; what cannot be read now is shown as if it said nothing.
        let message = text.and_then(|text| Message::parse(&text.to_object()).ok());
        let list = accepted.targets.iter().find_map(|target| match target {
            MessageTarget::List { list, .. } => Some(list.clone()),
            MessageTarget::Person(_)
            | MessageTarget::ListPattern { .. }
            | MessageTarget::Audience { .. }
            | MessageTarget::Tenant { .. }
            | MessageTarget::Bulk { .. } => None,
        });
        let about = message.map(|message| About {
            event: message.event,
            template: message.template,
            tags: message.tags,
            trace_id: message.trace_id,
            tenant: message.tenant,
            list,
        });
        let position = envelope.position;
        let people = if let ([MessageTarget::Person(_)], [subject]) =
            (&accepted.targets[..], &envelope.subjects[..])
        {
            self.of_person.entry(*subject).or_default().push(position);
            People::One {
                subject: *subject,
                settled: None,
                delayed: None,
            }
        } else {
            self.of_many.insert(position);
            People::Many(Box::default())
        };
        let request = Request {
            id: id.clone(),
            at: envelope.recorded_at,
            about: about.unwrap_or_default(),
            delayed_until: accepted.delayed_until,
            expires_at: accepted.expires_at,
            resends: accepted.resends.clone(),
            archived: false,
            canceled_at: None,
            people,
        };
        self.by_id.insert(id.clone(), position);
        self.queue(position, Turn::Done, request.turn());
        self.requests.insert(position, request);
    }
}
