use std::collections::BTreeMap;

use events::codec::{Decoder, Encoder};
use events::{
    Envelope, MessageAccepted, MessageCanceled, MessageEvent, MessageOutcome, MessageResolved,
    MessageSettled, MessageTarget, MessageText, SubjectSet, TargetPeople,
};
use proptest::prelude::*;
use types::{JsonDocument, MessageStatus, StreamId, StreamVersion, TenantId};

use super::*;
use crate::{Digest, Projection};

const MESSAGES: u64 = 2;
const PEOPLE: u32 = 300;

#[derive(Clone, Debug)]
enum Step {
    Resolve {
        parts: Vec<(u32, u8, Vec<u32>)>,
        is_last: bool,
    },
    Settle {
        people: Vec<u32>,
        is_delayed: bool,
    },
    Cancel,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Everybody is shown as the log has it, whichever way they are looked up and also after a restart.
    #[test]
    fn everybody_is_found(steps in prop::collection::vec((0..MESSAGES, step()), 0..600)) {
        let live = Messages::default();
        let mut log = (1..).map(Position);
        let mut apply = |number: u64, people: &[u32], event: MessageEvent| {
            let position = log.next().unwrap();
            live.apply(&Envelope {
                position,
                stream: StreamId::Message(id(number)),
                version: StreamVersion(1),
                recorded_at: Timestamp(position.0),
                subjects: people.iter().copied().map(SubjectId).collect(),
                event: event.into(),
            });
            position
        };
        for number in 0..MESSAGES {
            apply(number, &[], accepted());
        }
        let mut reached = BTreeMap::new();
        let mut settled = BTreeMap::new();
        let mut delayed = BTreeMap::new();
        for (number, step) in steps {
            match step {
                Step::Resolve { parts, is_last } => {
                    for (target, tenant, people) in &parts {
                        for person in people {
                            let place = (number, *person);
                            reached.entry(place).or_insert((*target, tenant_of(*tenant)));
                        }
                    }
                    apply(number, &[], resolved(&parts, is_last));
                }
                Step::Settle { people, is_delayed } => {
                    let people: Vec<_> = people
                        .into_iter()
                        .filter(|it| reached.contains_key(&(number, *it)))
                        .filter(|it| !settled.contains_key(&(number, *it)))
                        .collect();
                    let position = apply(number, &people, outcome(people.len(), is_delayed));
                    for person in people {
                        let place = (number, person);
                        if is_delayed {
                            delayed.insert(place, position);
                        } else {
                            delayed.remove(&place);
                            settled.insert(place, position);
                        }
                    }
                }
                Step::Cancel => drop(apply(number, &[], MessageEvent::Canceled(MessageCanceled {}))),
            }
        }

        let restored = restart(&live);
        prop_assert_eq!(digest(&live), digest(&restored));
        for messages in [&live, &restored] {
            let all = pages(messages, &MessageFilter::default(), 1_000);
            let mut settled_counts = BTreeMap::new();
            for (place, (target, tenant)) in &reached {
                let (number, subject) = (place.0, SubjectId(place.1));
                let view = messages.to_person(id(number).as_str(), subject).unwrap();
                let settled = settled.get(place).copied();
                prop_assert_eq!(view.settled.map(|(position, _)| position), settled);
                prop_assert_eq!(view.delayed_by, delayed.get(place).copied());
                prop_assert_eq!(&view.tenant, tenant);
                let found = messages.reached(view.accepted, subject).unwrap();
                prop_assert_eq!((found.target, &found.tenant), (*target, tenant));
                // Before any delay ends, and after all of them have.
                for now in [Timestamp(0), Timestamp(u64::MAX)] {
                    let one = std::iter::once(subject.0).collect();
                    let is_due = messages.is_due(view.accepted, subject, now);
                    let among = messages.due_among(view.accepted, &one, now);
                    prop_assert_eq!(is_due, !among.is_empty());
                    let waits = delayed.contains_key(place) && now == Timestamp(0);
                    let is_open = settled.is_none() && view.canceled_at.is_none();
                    prop_assert_eq!(is_due, is_open && !waits);
                }
                *settled_counts.entry(number).or_insert(0) += u64::from(settled.is_some());

                let filter = MessageFilter {
                    recipient: Some(WantedRecipient::Person(subject)),
                    ..MessageFilter::default()
                };
                let theirs = pages(messages, &filter, 1);
                let of_all = all.iter().filter(|it| it.subject == Some(subject));
                prop_assert_eq!(theirs, of_all.cloned().collect::<Vec<_>>());
            }
            for (number, count) in settled_counts {
                let progress = messages.request(id(number).as_str()).unwrap().progress;
                let sent = progress.by_status.get(&(MessageStatus::Sent, None));
                prop_assert_eq!(sent.copied().unwrap_or_default(), count);
                prop_assert_eq!(progress.by_status.values().sum::<u64>(), progress.people);
            }
            let one_by_one = pages(messages, &MessageFilter::default(), 1);
            prop_assert_eq!(one_by_one, all);
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let people = || prop::collection::vec(0..PEOPLE, 0..4);
    let part = (0..3_u32, 0..100_u8, people());
    prop_oneof![
        30 => (prop::collection::vec(part, 0..40), prop::bool::weighted(0.3))
            .prop_map(|(parts, is_last)| Step::Resolve { parts, is_last }),
        120 => (people(), prop::bool::weighted(0.3)).prop_map(|(mut people, is_delayed)| {
            people.sort_unstable();
            people.dedup();
            Step::Settle { people, is_delayed }
        }),
        1 => Just(Step::Cancel),
    ]
}

fn accepted() -> MessageEvent {
    MessageEvent::Accepted(MessageAccepted {
        message: MessageText::ToMany(JsonDocument::of(&BTreeMap::<String, String>::new()).unwrap()),
        targets: vec![MessageTarget::ListPattern {
            pattern: "*".to_owned(),
            data: None,
        }],
        delayed_until: None,
        expires_at: None,
        resends: None,
    })
}

fn resolved(parts: &[(u32, u8, Vec<u32>)], is_last: bool) -> MessageEvent {
    let people = parts.iter().map(|(target, tenant, people)| TargetPeople {
        target: *target,
        tenant: tenant_of(*tenant),
        people: SubjectSet::of(&people.iter().collect()),
    });
    MessageEvent::Resolved(MessageResolved {
        as_of: Position::START,
        people: people.collect(),
        problems: vec![],
        is_last,
    })
}

fn outcome(people: usize, is_delayed: bool) -> MessageEvent {
    let outcome = MessageOutcome {
        status: MessageStatus::Sent,
        reason: None,
        because: String::new(),
        tenant: None,
        channels: vec![],
        planned: Position::START,
        planned_at: Timestamp(0),
        delayed_until: is_delayed.then_some(Timestamp(1_000_000)),
    };
    MessageEvent::Settled(MessageSettled {
        outcomes: vec![(outcome, u32::try_from(people).unwrap())],
        receipts: vec![],
    })
}

fn id(number: u64) -> MessageId {
    MessageId::parse(&format!("message{number}")).unwrap()
}

fn tenant_of(number: u8) -> Option<TenantId> {
    let tenant = TenantId::parse(&number.to_string()).unwrap();
    (number > 0).then_some(tenant)
}

fn pages(messages: &Messages, filter: &MessageFilter, limit: usize) -> Vec<MessageView> {
    let mut all = Vec::new();
    let mut place = None;
    loop {
        let (found, next) = messages.page(filter, place, limit);
        all.extend(found);
        place = next;
        if place.is_none() {
            return all;
        }
    }
}

fn restart(messages: &Messages) -> Messages {
    let mut bytes = Vec::new();
    messages.save(&mut Encoder::new(&mut bytes)).unwrap();
    Messages::restore(&mut Decoder::new(&mut bytes.as_slice())).unwrap()
}

fn digest(messages: &Messages) -> String {
    let mut digest = Digest::default();
    messages.digest(&mut digest);
    digest.finish()
}
