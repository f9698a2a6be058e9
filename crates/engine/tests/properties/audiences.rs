//! Audiences against the definition of truth: after every batch of random writes, deletions, rule
//! edits and steps of the clock, the members of every audience are those whom its rule accepts when
//! it is asked about everybody from scratch. The same after a restart, a replay and an import.
//!
//! `MUSTER_AUDIENCE_SEED` repeats a run, `MUSTER_AUDIENCE_WRITES` makes it longer.

mod rules;
pub(crate) mod world;

use std::collections::{BTreeMap, BTreeSet};

use domain::{AudienceCommand, AudiencePut, Change, ListCommand, ProfileCommand, TenantCommand};
use engine::{Command, Origin, SubscribeMode, Subscriber, TenantDetails, UserUpsert};
use projections::{ChangePlace, MemberView, ReadModels, StepPlace};
use rules::{any_profile, any_rule};
use serde_json::{Map, Value, json};
use types::filter::Group;
use types::{AudienceId, Clock as _, PageLimit, Position, SubjectId, Timestamp};
use world::{
    AUDIENCES, CROWD, FEW, LISTS, TENANTS, World, audience_id, list_id, tenant_id, user_id,
};

use crate::random::Random;
use crate::running::{ManualClock, Running, SECOND, START, number, seed};

/// One step, for the engine and for the naive world.
pub(crate) type Step = (Command, Box<dyn FnOnce(&mut World)>);

pub(crate) fn any_step(random: &mut Random, people: usize, now: u64) -> Step {
    let who = random.below(people);
    let list = random.below(LISTS.len());
    if random.percent(20) {
        return any_tenant_step(random, people, now);
    }
    match random.below(100) {
        0..8 => {
            let event = random.pick(&["order", "order.paid", "login"]);
            let command = Command::Track {
                user_id: user_id(who),
                event: event.to_owned(),
                properties: None,
            };
            let at = Timestamp(now);
            (command, Box::new(move |world| world.track(who, event, at)))
        }
        8..50 => {
            let changes = any_profile(random, true, now);
            let command = Command::Profile {
                user_id: user_id(who),
                command: ProfileCommand::Merge(changes.clone()),
            };
            (command, Box::new(move |world| world.merge(who, changes)))
        }
        50..56 => {
            let profile = any_profile(random, false, now);
            let command = Command::Profile {
                user_id: user_id(who),
                command: ProfileCommand::Replace(profile.clone()),
            };
            (command, Box::new(move |world| world.replace(who, profile)))
        }
        56..60 => {
            let command = Command::Profile {
                user_id: user_id(who),
                command: ProfileCommand::Delete,
            };
            (
                command,
                Box::new(move |world| drop(world.profiles.remove(&who))),
            )
        }
        60..70 => {
            let named: BTreeSet<usize> =
                (0..random.below(4)).map(|_| random.below(people)).collect();
            let overwrite = random.percent(20);
            let subscriber = |who: &usize| Subscriber {
                user_id: user_id(*who),
                preferences: None,
            };
            let command = Command::Subscribe {
                list: list_id(list),
                subscribers: named.iter().map(subscriber).collect(),
                mode: if overwrite {
                    SubscribeMode::Overwrite
                } else {
                    SubscribeMode::Add
                },
            };
            (
                command,
                Box::new(move |world| world.subscribe(list, named, overwrite)),
            )
        }
        70..75 => {
            let command = Command::Unsubscribe {
                list: list_id(list),
                user_id: user_id(who),
            };
            (command, Box::new(move |world| world.unsubscribe(list, who)))
        }
        75..77 => {
            let command = Command::LeaveEveryList {
                user_id: user_id(who),
            };
            (
                command,
                Box::new(move |world| {
                    for list in world.lists.values_mut() {
                        list.1.remove(&who);
                    }
                }),
            )
        }
        77..81 => {
            let deleting = random.percent(50);
            let command = Command::List {
                list: list_id(list),
                command: if deleting {
                    ListCommand::Delete
                } else {
                    ListCommand::Restore
                },
            };
            (
                command,
                Box::new(move |world| {
                    if let Some(list) = world.lists.get_mut(&list) {
                        list.0 = !deleting;
                    }
                }),
            )
        }
        81..96 => {
            let audience = random.below(AUDIENCES);
            let rule = random.percent(95).then(|| any_rule(random));
            let put = AudiencePut {
                name: Change::Set(format!("{}", random.below(3))),
                filter: rule.clone().map_or(Change::Clear, Change::Set),
                ..AudiencePut::default()
            };
            let command = Command::Audience {
                audience: audience_id(audience),
                command: AudienceCommand::Put(put),
            };
            (
                command,
                Box::new(move |world| drop(world.audiences.insert(audience, rule))),
            )
        }
        96..98 => {
            let audience = random.below(AUDIENCES);
            let command = Command::Audience {
                audience: audience_id(audience),
                command: AudienceCommand::Delete,
            };
            (
                command,
                Box::new(move |world| drop(world.audiences.remove(&audience))),
            )
        }
        _ => (Command::AdvanceClock, Box::new(|_| ())),
    }
}

