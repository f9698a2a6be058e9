use std::collections::BTreeMap;

use events::TargetProblem;
use roaring::RoaringBitmap;
use types::{
    Channel, ListId, MessageId, MessageReason, MessageStatus, Position, SubjectId, TenantId,
    Timestamp,
};

use super::request::{People, Request, Turn};
use super::{Messages, State};

/// A message to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    pub request: MessageId,
    pub accepted: Position,
    /// Nobody where a request turned out to lead to nobody.
    pub subject: Option<SubjectId>,
    /// Whether it is the only one that the request is for, so that they share their id.
    pub is_only: bool,
    pub status: MessageStatus,
    pub reason: Option<MessageReason>,
    pub channel: Option<Channel>,
    pub provider: Option<String>,
    pub tenant: Option<TenantId>,
    pub enqueued_at: Timestamp,
    pub delayed_until: Option<Timestamp>,
    /// The event that says so, if it concerns this person alone.
    pub delayed_by: Option<Position>,
    /// When it was known what became of it, and by which event.
    pub settled: Option<(Position, Timestamp)>,
    pub canceled_at: Option<Timestamp>,
    pub opened_at: Option<Timestamp>,
    pub clicked_at: Option<Timestamp>,
    pub event: Option<String>,
    pub template: Option<String>,
    pub tags: Vec<String>,
    pub trace_id: Option<String>,
    pub list: Option<ListId>,
    pub archived: bool,
    pub resends: Option<MessageId>,
}

/// A call to send.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestView {
    pub id: MessageId,
    pub accepted: Position,
    pub accepted_at: Timestamp,
    pub delayed_until: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub canceled_at: Option<Timestamp>,
    pub archived: bool,
    /// The person, if it is for one alone.
    pub only: Option<SubjectId>,
    pub is_resolved: bool,
    pub is_active: bool,
    pub problems: Vec<TargetProblem>,
    pub progress: Progress,
}

/// How far a message is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub people: u64,
    pub done: u64,
    pub by_status: BTreeMap<(MessageStatus, Option<MessageReason>), u64>,
}

/// Which messages are wanted. What is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageFilter {
    pub archived: Option<bool>,
    pub enqueued_after: Option<Timestamp>,
    pub event: Option<String>,
    pub list: Option<String>,
    pub message: Option<String>,
    pub template: Option<String>,
    pub providers: Vec<String>,
    pub recipient: Option<WantedRecipient>,
    pub statuses: Vec<String>,
    pub tags: Vec<String>,
    pub tenant: Option<String>,
    /// That of the message, or the id of the request.
    pub trace_id: Option<String>,
}

/// To whom messages are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedRecipient {
    /// Somebody who is not known: there are none.
    Nobody,
    Person(SubjectId),
}

/// Where a list of messages has got to: newest first, and of one request by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePlace {
    pub accepted: Position,
    pub subject: SubjectId,
}

/// Messages, and requests, that one page looks at, whether they are wanted or not.
const EXAMINED_MAX: usize = 20_000;

impl Messages {
    pub fn request(&self, id: &str) -> Option<RequestView> {
        let state = self.state.read();
        let position = *state.by_id.get(id)?;
        Some(view_of_request(position, &state.requests[&position]))
    }

    /// The message to one person, by the id that is shown: the request's for its only person, else that
    /// with the person's number.
    pub fn message(&self, id: &str) -> Option<MessageView> {
        let state = self.state.read();
        if let Some(position) = state.by_id.get(id) {
            let request = &state.requests[position];
            return match &request.people {
                People::One { subject, .. } => Some(state.view(*position, request, *subject)),
                People::Many(_) => {
                    let is_shown = request.leads_to_nobody();
                    is_shown.then(|| view_of_nobody(*position, request))
                }
            };
        }
        let (request, number) = id.rsplit_once('-')?;
        let position = *state.by_id.get(request)?;
        let request = &state.requests[&position];
        let subject = SubjectId(number.parse().ok()?);
        let is_shown = subject.0.to_string() == number
            && matches!(request.people, People::Many(_))
            && request.is_for(subject);
        is_shown.then(|| state.view(position, request, subject))
    }

    /// The message of a request to somebody.
    pub fn to_person(&self, request: &str, subject: SubjectId) -> Option<MessageView> {
        let state = self.state.read();
        let position = *state.by_id.get(request)?;
        let request = &state.requests[&position];
        let is_for = request.is_for(subject);
        is_for.then(|| state.view(position, request, subject))
    }

