use std::collections::BTreeMap;

use domain::limits::{EVENT_SUBJECTS_MAX, TOKEN_REASON_BYTES_MAX};
use domain::{Decider, Message, MessageCommand, MessageState, ProfileCommand, ProfileState};
use events::{
    InboxReceived, MessageAccepted, MessageOutcome, MessageResolved, MessageSettled, MessageTarget,
    MessageText, OfPerson, Personal, SubjectSet, TargetPeople,
};
use projections::Resolution;
use roaring::RoaringBitmap;
use types::{DeviceToken, MessageId, StreamId, SubjectId, Timestamp, TokenStatus};

use super::tokens::TokensPlan;
use super::{Decided, WriteModel};
use crate::command::{NewMessage, NewTarget, Recipient, Refusal, Settlement};

/// One event that says whom a message is for holds people of so many numbers: at most 256 KiB of bitmap.
const NUMBERS_OF_ONE_EVENT: u64 = 1 << 21;

impl WriteModel {
    pub(super) fn send(
        &mut self,
        new: NewMessage,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let people = new.targets.iter().filter_map(|target| match target {
            NewTarget::Person(recipient) => Some(recipient),
            NewTarget::Many(_) => None,
        });
        self.room_for(people.clone().count())?;
        if self.message_state(&new.id) != MessageState::Absent {
            return Err(domain::MessageRefusal::Taken.into());
        }
        for recipient in people {
            self.check_recipient(recipient)?;
        }
        let mut subjects: Vec<SubjectId> = Vec::new();
        let mut targets = Vec::with_capacity(new.targets.len());
        for target in new.targets {
            match target {
                NewTarget::Many(target) => targets.push(target),
                NewTarget::Person(recipient) => {
                    let given = recipient.given.clone();
                    let subject = self.welcome(recipient, decided);
                    // Whoever is named twice is told once, as it was said first, and stands among the
                    // targets wherever they were named.
                    let held = subjects.iter().position(|it| *it == subject);
                    let place = held.unwrap_or(subjects.len());
                    if held.is_none() {
                        subjects.push(subject);
                    }
                    let place = u32::try_from(place).unwrap_or(u32::MAX);
                    let value = Personal::Known(given);
                    targets.push(MessageTarget::Person(OfPerson { place, value }));
                }
            }
        }
        let message = match targets[..] {
            [MessageTarget::Person(_)] => MessageText::ToOne(Personal::Known(new.message)),
            _ => MessageText::ToMany(new.message),
        };
        let accepted = MessageAccepted {
            message,
            targets,
            delayed_until: new.delayed_until,
            expires_at: new.expires_at,
            resends: new.resends,
        };
        self.message(
            &new.id,
            MessageCommand::Accept(accepted),
            &subjects,
            decided,
        )
    }

    /// Refuses before anything is decided what would be refused of the person's profile.
    pub(super) fn check_recipient(&self, recipient: &Recipient) -> Result<(), Refusal> {
        let known = self.known(&recipient.user_id);
        if let Some(profile) = &recipient.profile {
            self.plan_profile(known, ProfileCommand::Replace(profile.clone()))?;
        }
        Ok(())
    }

    /// The number of somebody who is to be told, and the profile that was given for who has none.
    pub(super) fn welcome(
        &mut self,
        recipient: Recipient,
        decided: &mut Vec<Decided>,
    ) -> SubjectId {
        let subject = self.register(&recipient.user_id, decided);
        if let Some(profile) = recipient.profile
            && self.profile_state(subject) == ProfileState::Absent
            && let Ok(plan) = self.plan_profile(Some(subject), ProfileCommand::Replace(profile))
        {
            self.carry_out_profile(subject, plan, decided);
        }
        subject
    }