/// A step about tenants, or about everything of some people at once.
fn any_tenant_step(random: &mut Random, people: usize, now: u64) -> Step {
    let (who, tenant) = (random.below(people), random.below(TENANTS));
    match random.below(100) {
        0..30 => {
            let parent = random.percent(80).then(|| random.below(TENANTS));
            let details = TenantDetails {
                name: format!("{}", random.below(3)),
                parent_tenant_id: parent.map(tenant_id),
                brand_id: None,
                properties: None,
                user_profile: None,
                default_preferences: BTreeMap::new(),
            };
            let command = Command::Tenant {
                tenant: tenant_id(tenant),
                command: TenantCommand::Put(details),
            };
            (
                command,
                Box::new(move |world| world.put_tenant(tenant, parent)),
            )
        }
        30..38 => {
            let command = Command::Tenant {
                tenant: tenant_id(tenant),
                command: TenantCommand::Delete,
            };
            (command, Box::new(move |world| world.delete_tenant(tenant)))
        }
        38..65 => {
            let named: BTreeSet<usize> = (0..random.between(1, 3))
                .map(|_| random.below(TENANTS))
                .collect();
            let tenants = named.iter().map(|it| (tenant_id(*it), Change::Keep));
            let command = Command::JoinTenants {
                user_id: user_id(who),
                tenants: tenants.collect(),
            };
            let join = move |world: &mut World| {
                for tenant in named {
                    world.memberships.entry(tenant).or_default().insert(who);
                }
            };
            (command, Box::new(join))
        }
        65..78 => {
            let command = Command::LeaveTenant {
                user_id: user_id(who),
                tenant: tenant_id(tenant),
            };
            let leave = move |world: &mut World| {
                world.memberships.entry(tenant).or_default().remove(&who);
            };
            (command, Box::new(leave))
        }
        78..82 => {
            let user_id = user_id(who);
            let command = Command::LeaveEveryTenant { user_id };
            (command, Box::new(move |world| world.leave_all(who)))
        }
        82..86 => {
            let user_id = user_id(who);
            let command = if random.percent(30) {
                Command::EraseUser { user_id }
            } else {
                Command::DeleteUser { user_id }
            };
            (command, Box::new(move |world| world.delete_user(who)))
        }
        _ => {
            let named: Vec<usize> = (0..random.between(1, 4))
                .map(|_| random.below(people))
                .collect();
            upserting(random, named, now)
        }
    }
}

/// Writes profiles, subscriptions and memberships of some people in one command.
fn upserting(random: &mut Random, named: Vec<usize>, now: u64) -> Step {
    let (list, tenant) = (random.below(LISTS.len()), random.below(TENANTS));
    let mut rows = Vec::new();
    for who in named {
        let profile = random.percent(60).then(|| any_profile(random, true, now));
        rows.push((who, profile, random.percent(50), random.percent(70)));
    }
    let row =
        |(who, profile, subscribes, joins): &(usize, Option<Map<String, Value>>, bool, bool)| {
            UserUpsert {
                user_id: user_id(*who),
                profile: profile.clone(),
                lists: subscribes
                    .then(|| (list_id(list), None))
                    .into_iter()
                    .collect(),
                tenants: joins
                    .then(|| (tenant_id(tenant), Change::Keep))
                    .into_iter()
                    .collect(),
                choices: vec![],
                recipient_preferences: None,
                quiet_hours: None,
                tokens: vec![],
                restore: false,
            }
        };
    let command = Command::UpsertUsers(rows.iter().map(row).collect());
    let upsert = move |world: &mut World| {
        for (who, profile, subscribes, joins) in rows {
            match profile {
                Some(profile) if world.profiles.contains_key(&who) => world.merge(who, profile),
                // Here, unlike in a merge by itself, nothing makes an empty profile of nobody.
                Some(profile) => world.replace(who, profile),
                None => {}
            }
            if subscribes {
                world.subscribe(list, BTreeSet::from([who]), false);
            }
            if joins {
                world.memberships.entry(tenant).or_default().insert(who);
            }
        }
    };
    (command, Box::new(upsert))
}

