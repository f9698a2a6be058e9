//! The feed's filters against a naive scan, and a person's timeline against the feed.
//!
//! `MUSTER_FEED_SEED` repeats a run.

use engine::{Actor, EventJson, EventsQuery, History, Order, Origin, TimelineQuery};
use types::{Clock as _, PageLimit, Position, Timestamp};

use super::steps;
use crate::random::Random;
use crate::running::{ManualClock, Running, SECOND, seed};

const CATEGORIES: [&str; 8] = [
    "subject",
    "profile",
    "list",
    "list_member",
    "tenant",
    "tenant_member",
    "token",
    "preference",
];

#[test]
fn every_filter_finds_what_a_scan_finds() {
    let seed = seed("MUSTER_FEED_SEED");
    let mut random = Random::new(seed);
    for _ in 0..4 {
        let clock = ManualClock::started();
        let running = Running::on_empty_log(&clock);
        write(&mut random, &clock, &running);
        // What the index is rebuilt from says the same, and so does an import.
        for running in [running.imported(seed), running] {
            let history = running.history();
            let all = found(&history, &EventsQuery::default(), 1_000);
            assert_eq!(all.len() as u64, history.head().0);
            for _ in 0..150 {
                let query = query(&mut random, &all);
                let mut expected: Vec<u64> = all
                    .iter()
                    .filter(|event| accepts(&query, event))
                    .map(|event| event.position)
                    .collect();
                if query.order == Order::Descending {
                    expected.reverse();
                }
                let found = found(&history, &query, random.between(1, 30) as u64);
                let found: Vec<u64> = found.iter().map(|event| event.position).collect();
                assert_eq!(found, expected, "{query:?}, seed {seed}");
            }
            timelines(&mut random, &running, &history, seed);
        }
    }
}

fn write(random: &mut Random, clock: &ManualClock, running: &Running) {
    for n in 0..400 {
        clock.pass(random.below(3) as u64 * SECOND);
        let (command, _) = steps::any(random, clock.now());
        let origin = Origin {
            actor: Actor {
                id: format!("key-{}", random.below(4)),
                ..Actor::default()
            },
            tenant_id: None,
            correlation_id: random.percent(60).then(|| format!("request-{}", n / 3)),
        };
        // What is refused writes nothing.
        let _ = running.engine.execute_blocking(command, origin);
    }
}

/// A question of which the parts come from what there is, so that it often has an answer.
fn query(random: &mut Random, all: &[EventJson]) -> EventsQuery {
    let some = |random: &mut Random| &all[random.below(all.len())];
    let mut query = EventsQuery {
        order: random.pick(&[Order::Ascending, Order::Descending]),
        ..EventsQuery::default()
    };
    for _ in 0..random.below(4) {
        let event = some(random);
        match random.below(10) {
            0 => query.stream = Some(event.stream.clone()),
            1 => query.stream = Some(format!("{}-*", random.pick(&CATEGORIES))),
            2 => query.event_type = Some(event.event_type.clone()),
            3 => {
                let aggregate = event.event_type.split('.').next().unwrap();
                query.event_type = Some(format!("{aggregate}.*"));
            }
            4 => query.subject = event.subjects.first().cloned(),
            5 => query.actor = Some(event.actor.id.clone()),
            6 => query.tenant_id.clone_from(&event.tenant_id),
            7 => query.correlation_id = Some(event.correlation_id.clone()),
            8 => query.after = Some(Position(event.position)),
            _ => query.until = Some(event.recorded_at.parse().unwrap()),
        }
    }
    query
}

fn accepts(query: &EventsQuery, event: &EventJson) -> bool {
    fn holds<T>(condition: Option<&T>, accepts: impl Fn(&T) -> bool) -> bool {
        condition.is_none_or(accepts)
    }
    let matches = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => text == pattern,
    };
    let at: Timestamp = event.recorded_at.parse().unwrap();
    holds(query.stream.as_ref(), |it| matches(it, &event.stream))
        && holds(query.event_type.as_ref(), |it| {
            matches(it, &event.event_type)
        })
        && holds(query.subject.as_ref(), |it| event.subjects.contains(it))
        && holds(query.actor.as_ref(), |it| *it == event.actor.id)
        && holds(query.tenant_id.as_ref(), |it| {
            event.tenant_id.as_ref() == Some(it)
        })
        && holds(query.correlation_id.as_ref(), |it| {
            *it == event.correlation_id
        })
        && holds(query.after.as_ref(), |it| event.position > it.0)
        && holds(query.until.as_ref(), |it| at <= *it)
}

/// All pages, each of so many at most.
fn found(history: &History, query: &EventsQuery, limit: u64) -> Vec<EventJson> {
    let mut query = EventsQuery {
        limit: PageLimit::clamped(limit),
        ..query.clone()
    };
    let mut items = Vec::new();
    loop {
        let page = history.page(&query, &|| true).unwrap();
        items.extend(page.items);
        match (page.next, query.order) {
            (None, _) => return items,
            (next, Order::Ascending) => query.after = next,
            (next, Order::Descending) => query.before = next,
        }
    }
}

/// A timeline has the events about the person as the feed has them; its changes fit each other, page by
/// page in either order.
fn timelines(random: &mut Random, running: &Running, history: &History, seed: u64) {
    for (subject, user_id) in (0..).map_while(|number| {
        let subject = types::SubjectId(number);
        Some((subject, running.models.subjects.user_id(subject)?))
    }) {
        let of_person = EventsQuery {
            subject: Some(user_id.as_str().to_owned()),
            ..EventsQuery::default()
        };
        let feed = found(history, &of_person, 1_000);
        let mut told = Vec::new();
        for order in [Order::Ascending, Order::Descending] {
            let mut query = TimelineQuery {
                order,
                from: None,
                limit: PageLimit::clamped(random.between(1, 40) as u64),
                within: None,
            };
            let mut items = Vec::new();
            loop {
                let page = history.timeline(subject, &query, &|| true).unwrap();
                items.extend(page.items);
                query.from = page.next;
                if query.from.is_none() {
                    break;
                }
            }
            if order == Order::Descending {
                items.reverse();
            }
            let shown = items
                .iter()
                .map(|item| serde_json::to_string(item).unwrap());
            told.push(shown.collect::<Vec<_>>());
            let positions = items.iter().map(|item| item.event.position);
            assert!(
                positions.eq(feed.iter().map(|event| event.position)),
                "{user_id}, seed {seed}"
            );
            let mut fields = std::collections::BTreeMap::new();
            for change in items.iter().flat_map(|item| &item.changes) {
                assert_ne!(change.before, change.after, "seed {seed}");
                let before = fields.insert(&change.path, &change.after);
                // What expired, or belonged to a list that is gone, went without an event.
                let is_silent = change.path.starts_with("/tokens/")
                    || change.path.starts_with("/lists/")
                    || change.path.starts_with("/tenants/");
                let before = before.unwrap_or(&serde_json::Value::Null);
                assert!(
                    *before == change.before || is_silent && change.before.is_null(),
                    "{user_id}, {change:?}, seed {seed}"
                );
            }
            // The profile that follows from the changes is the one that there is.
            let document = running.models.profiles.document(subject);
            let email = document
                .map(|it| it.to_value()["email"].clone())
                .unwrap_or_default();
            let path = "/profile/email".to_owned();
            let followed = fields
                .get(&path)
                .map(|it| (*it).clone())
                .unwrap_or_default();
            if !email.is_object() {
                assert_eq!(followed, email, "{user_id}, seed {seed}");
            }
        }
        assert_eq!(told[0], told[1], "{user_id}, seed {seed}");
    }
}