    pub(super) fn resolve_message(
        &mut self,
        id: &MessageId,
        targets: &[MessageTarget],
        named: &[SubjectId],
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let as_of = self.committed.checkpoint();
        let named: Vec<_> = named.iter().copied().map(Some).collect();
        let Resolution { people, problems } = self.committed.resolve(targets, &named);
        let mut parts: BTreeMap<u64, Vec<TargetPeople>> = BTreeMap::new();
        for resolved in people {
            let last = resolved.people.max().map_or(0, u64::from);
            for number in 0..=last / NUMBERS_OF_ONE_EVENT {
                let from = number * NUMBERS_OF_ONE_EVENT;
                let numbers = from..from + NUMBERS_OF_ONE_EVENT;
                let numbers = u32::try_from(numbers.start).unwrap_or(u32::MAX)
                    ..=u32::try_from(numbers.end - 1).unwrap_or(u32::MAX);
                let mut people = RoaringBitmap::new();
                people.insert_range(numbers);
                people &= &resolved.people;
                if !people.is_empty() {
                    parts.entry(number).or_default().push(TargetPeople {
                        target: resolved.target,
                        tenant: resolved.tenant.clone(),
                        people: SubjectSet::of(&people),
                    });
                }
            }
        }
        let mut parts: Vec<_> = parts
            .into_values()
            .map(|people| MessageResolved {
                as_of,
                people,
                problems: vec![],
                is_last: false,
            })
            .collect();
        if parts.is_empty() {
            parts.push(MessageResolved {
                as_of,
                people: vec![],
                problems: vec![],
                is_last: false,
            });
        }
        if let Some(last) = parts.last_mut() {
            last.problems = problems;
            last.is_last = true;
        }
        self.message(id, MessageCommand::Resolve(parts), &[], decided)
    }

    /// Writes down what became of it for those who are not settled yet.
    pub(super) fn settle_message(
        &mut self,
        id: &MessageId,
        settlements: Vec<Settlement>,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if self.message_state(id) == MessageState::Absent {
            return Err(domain::MessageRefusal::NotFound.into());
        }
        let unsettled = self.unsettled(id);
        let mut seen = RoaringBitmap::new();
        let mut by_outcome: BTreeMap<MessageOutcome, Vec<Settlement>> = BTreeMap::new();
        for settlement in settlements {
            let row = settlement.subject.0;
            // The log says nothing more of anybody who is erased.
            let is_known = self
                .committed
                .subjects
                .user_id(settlement.subject)
                .is_some();
            if is_known && unsettled.contains(row) && seen.insert(row) {
                let same = by_outcome.entry(settlement.outcome.clone());
                same.or_default().push(settlement);
            }
        }
        let mut settling = Settling::default();
        for (outcome, settlements) in by_outcome {
            for settlement in settlements {
                if settling.subjects.len() == EVENT_SUBJECTS_MAX {
                    let full = std::mem::take(&mut settling);
                    self.settle(id, full, decided)?;
                }
                let subject = settlement.subject;
                let is_delayed = outcome.delayed_until.is_some();
                settling.add(&outcome, &settlement);
                if !is_delayed {
                    self.keep_in_inbox(id, &settlement, decided);
                    self.mark_dead(subject, &settlement.dead_tokens, now, decided);
                }
                if !is_delayed {
                    let settled = self.group.settled.entry(id.clone()).or_default();
                    settled.insert(subject.0);
                }
            }
        }
        self.settle(id, settling, decided)
    }

    fn settle(
        &mut self,
        id: &MessageId,
        settling: Settling,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let Settling { subjects, settled } = settling;
        self.message(id, MessageCommand::Settle(settled), &subjects, decided)
    }

    fn keep_in_inbox(
        &mut self,
        id: &MessageId,
        settlement: &Settlement,
        decided: &mut Vec<Decided>,
    ) {
        let Some(content) = &settlement.inbox else {
            return;
        };
        let received = InboxReceived {
            message: id.clone(),
            tenant: settlement.outcome.tenant.clone(),
            content: Personal::Known(content.clone()),
        };
        let subject = settlement.subject;
        self.receive(subject, received, decided);
    }