/// A crowd arrives: everybody with a profile, most of them seen at the same moment, and in a list.
fn arrivals(random: &mut Random) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for who in 0..CROWD {
        let mut profile = any_profile(random, false, START.0);
        if random.percent(80) {
            profile.insert("seen".to_owned(), json!("2026-02-03T12:00:00Z"));
        }
        let command = Command::Profile {
            user_id: user_id(who),
            command: ProfileCommand::Replace(profile.clone()),
        };
        steps.push((command, Box::new(move |world| world.replace(who, profile))));
    }
    let subscriber = |who| Subscriber {
        user_id: user_id(who),
        preferences: None,
    };
    let command = Command::Subscribe {
        list: list_id(1),
        subscribers: (0..CROWD).map(subscriber).collect(),
        mode: SubscribeMode::Add,
    };
    let everybody = (0..CROWD).collect();
    steps.push((
        command,
        Box::new(move |world| world.subscribe(1, everybody, false)),
    ));
    steps.push(upserting(random, (0..CROWD).collect(), START.0));
    steps
}

/// Runs the steps in the engine and, where it accepts them, in the naive world; how many.
fn run(running: &Running, world: &mut World, steps: Vec<Step>) -> u64 {
    let count = steps.len() as u64;
    let (commands, effects): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
    let answers = running.execute_together(commands);
    for (effect, answer) in effects.into_iter().zip(answers) {
        if answer.is_ok() {
            effect(world);
        }
    }
    count
}

/// What the read models say, compared with asking everybody from scratch; how many questions.
fn compare(running: &Running, world: &World, seed: u64) -> u64 {
    let models = &running.models;
    let now = running.now();
    let mut questions = 0;
    for audience in 0..AUDIENCES {
        let id = audience_id(audience);
        let members = all_members(models, &id).map(|members| {
            let members = members.iter();
            members
                .map(|it| world::who(models, it.subject))
                .collect::<BTreeSet<usize>>()
        });
        let expected = world
            .audiences
            .get(&audience)
            .map(|rule| world.members(rule.as_ref(), now));
        assert_eq!(
            members,
            expected,
            "members of {audience} at {}, seed {seed}, rule {:?}",
            models.checkpoint(),
            world.audiences.get(&audience)
        );
        questions += world.profiles.len() as u64;
        let count = models.audiences.count(&id);
        assert_eq!(count, expected.map(|expected| expected.len() as u64));
        let check = models.check_audience(&id, SubjectId(0), usize::MAX);
        assert_eq!(
            check.map(|check| check.divergent),
            world.audiences.get(&audience).map(|_| vec![]),
            "self-check of {audience}, seed {seed}"
        );
    }
    questions
}

fn all_members(models: &ReadModels, audience: &AudienceId) -> Option<Vec<MemberView>> {
    let mut members: Vec<MemberView> = Vec::new();
    loop {
        let after = members.last().map(|last| last.subject);
        let page = models.audiences.members(audience, after, PageLimit::MOST)?;
        members.extend(page.items);
        if !page.more {
            return Some(members);
        }
    }
}

