use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, RangeBounds};

use events::{MessageOutcome, MessageResolved, TargetProblem};
use roaring::{MultiOps, RoaringBitmap};
use serde::{Deserialize, Serialize};
use types::{
    Channel, ListId, MessageId, MessageReason, MessageStatus, Position, SubjectId, TenantId,
    Timestamp,
};

use super::unions::Unions;

/// One call to send.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) about: About,
    pub(super) delayed_until: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) resends: Option<MessageId>,
    pub(super) archived: bool,
    /// Since when it goes to nobody any more.
    pub(super) canceled_at: Option<Timestamp>,
    pub(super) people: People,
}

/// What a list of messages shows of what a message says. Nothing where the one whom it was for is erased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) event: Option<String>,
    pub(super) template: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) trace_id: Option<String>,
    pub(super) tenant: Option<TenantId>,
    /// The first list that it is for.
    pub(super) list: Option<ListId>,
}

#[derive(Serialize, Deserialize)]
pub(super) enum People {
    One {
        subject: SubjectId,
        settled: Option<Settled>,
        delayed: Option<Delay>,
    },
    Many(Box<Many>),
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Many {
    pub(super) resolved: Vec<ResolvedPeople>,
    pub(super) problems: Vec<TargetProblem>,
    pub(super) is_resolved: bool,
    pub(super) everybody: RoaringBitmap,
    /// Of whom it is known what became of it.
    pub(super) done: RoaringBitmap,
    /// In the order of the log.
    pub(super) settled: Vec<(Settled, RoaringBitmap)>,
    /// Who is to be looked at again, and when.
    pub(super) delayed: BTreeMap<Delay, RoaringBitmap>,
    #[serde(skip)]
    index: Index,
}

/// What follows from the rest of a message to many, so that nobody has to look through all of it.
#[derive(Default)]
struct Index {
    /// Nothing as long as it is not known whom all it is for, since until then the parts grow.
    resolved: Unions,
    settled: Unions,
    /// How many are settled, by how.
    counts: BTreeMap<(MessageStatus, Option<MessageReason>), u64>,
    /// Everybody who is delayed, until whenever.
    delayed: RoaringBitmap,
}

/// Until when, and which event says so.
pub(super) type Delay = (Timestamp, Position);

/// Some of the people of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResolvedPeople {
    /// Place of the target, from 0.
    pub target: u32,
    pub tenant: Option<TenantId>,
    pub people: RoaringBitmap,
}

/// How somebody is reached by a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Place of the target, from 0.
    pub target: u32,
    pub tenant: Option<TenantId>,
}

/// What became of it for some people; all of it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settled {
    pub(super) position: Position,
    pub(super) at: Timestamp,
    pub(super) status: MessageStatus,
    pub(super) reason: Option<MessageReason>,
    pub(super) channel: Option<Channel>,
    pub(super) provider: Option<String>,
    pub(super) tenant: Option<TenantId>,
}

/// What a person did with what they got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) opened_at: Option<Timestamp>,
    pub(super) clicked_at: Option<Timestamp>,
}

/// When something is to be done about a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Done,
    Now,
    Later(Timestamp),
}

impl Settled {
    pub(super) fn of(outcome: &MessageOutcome, position: Position, at: Timestamp) -> Self {
        let (channel, provider) = outcome.carried_by().unwrap_or_default();
        Self {
            position,
            at,
            status: outcome.status,
            reason: outcome.reason,
            channel,
            provider: provider.map(str::to_owned),
            tenant: outcome.tenant.clone(),
        }
    }

    /// As what it is counted.
    pub(super) fn kind(&self) -> (MessageStatus, Option<MessageReason>) {
        (self.status, self.reason)
    }
}

impl Request {
    pub(super) fn is_resolved(&self) -> bool {
        match &self.people {
            People::One { .. } => true,
            People::Many(many) => many.is_resolved,
        }
    }

    /// Whether somebody is still to be told.
    pub(super) fn is_active(&self) -> bool {
        self.canceled_at.is_none()
            && match &self.people {
                People::One { settled, .. } => settled.is_none(),
                People::Many(many) => !many.is_resolved || many.done.len() < many.everybody.len(),
            }
    }