    /// Tokens of which a provider said that they lead nowhere are not used any more.
    fn mark_dead(
        &mut self,
        subject: SubjectId,
        dead: &[(DeviceToken, String)],
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) {
        if dead.is_empty() {
            return;
        }
        let held = self.tokens_of(subject, now);
        let failed = dead.iter().filter_map(|(token, reason)| {
            let mut details = held.get(token)?.clone();
            let mut reason = reason.clone();
            reason.truncate(reason.floor_char_boundary(TOKEN_REASON_BYTES_MAX));
            details.status = TokenStatus::Failed;
            details.status_reason = Some(reason);
            Some((token.clone(), details))
        });
        let plan = self.plan_tokens(Some(subject), failed.collect(), now);
        // They are there already, so there are not too many.
        self.carry_out_tokens(
            subject,
            plan.unwrap_or_else(|_| TokensPlan::default()),
            decided,
        );
    }

    pub(super) fn cancel_message(
        &mut self,
        id: &MessageId,
        people: Option<Vec<SubjectId>>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let Some(people) = people else {
            return self.message(id, MessageCommand::Cancel, &[], decided);
        };
        let unsettled = self.unsettled(id);
        let mut people: Vec<_> = people
            .into_iter()
            .filter(|it| unsettled.contains(it.0))
            .collect();
        people.sort_unstable();
        people.dedup();
        if people.is_empty() {
            // Asked in vain, which is told apart from a message that is not there.
            return Err(match self.message_state(id) {
                MessageState::Absent => domain::MessageRefusal::NotFound.into(),
                MessageState::Accepted { .. } => domain::MessageRefusal::TooLate.into(),
            });
        }
        for people in people.chunks(EVENT_SUBJECTS_MAX) {
            self.message(id, MessageCommand::CancelSome, people, decided)?;
            let settled = self.group.settled.entry(id.clone()).or_default();
            settled.extend(people.iter().map(|it| it.0));
        }
        Ok(())
    }

    pub(super) fn message(
        &mut self,
        id: &MessageId,
        command: MessageCommand,
        subjects: &[SubjectId],
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.message_state(id);
        let cancels_all = matches!(command, MessageCommand::Cancel);
        for event in Message::decide(&state, command)? {
            Message::evolve(&mut state, &event);
            let stream = StreamId::Message(id.clone());
            self.record(stream, subjects.to_vec(), event.into(), decided);
            if cancels_all && let MessageState::Accepted { is_canceled, .. } = &mut state {
                *is_canceled = true;
            }
            self.group.messages.insert(id.clone(), state);
        }
        Ok(())
    }

    fn message_state(&self, id: &MessageId) -> MessageState {
        if let Some(decided) = self.group.messages.get(id) {
            return *decided;
        }
        match self.committed.messages.request(id.as_str()) {
            None => MessageState::Absent,
            Some(request) => MessageState::Accepted {
                is_resolved: request.is_resolved,
                is_canceled: request.canceled_at.is_some(),
                is_done: !request.is_active && request.canceled_at.is_none(),
                is_archived: request.archived,
            },
        }
    }

    /// Who of a message is not settled, as the group leaves it.
    fn unsettled(&self, id: &MessageId) -> RoaringBitmap {
        let mut people = self
            .committed
            .messages
            .unsettled(id.as_str())
            .unwrap_or_default();
        if let Some(settled) = self.group.settled.get(id) {
            people -= settled;
        }
        people
    }
}

/// What one event is to say.
struct Settling {
    subjects: Vec<SubjectId>,
    settled: MessageSettled,
}

impl Default for Settling {
    fn default() -> Self {
        Self {
            subjects: Vec::new(),
            settled: MessageSettled {
                outcomes: Vec::new(),
                receipts: Vec::new(),
            },
        }
    }
}

impl Settling {
    fn add(&mut self, outcome: &MessageOutcome, settlement: &Settlement) {
        let place = u32::try_from(self.subjects.len()).unwrap_or(u32::MAX);
        self.subjects.push(settlement.subject);
        match self.settled.outcomes.last_mut() {
            Some((held, count)) if held == outcome => *count += 1,
            _ => self.settled.outcomes.push((outcome.clone(), 1)),
        }
        if let Some(receipt) = &settlement.receipt {
            let value = Personal::Known(receipt.clone());
            self.settled.receipts.push(OfPerson { place, value });
        }
    }
}