/// A rule that is not saved matches whom it would match if it were.
fn compare_previews(running: &Running, world: &World, random: &mut Random, seed: u64) {
    let rule = any_rule(random);
    let expected = world.members(Some(&rule), running.now());
    let (preview, total) = running
        .models
        .preview(&rule, running.now(), 100, &|| true)
        .unwrap();
    let sample: BTreeSet<usize> = preview
        .sample
        .iter()
        .map(|subject| world::who(&running.models, *subject))
        .collect();
    assert!(
        sample.is_subset(&expected),
        "preview of {rule:?}, seed {seed}"
    );
    assert_eq!(sample.len(), expected.len().min(100));
    assert_eq!(preview.count, expected.len() as u64);
    assert_eq!(total, world.profiles.len() as u64);
    let audience = random.below(AUDIENCES);
    let compared =
        running
            .models
            .compare(&audience_id(audience), &rule, running.now(), 100, &|| true);
    let current = world
        .audiences
        .get(&audience)
        .map(|rule| world.members(rule.as_ref(), running.now()));
    let counts = compared.map(|it| (it.joining.count, it.leaving.count));
    let expected_counts = current.map(|current| {
        let joining = expected.difference(&current).count() as u64;
        (joining, current.difference(&expected).count() as u64)
    });
    assert_eq!(counts, expected_counts, "seed {seed}");
}

/// All steps of all audiences, in pieces, lead from nobody to the members of each, and no place comes twice.
fn compare_steps(running: &Running, seed: u64, at_most: usize) {
    let (models, history) = (&running.models, running.history());
    let head = models.checkpoint();
    let mut members: BTreeMap<AudienceId, BTreeMap<SubjectId, Position>> = BTreeMap::new();
    let mut place = StepPlace::default();
    while place < StepPlace::after(head) {
        let steps = history.membership_steps(place, head, None, at_most, &|| true);
        let steps = steps.unwrap();
        assert!(steps.items.len() <= at_most);
        for step in steps.items {
            assert!(step.place() > place, "seed {seed}: {step:?}");
            place = step.place();
            let of = members.entry(step.audience.clone()).or_default();
            let before = if step.joined {
                of.insert(step.subject, step.position)
            } else {
                of.remove(&step.subject)
            };
            assert_eq!(before.is_some(), !step.joined, "seed {seed}: {step:?}");
        }
        assert!(steps.through >= place, "seed {seed}");
        place = steps.through;
    }
    for audience in 0..AUDIENCES {
        let id = audience_id(audience);
        let rows = all_members(models, &id).unwrap_or_default();
        let rows = rows.iter().map(|it| (it.subject, it.joined.position));
        let rows: BTreeMap<_, _> = rows.collect();
        let told = members.remove(&id).unwrap_or_default();
        assert_eq!(told, rows, "steps of {audience}, seed {seed}");
    }
}

/// All changes of an audience, in pages, lead from nobody to its members; and each member's row says
/// of the last change to them.
fn compare_changes(running: &Running, seed: u64, limit: PageLimit) {
    let models = &running.models;
    for audience in 0..AUDIENCES {
        let id = audience_id(audience);
        let mut place = ChangePlace::default();
        let mut members: BTreeMap<SubjectId, Position> = BTreeMap::new();
        loop {
            let history = running.history();
            let page = history.audience_changes(&id, place, limit, &|| true);
            let Some(page) = page.unwrap() else { break };
            for event in &page.items {
                let change = &event.change;
                let next = change.place();
                assert!(next >= place, "order of changes of {audience}, seed {seed}");
                place = next;
                let before = if change.joined {
                    members.insert(change.subject, change.occasion.position)
                } else {
                    members.remove(&change.subject)
                };
                assert_eq!(before.is_some(), !change.joined, "seed {seed}: {change:?}");
                assert!(!change.reason.is_empty(), "seed {seed}: {change:?}");
            }
            place = page.next;
            if !page.more {
                break;
            }
        }
        let rows = all_members(models, &id).unwrap_or_default();
        let rows: Vec<(SubjectId, Position)> = rows
            .iter()
            .map(|member| (member.subject, member.joined.position))
            .collect();
        let expected: Vec<_> = members.into_iter().collect();
        assert_eq!(rows, expected, "since when, in {audience}, seed {seed}");
    }
}