    /// When something is to be done about it.
    pub(super) fn turn(&self) -> Turn {
        if !self.is_active() {
            return Turn::Done;
        }
        let until = match &self.people {
            People::One { delayed, .. } => delayed.map(|(at, _)| at).or(self.delayed_until),
            People::Many(many) if many.is_resolved => many.all_delayed_until(),
            People::Many(_) => self.delayed_until,
        };
        until.map_or(Turn::Now, Turn::Later)
    }

    /// Who is to be told at this time, and when the next of those is due who are to be told later.
    pub(super) fn unsettled(&self, now: Timestamp) -> (RoaringBitmap, Option<Timestamp>) {
        match &self.people {
            People::One {
                subject,
                settled,
                delayed,
            } => {
                let later = delayed.map(|(at, _)| at).filter(|at| *at > now);
                let is_due = settled.is_none() && later.is_none();
                (is_due.then_some(subject.0).into_iter().collect(), later)
            }
            People::Many(many) => {
                let mut people = if many.is_resolved {
                    &many.everybody - &many.done
                } else {
                    RoaringBitmap::new()
                };
                let later = many.delayed.range((now.next(), Position::START)..);
                let mut next = None;
                for ((at, _), delayed) in later {
                    next.get_or_insert(*at);
                    people -= delayed;
                }
                (people, next)
            }
        }
    }

    /// Those of these people who are to be told at this time.
    pub(super) fn due_among(&self, people: &RoaringBitmap, now: Timestamp) -> RoaringBitmap {
        match &self.people {
            People::One { .. } => people & self.unsettled(now).0,
            People::Many(many) => {
                let mut people = (people & &many.everybody) - &many.done;
                for (_, delayed) in many.delayed.range((now.next(), Position::START)..) {
                    people -= delayed;
                }
                people
            }
        }
    }

    pub(super) fn reached(&self, subject: SubjectId) -> Option<Reached> {
        match &self.people {
            People::One { subject: one, .. } => (*one == subject).then_some(Reached {
                target: 0,
                tenant: None,
            }),
            People::Many(many) => {
                let resolved = &many.index.resolved;
                let found = resolved.find(&many.resolved, subject.0, |it| &it.people)?;
                Some(Reached {
                    target: found.target,
                    tenant: found.tenant.clone(),
                })
            }
        }
    }

    /// How many people it is for, as far as that is known.
    pub(super) fn people_count(&self) -> u64 {
        match &self.people {
            People::One { .. } => 1,
            People::Many(many) => many.everybody.len(),
        }
    }

    /// Everybody whom it is for, as far as that is known, in the order of their numbers and after a person.
    pub(super) fn people_after(&self, after: Option<SubjectId>) -> impl Iterator<Item = SubjectId> {
        let after = after.map_or(Bound::Unbounded, |it| Bound::Excluded(it.0));
        let rows = (after, Bound::Unbounded);
        let (only, many) = match &self.people {
            People::One { subject, .. } => (Some(subject.0).filter(|it| rows.contains(it)), None),
            People::Many(many) => (None, Some(many.everybody.range(rows))),
        };
        let many = many.into_iter().flatten();
        only.into_iter().chain(many).map(SubjectId)
    }

    /// Whether it is known that it is for nobody, or that it will be.
    pub(super) fn leads_to_nobody(&self) -> bool {
        self.people_count() == 0 && (self.is_resolved() || self.canceled_at.is_some())
    }

    pub(super) fn is_for(&self, subject: SubjectId) -> bool {
        match &self.people {
            People::One { subject: one, .. } => *one == subject,
            People::Many(many) => many.everybody.contains(subject.0),
        }
    }

    pub(super) fn is_settled(&self, subject: SubjectId) -> bool {
        match &self.people {
            People::One { settled, .. } => settled.is_some(),
            People::Many(many) => many.done.contains(subject.0),
        }
    }

    pub(super) fn settled(&self, subject: SubjectId) -> Option<&Settled> {
        match &self.people {
            People::One { settled, .. } => settled.as_ref(),
            People::Many(many) => {
                if !many.done.contains(subject.0) {
                    return None;
                }
                let settled = &many.index.settled;
                let found = settled.find(&many.settled, subject.0, |(_, people)| people);
                found.map(|(settled, _)| settled)
            }
        }
    }