    /// Messages after a place, and whether there may be more; then the place where to go on, which is
    /// beyond those that were looked at in vain.
    pub fn page(
        &self,
        filter: &MessageFilter,
        after: Option<MessagePlace>,
        limit: usize,
    ) -> (Vec<MessageView>, Option<MessagePlace>) {
        let state = self.state.read();
        let mut found = Vec::new();
        let mut examined = 0;
        let end = after.map_or(Position(u64::MAX), |it| it.accepted);
        let requests: Box<dyn Iterator<Item = (&Position, &Request)>> = match filter.recipient {
            Some(WantedRecipient::Nobody) => return (found, None),
            Some(WantedRecipient::Person(subject)) => Box::new(state.maybe_of(subject, end)),
            None => Box::new(state.requests.range(..=end).rev()),
        };
        for (position, request) in requests {
            let after = after.filter(|it| it.accepted == *position);
            let after = after.map(|it| it.subject);
            for (subject, view) in state.looked_at(filter, (*position, request), after) {
                examined += 1;
                found.extend(view.filter(|it| filter.wants(it)));
                if found.len() == limit || examined == EXAMINED_MAX {
                    let accepted = *position;
                    return (found, Some(MessagePlace { accepted, subject }));
                }
            }
        }
        (found, None)
    }
}

impl MessageFilter {
    fn wants_request(&self, request: &Request) -> bool {
        let about = &request.about;
        let is = |wanted: &Option<String>, held: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| held == Some(wanted))
        };
        self.archived.unwrap_or(false) == request.archived
            && self.enqueued_after.is_none_or(|it| request.at > it)
            && is(&self.event, about.event.as_deref())
            && is(&self.list, about.list.as_ref().map(ListId::as_str))
            && is(&self.template, about.template.as_deref())
            && (self.tags.is_empty() || self.tags.iter().any(|tag| about.tags.contains(tag)))
            && self.trace_id.as_deref().is_none_or(|wanted| {
                about.trace_id.as_deref() == Some(wanted) || request.id.as_str() == wanted
            })
            && self.message.as_deref().is_none_or(|wanted| {
                wanted
                    .strip_prefix(request.id.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            })
    }

    fn wants(&self, view: &MessageView) -> bool {
        let is_named = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|it| it == name))
        };
        is_named(&self.statuses, Some(view.status.name()))
            && is_named(&self.providers, view.provider.as_deref())
            && self
                .tenant
                .as_deref()
                .is_none_or(|wanted| view.tenant.as_ref().is_some_and(|it| it.as_str() == wanted))
            && self
                .message
                .as_deref()
                .is_none_or(|it| it == view.shown_id())
    }
}

impl MessageView {
    /// By what it is known outside.
    pub fn shown_id(&self) -> String {
        match self.subject {
            Some(subject) if !self.is_only => message_id_of(&self.request, subject),
            Some(_) | None => self.request.as_str().to_owned(),
        }
    }
}

/// By what the message to one of several people is known outside.
pub fn message_id_of(request: &MessageId, subject: SubjectId) -> String {
    format!("{request}-{subject}")
}

impl State {
    /// The requests for one person up to a place, newest first, and among them all those for several,
    /// whether they are for that person or not.
    fn maybe_of(
        &self,
        subject: SubjectId,
        end: Position,
    ) -> impl Iterator<Item = (&Position, &Request)> {
        let alone = self.of_person.get(&subject).map_or(&[][..], Vec::as_slice);
        let alone = &alone[..alone.partition_point(|it| *it <= end)];
        let mut alone = alone.iter().rev().peekable();
        let mut among = self.of_many.range(..=end).rev().peekable();
        let newest = std::iter::from_fn(move || {
            if alone.peek() > among.peek() {
                alone.next()
            } else {
                among.next()
            }
        });
        newest.filter_map(|it| self.requests.get_key_value(it))
    }

    /// What there is to look at of a request after a person: the message to everybody who may be wanted, and
    /// at last the request itself, which is looked at too when it has nothing to show.
    fn looked_at<'a>(
        &'a self,
        filter: &MessageFilter,
        (accepted, request): (Position, &'a Request),
        after: Option<SubjectId>,
    ) -> impl Iterator<Item = (SubjectId, Option<MessageView>)> + use<'a> {
        let is_wanted = filter.wants_request(request);
        let (only, everybody) = match filter.recipient {
            Some(WantedRecipient::Person(subject)) => {
                let is_left = request.is_for(subject) && after.is_none_or(|it| subject > it);
                (Some(subject).filter(|_| is_wanted && is_left), None)
            }
            Some(WantedRecipient::Nobody) => (None, None),
            None => (None, is_wanted.then(|| request.people_after(after))),
        };
        let people = only.into_iter().chain(everybody.into_iter().flatten());
        let views =
            people.map(move |subject| (subject, Some(self.view(accepted, request, subject))));
        let is_shown = is_wanted && filter.recipient.is_none() && after.is_none();
        let nobody =
            (is_shown && request.leads_to_nobody()).then(|| view_of_nobody(accepted, request));
        views.chain(std::iter::once((SubjectId(u32::MAX), nobody)))
    }

    fn view(&self, accepted: Position, request: &Request, subject: SubjectId) -> MessageView {
        let settled = request.settled(subject);
        let marks = self.marks.get(&(accepted, subject));
        let marks = marks.copied().unwrap_or_default();
        let is_canceled = request.canceled_at.filter(|_| settled.is_none());
        let delayed = request.delayed(subject);
        let delayed_until = delayed
            .map(|(at, _)| at)
            .or(request.delayed_until.filter(|_| settled.is_none()));
        let status = match settled {
            Some(_) if marks.clicked_at.is_some() => MessageStatus::Clicked,
            Some(_) if marks.opened_at.is_some() => MessageStatus::Opened,
            Some(settled) => settled.status,
            None if is_canceled.is_some() => MessageStatus::Canceled,
            None if delayed_until.is_some() => MessageStatus::Delayed,
            None => MessageStatus::Enqueued,
        };
        let canceled = settled.filter(|it| it.status == MessageStatus::Canceled);
        let reached = request.reached(subject);
        let tenant = settled.and_then(|it| it.tenant.clone());
        let about = &request.about;
        MessageView {
            request: request.id.clone(),
            accepted,
            subject: Some(subject),
            is_only: matches!(request.people, People::One { .. }),
            status,
            reason: settled.and_then(|it| it.reason),
            channel: settled.and_then(|it| it.channel),
            provider: settled.and_then(|it| it.provider.clone()),
            tenant: tenant
                .or_else(|| reached?.tenant)
                .or_else(|| about.tenant.clone()),
            enqueued_at: request.at,
            delayed_until,
            delayed_by: delayed.map(|(_, position)| position),
            settled: settled.map(|it| (it.position, it.at)),
            canceled_at: is_canceled.or(canceled.map(|it| it.at)),
            opened_at: marks.opened_at,
            clicked_at: marks.clicked_at,
            event: about.event.clone(),
            template: about.template.clone(),
            tags: about.tags.clone(),
            trace_id: about.trace_id.clone(),
            list: about.list.clone(),
            archived: request.archived,
            resends: request.resends.clone(),
        }
    }
}