#[test]
fn members_are_whom_the_rule_accepts_from_scratch() {
    let writes = number("MUSTER_AUDIENCE_WRITES").unwrap_or(4_000);
    let seed = seed("MUSTER_AUDIENCE_SEED");
    let mut random = Random::new(seed);
    let (mut done, mut questions, mut restarts, mut histories) = (0, 0, 0, 0);
    while done < writes {
        // Many short histories find more than one long one, in which everything has happened.
        let clock = ManualClock::started();
        let mut running = Running::on_empty_log(&clock);
        let mut world = World::default();
        let crowded = histories % 20 == 7;
        histories += 1;
        let people = if crowded { CROWD } else { FEW };
        if crowded {
            done += run(&running, &mut world, arrivals(&mut random));
        }
        for _ in 0..if crowded { 25 } else { 60 } {
            let step = match random.below(10) {
                0..6 => random.below(100) as u64 * SECOND / 10,
                6..9 => random.below(200_000) as u64 * SECOND,
                _ => random.below(40) as u64 * 86_400 * SECOND,
            };
            clock.pass(step);
            let steps: Vec<_> = (0..random.between(1, 6))
                .map(|_| any_step(&mut random, people, clock.now().0))
                .collect();
            done += run(&running, &mut world, steps);
            questions += compare(&running, &world, seed);
            compare_previews(&running, &world, &mut random, seed);
            if random.percent(10) {
                let limit = PageLimit::clamped(if crowded { 1_000 } else { 7 });
                compare_changes(&running, seed, limit);
                compare_steps(&running, seed, limit.rows());
                running = if random.percent(50) {
                    running.resumed(seed)
                } else {
                    running.restarted(seed)
                };
                questions += compare(&running, &world, seed);
                restarts += 1;
            }
        }
        let again = running.imported(seed);
        questions += compare(&again, &world, seed);
    }
    println!(
        "audiences: {done} writes, {questions} memberships compared, {restarts} restarts, 0 mismatches"
    );
}

/// Where so much happened that it is no longer remembered, the log is replayed.
#[test]
fn changes_that_are_forgotten_are_told_from_the_log() {
    const MANY: usize = 2_000;
    const ROUNDS: usize = 3_000;
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let put = |audience: usize, rule: &Value| {
        let rule = Group::parse(rule, None, domain::limits::RULE_LIMITS).unwrap();
        let filter = Change::Set(rule);
        let put = AudiencePut {
            filter,
            ..AudiencePut::default()
        };
        Command::Audience {
            audience: audience_id(audience),
            command: AudienceCommand::Put(put),
        }
    };
    let profile = |who: usize, value: usize| Command::Profile {
        user_id: user_id(who),
        command: ProfileCommand::Merge(Map::from_iter([("n".to_owned(), json!(value))])),
    };
    let run = |command| {
        running
            .engine
            .execute_blocking(command, Origin::default())
            .unwrap()
    };
    run(put(
        0,
        &json!({"operator": "EQ", "path": "n", "value": "1"}),
    ));
    // Each of these moves one person in or out of every one of many audiences.
    for audience in 1..=MANY {
        run(put(
            audience,
            &json!({"operator": "EQ", "path": "n", "value": "1"}),
        ));
    }
    for round in 0..ROUNDS {
        run(profile(round % 3, (round / 3) % 2));
    }
    assert!(
        !running
            .models
            .audiences
            .remembers_after(&audience_id(0), ChangePlace::default())
    );
    let history = running.history();
    let changes = |after, rows| {
        let limit = PageLimit::clamped(rows);
        let page = history.audience_changes(&audience_id(0), after, limit, &|| true);
        page.unwrap().unwrap()
    };
    let mut items = changes(ChangePlace::default(), 300).items;
    assert_eq!(items.len(), 300);
    loop {
        let page = changes(items.last().unwrap().change.place(), 1_000);
        items.extend(page.items);
        if !page.more {
            break;
        }
    }
    // The first round makes people known who are not in it; from then on each write moves one.
    assert_eq!(items.len(), ROUNDS - 3);
    // The same as steps of one audience among all, at their first place in the log.
    let of = audience_id(0);
    let head = running.models.checkpoint();
    let first = StepPlace::after(Position(items[0].change.occasion.position.0 - 1));
    let steps = history.membership_steps(first, head, Some(&of), 50, &|| true);
    let steps = steps.unwrap();
    assert_eq!(steps.items.len(), 50);
    for (step, event) in steps.items.iter().zip(&items) {
        let change = &event.change;
        let part = (u64::from(change.subject.0) + 1) << 32;
        assert_eq!((step.position, step.part), (change.occasion.position, part));
        assert_eq!((step.subject, step.joined), (change.subject, change.joined));
    }
    assert_eq!(steps.through, StepPlace::after(steps.items[49].position));
    let kinds = items.iter().map(|it| it.change.joined);
    for (place, joined) in kinds.enumerate() {
        assert_eq!(joined, (place / 3) % 2 == 0, "{place}");
    }
    assert!(items.iter().all(|it| it.cause == "profile.updated"));
}