    pub(super) fn delayed(&self, subject: SubjectId) -> Option<Delay> {
        match &self.people {
            People::One { delayed, .. } => *delayed,
            People::Many(many) => {
                if !many.index.delayed.contains(subject.0) {
                    return None;
                }
                let mut delayed = many.delayed.iter();
                delayed
                    .find(|(_, people)| people.contains(subject.0))
                    .map(|(at, _)| *at)
            }
        }
    }

    /// Takes note of what became of it for some. Whoever is settled stays so.
    pub(super) fn settle(&mut self, settled: Settled, people: &[SubjectId]) {
        match &mut self.people {
            People::One {
                subject,
                settled: held,
                delayed,
            } => {
                if held.is_none() && people.contains(subject) {
                    *held = Some(settled);
                    *delayed = None;
                }
            }
            People::Many(many) => {
                let mut people: RoaringBitmap = people.iter().map(|it| it.0).collect();
                people -= &many.done;
                if people.is_empty() {
                    return;
                }
                many.forget_delay(&people);
                many.done |= &people;
                let counts = &mut many.index.counts;
                *counts.entry(settled.kind()).or_default() += people.len();
                many.settled.push((settled, people));
                let settled = &mut many.index.settled;
                settled.follow(&many.settled, |(_, people)| people);
            }
        }
    }

    pub(super) fn delay(&mut self, until: Delay, people: &[SubjectId]) {
        match &mut self.people {
            People::One { delayed, .. } => *delayed = Some(until),
            People::Many(many) => {
                let people: RoaringBitmap = people.iter().map(|it| it.0).collect();
                many.forget_delay(&people);
                many.index.delayed |= &people;
                *many.delayed.entry(until).or_default() |= people;
            }
        }
    }
}

impl Many {
    /// Takes note of some more of those whom it is for.
    pub(super) fn resolve(&mut self, resolved: &MessageResolved) {
        let held = self.resolved.iter().enumerate();
        let mut places: HashMap<(u32, Option<TenantId>), usize> = held
            .map(|(place, it)| ((it.target, it.tenant.clone()), place))
            .collect();
        for part in &resolved.people {
            let Some(mut people) = part.people.people() else {
                continue;
            };
            people -= &self.everybody;
            self.everybody |= &people;
            match places.entry((part.target, part.tenant.clone())) {
                Entry::Occupied(held) => self.resolved[*held.get()].people |= people,
                Entry::Vacant(place) => {
                    place.insert(self.resolved.len());
                    self.resolved.push(ResolvedPeople {
                        target: part.target,
                        tenant: part.tenant.clone(),
                        people,
                    });
                }
            }
        }
        self.problems.extend(resolved.problems.iter().cloned());
        self.is_resolved |= resolved.is_last;
        self.index_resolved();
    }

    /// Makes anew what is not stored.
    pub(super) fn index(&mut self) {
        let mut counts = BTreeMap::new();
        for (settled, people) in &self.settled {
            *counts.entry(settled.kind()).or_default() += people.len();
        }
        self.index = Index {
            resolved: Unions::default(),
            settled: Unions::of(&self.settled, |(_, people)| people),
            counts,
            delayed: self.delayed.values().union(),
        };
        self.index_resolved();
    }

    fn index_resolved(&mut self) {
        if self.is_resolved {
            self.index.resolved = Unions::of(&self.resolved, |it| &it.people);
        }
    }

    /// How many are settled, by how.
    pub(super) fn counts(&self) -> &BTreeMap<(MessageStatus, Option<MessageReason>), u64> {
        &self.index.counts
    }

    pub(super) fn delayed_count(&self) -> u64 {
        self.index.delayed.len()
    }

    /// Until when at least everybody is delayed who is not settled; nothing where somebody is not.
    fn all_delayed_until(&self) -> Option<Timestamp> {
        let left = self.everybody.len().saturating_sub(self.done.len());
        let (first, _) = self.delayed.keys().next()?;
        (self.index.delayed.len() == left).then_some(*first)
    }

    fn forget_delay(&mut self, people: &RoaringBitmap) {
        if self.index.delayed.is_disjoint(people) {
            return;
        }
        self.index.delayed -= people;
        self.delayed.retain(|_, delayed| {
            *delayed -= people;
            !delayed.is_empty()
        });
    }
}