/// A request that leads to nobody is shown as if it were a message to nobody.
fn view_of_nobody(accepted: Position, request: &Request) -> MessageView {
    let about = &request.about;
    MessageView {
        request: request.id.clone(),
        accepted,
        subject: None,
        is_only: false,
        status: if request.canceled_at.is_some() {
            MessageStatus::Canceled
        } else {
            MessageStatus::Unroutable
        },
        reason: request
            .canceled_at
            .is_none()
            .then_some(MessageReason::NoChannels),
        channel: None,
        provider: None,
        tenant: about.tenant.clone(),
        enqueued_at: request.at,
        delayed_until: None,
        delayed_by: None,
        settled: None,
        canceled_at: request.canceled_at,
        opened_at: None,
        clicked_at: None,
        event: about.event.clone(),
        template: about.template.clone(),
        tags: about.tags.clone(),
        trace_id: about.trace_id.clone(),
        list: about.list.clone(),
        archived: request.archived,
        resends: request.resends.clone(),
    }
}

fn view_of_request(accepted: Position, request: &Request) -> RequestView {
    let (only, problems, of_the_only) = match &request.people {
        People::One {
            subject, settled, ..
        } => {
            let settled = settled.as_ref();
            let canceled = settled.filter(|it| it.status == MessageStatus::Canceled);
            (Some(*subject), Vec::new(), canceled.map(|it| it.at))
        }
        People::Many(many) => (None, many.problems.clone(), None),
    };
    RequestView {
        id: request.id.clone(),
        accepted,
        accepted_at: request.at,
        delayed_until: request.delayed_until,
        expires_at: request.expires_at,
        canceled_at: request.canceled_at.or(of_the_only),
        archived: request.archived,
        only,
        is_resolved: request.is_resolved(),
        is_active: request.is_active(),
        problems,
        progress: progress(request),
    }
}

fn progress(request: &Request) -> Progress {
    let by_status = match &request.people {
        People::One { settled, .. } => settled.iter().map(|it| (it.kind(), 1)).collect(),
        People::Many(many) => many.counts().clone(),
    };
    let mut progress = Progress {
        people: request.people_count(),
        done: by_status.values().sum(),
        by_status,
    };
    let left = progress.people - progress.done;
    if request.canceled_at.is_some() {
        progress.done = progress.people;
    }
    let delayed = match &request.people {
        _ if request.canceled_at.is_some() => 0,
        People::One { .. } => u64::from(matches!(request.turn(), Turn::Later(_))),
        People::Many(many) => many.delayed_count(),
    };
    let waiting = match request.canceled_at {
        Some(_) => MessageStatus::Canceled,
        None => MessageStatus::Enqueued,
    };
    for (status, count) in [
        (MessageStatus::Delayed, delayed),
        (waiting, left - delayed.min(left)),
    ] {
        if count > 0 {
            *progress.by_status.entry((status, None)).or_default() += count;
        }
    }
    progress
}

impl Messages {
    /// Who of a request is not settled, whether due or not.
    pub fn unsettled(&self, id: &str) -> Option<RoaringBitmap> {
        let state = self.state.read();
        let request = &state.requests[state.by_id.get(id)?];
        Some(match &request.people {
            People::One {
                subject, settled, ..
            } => settled.is_none().then_some(subject.0).into_iter().collect(),
            People::Many(many) => &many.everybody - &many.done,
        })
    }
}