/// What a test of single steps needs.
fn defining(audience: usize, rule: &Value) -> Command {
    let rule = Group::parse(rule, None, domain::limits::RULE_LIMITS).unwrap();
    let put = AudiencePut {
        filter: Change::Set(rule),
        ..AudiencePut::default()
    };
    Command::Audience {
        audience: audience_id(audience),
        command: AudienceCommand::Put(put),
    }
}

fn merging(who: usize, changes: &Value) -> Command {
    Command::Profile {
        user_id: user_id(who),
        command: ProfileCommand::Merge(changes.as_object().unwrap().clone()),
    }
}

/// One write can turn more predicates than people are ever told of at once.
#[test]
fn one_person_can_join_and_leave_thousands_of_audiences_in_one_write() {
    const MANY: usize = 1_500;
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let run = |command| {
        let engine = &running.engine;
        engine.execute_blocking(command, Origin::default()).unwrap();
    };
    for audience in 0..MANY {
        let value = audience.to_string();
        run(defining(
            audience,
            &json!({"operator": "GT", "path": "n", "value": value}),
        ));
    }
    run(merging(1, &json!({"n": MANY})));
    let held = |who: usize| {
        let models = &running.models;
        let subject = models.subjects.number(user_id(who).as_str()).unwrap();
        let (held, _) = models.audiences_of(subject, None, PageLimit::MOST);
        (
            held.len(),
            (0..MANY)
                .filter(|number| {
                    let page =
                        models
                            .audiences
                            .members(&audience_id(*number), None, PageLimit::MOST);
                    page.unwrap().items.iter().any(|it| it.subject == subject)
                })
                .count(),
        )
    };
    for (command, expected) in [
        (merging(0, &json!({"n": MANY})), MANY),
        (merging(0, &json!({"n": 700})), 700),
        (merging(0, &json!({"n": "none"})), 0),
        (merging(0, &json!({"n": 1_200.5})), 1_201),
        (
            Command::Profile {
                user_id: user_id(0),
                command: ProfileCommand::Delete,
            },
            0,
        ),
    ] {
        run(command);
        assert_eq!(held(0), (expected.min(1_000), expected));
    }
    let history = running.history();
    let id = audience_id(1_000);
    let page = history.audience_changes(&id, ChangePlace::default(), PageLimit::MOST, &|| true);
    let told: Vec<(bool, String)> = page
        .unwrap()
        .unwrap()
        .items
        .into_iter()
        .filter(|it| it.change.subject != SubjectId(0))
        .map(|it| (it.change.joined, it.change.reason))
        .collect();
    let reason = |is_true| format!("GT('n', '1000') => {is_true}");
    assert_eq!(
        told,
        [
            (true, reason(true)),
            (false, reason(false)),
            (true, reason(true)),
            (false, "the profile was deleted".to_owned()),
        ]
    );
}

/// Whoever follows an audience by its changes has to hear of those who were in it when it was deleted
/// and made anew; and of a change by what the rule asked then.
#[test]
fn changes_go_on_over_a_deletion_and_a_new_rule() {
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let run = |command| {
        let engine = &running.engine;
        engine.execute_blocking(command, Origin::default()).unwrap();
    };
    let is = |path: &str| json!({"operator": "EQ", "path": path, "value": "1"});
    run(defining(0, &is("a")));
    run(defining(1, &is("b")));
    run(merging(0, &json!({"a": 1, "b": 1})));
    run(defining(0, &is("c")));
    run(Command::Audience {
        audience: audience_id(1),
        command: AudienceCommand::Delete,
    });
    run(defining(1, &is("a")));
    let told = |audience: usize| {
        let history = running.history();
        let from = ChangePlace::default();
        let page =
            history.audience_changes(&audience_id(audience), from, PageLimit::MOST, &|| true);
        let items = page.unwrap().unwrap().items.into_iter();
        items
            .map(|it| (it.change.joined, it.change.version, it.change.reason))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told(0),
        [
            (true, 1, "EQ('a', '1') => true".to_owned()),
            (false, 2, "the rule was defined".to_owned()),
        ]
    );
    assert_eq!(
        told(1),
        [
            (
                true,
                1,
                "EQ('a', '1') => true, EQ('b', '1') => true".to_owned()
            ),
            (false, 1, "the rule was removed".to_owned()),
            (true, 1, "the rule was defined".to_owned()),
        ]
    );
}

/// Whoever leaves a list on being deleted would join those who are not in it, if the profile went last.
#[test]
fn who_is_deleted_joins_nothing_on_the_way_out() {
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let run = |command| {
        let engine = &running.engine;
        engine.execute_blocking(command, Origin::default()).unwrap();
    };
    let subscribed = json!({"operator": "MEMBER_OF", "path": "list", "value": LISTS[0]});
    let outside = json!({"operator": "NOT", "filters": [subscribed]});
    run(defining(0, &outside));
    run(merging(0, &json!({"a": 1})));
    run(Command::SubscribeToLists {
        user_id: user_id(0),
        lists: vec![(list_id(0), None)],
    });
    run(Command::DeleteUser {
        user_id: user_id(0),
    });
    let history = running.history();
    let from = ChangePlace::default();
    let page = history.audience_changes(&audience_id(0), from, PageLimit::MOST, &|| true);
    let joined = page.unwrap().unwrap().items.into_iter();
    let joined: Vec<bool> = joined.map(|it| it.change.joined).collect();
    assert_eq!(joined, [true, false]);
}

/// Columns are built beside the writer, which goes on: what it does meanwhile is in them.
#[test]
fn an_index_that_is_built_beside_the_writer_misses_nothing() {
    const PATHS: usize = 12;
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let profile = |who: usize, value: usize| {
        let members = (0..PATHS).map(|path| (format!("p{path}"), json!(value % 3)));
        merging(who, &Value::Object(members.collect()))
    };
    for who in 0..300 {
        let (engine, command) = (&running.engine, profile(who, who));
        engine.execute_blocking(command, Origin::default()).unwrap();
    }
    // More paths than are kept idle, asked for while people change.
    let leaves: Vec<Value> = (0..PATHS)
        .map(|path| json!({"operator": "GTE", "path": format!("p{path}"), "value": "2"}))
        .collect();
    let rule = json!({"operator": "AND", "filters": leaves});
    let rule = Group::parse(&rule, None, domain::limits::RULE_LIMITS).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for round in 0..600 {
                let (engine, command) = (&running.engine, profile(round % 300, round / 7));
                engine.execute_blocking(command, Origin::default()).unwrap();
            }
        });
        while !writing.is_finished() {
            let prepared = running.models.prepare(&rule, &|| true);
            let command = defining(0, &rule.to_value());
            let engine = &running.engine;
            engine.execute_blocking(command, Origin::default()).unwrap();
            drop(prepared);
            let check = running
                .models
                .check_audience(&audience_id(0), SubjectId(0), usize::MAX);
            assert_eq!(check.unwrap().divergent, []);
            let command = AudienceCommand::Delete;
            let audience = audience_id(0);
            let command = Command::Audience { audience, command };
            engine.execute_blocking(command, Origin::default()).unwrap();
            // Enough other paths for the columns to be dropped.
            let other = (PATHS..2 * PATHS).map(
                |path| json!({"operator": "EXISTS", "path": format!("p{path}"), "value": "true"}),
            );
            let other = json!({"operator": "OR", "filters": other.collect::<Vec<_>>()});
            let other = Group::parse(&other, None, domain::limits::RULE_LIMITS).unwrap();
            let previewed = running.models.preview(&other, running.now(), 1, &|| true);
            assert_eq!(previewed.unwrap().0.count, 0);
        }
    });
    // A question that nobody waits for is not worked out.
    assert_eq!(
        running.models.preview(&rule, running.now(), 1, &|| false),
        None
    );
    assert!(
        running
            .models
            .preview(&rule, running.now(), 1, &|| true)
            .is_some()
    );
}
