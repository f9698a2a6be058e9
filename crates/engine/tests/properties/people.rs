//! Tenants, choices, device tokens and the rest of what is known about people, against a naive world:
//! after every batch of random commands, of which many share a group, the read models show what the
//! world holds, the engine has refused what the world refuses, and a replay and an import give the same
//! digests.
//!
//! `MUSTER_PEOPLE_SEED` repeats a run, `MUSTER_PEOPLE_WRITES` makes it longer.

mod feed;
pub(crate) mod steps;
mod world;

use domain::Change;
use domain::limits::{
    LISTS_MAX, USER_CHOICES_MAX, USER_LISTS_MAX, USER_TENANTS_MAX, USER_TOKENS_MAX,
};
use engine::{
    Choices, Command, Edit, Origin, Outcome, SectionDetails, SubscribeMode, Subscriber,
    TokenDetails, UserUpsert,
};
use types::{Clock as _, JsonDocument, PreferenceStatus, ProviderKey, TokenStatus};
use world::World;

use crate::random::Random;
use crate::running::{ManualClock, Running, SECOND, number, seed};

#[test]
fn the_read_models_show_what_a_naive_world_holds() {
    let writes = number("MUSTER_PEOPLE_WRITES").unwrap_or(6_000);
    let seed = seed("MUSTER_PEOPLE_SEED");
    let mut random = Random::new(seed);
    let (mut done, mut refused) = (0, 0);
    while done < writes {
        let clock = ManualClock::started();
        let mut running = Running::on_empty_log(&clock);
        let mut world = World::default();
        for _ in 0..40 {
            let pass = random.below(20) as u64 * SECOND / 2;
            clock.pass(pass);
            let now = clock.now();
            let mut steps = Vec::new();
            for _ in 0..random.between(1, 8) {
                steps.push(steps::any(&mut random, now));
            }
            let (commands, effects): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
            let shown = format!("{commands:#?}");
            let answers = running.execute_together(commands);
            done += answers.len() as u64;
            world.expire(now);
            for (effect, answer) in effects.into_iter().zip(answers) {
                let expected = effect(&mut world);
                world.note_registered();
                refused += u64::from(expected.is_err());
                assert_eq!(
                    answer.is_ok(),
                    expected.is_ok(),
                    "{answer:?}, seed {seed}, {shown}"
                );
            }
            world.compare(&running.models, &format!("seed {seed}, {shown}"));
            if random.percent(10) {
                running = if random.percent(50) {
                    running.resumed(seed)
                } else {
                    running.restarted(seed)
                };
            }
        }
        let again = running.imported(seed);
        world.compare(&again.models, &format!("import, seed {seed}"));
    }
    println!("people: {done} writes, {refused} refused as expected, 0 mismatches");
}

/// What a person can have has an end, and what is there already can still be changed.
#[test]
fn the_limits_of_a_person_hold() {
    let clock = ManualClock::started();
    let running = Running::on_empty_log(&clock);
    let run = |command| {
        let engine = &running.engine;
        engine.execute_blocking(command, Origin::default())
    };
    let refused = |command| {
        let before = running.models.checkpoint();
        let refused = run(command).is_err();
        assert_eq!(
            running.models.checkpoint(),
            before,
            "a refusal writes nothing"
        );
        refused
    };
    let user_id = || world::user_id(0);
    let token = |number: usize, status: TokenStatus| {
        let details = TokenDetails {
            provider_key: ProviderKey::Apn,
            status,
            status_reason: None,
            device: None,
            tracking: None,
            properties: None,
            expires_at: None,
        };
        (world::token_id(number), details)
    };
    let register = |tokens| Command::RegisterTokens {
        user_id: user_id(),
        tokens,
    };
    let all = (0..USER_TOKENS_MAX).map(|it| token(it, TokenStatus::Active));
    run(register(all.collect())).unwrap();
    assert!(refused(register(vec![token(
        USER_TOKENS_MAX,
        TokenStatus::Active
    )])));
    run(register(vec![token(0, TokenStatus::Failed)])).unwrap();

    let join =
        |tenants: std::ops::Range<usize>, profile: Change<JsonDocument>| Command::JoinTenants {
            user_id: user_id(),
            tenants: tenants
                .map(|it| (world::tenant_id(it), profile.clone()))
                .collect(),
        };
    run(join(0..USER_TENANTS_MAX, Change::Keep)).unwrap();
    assert!(refused(join(
        USER_TENANTS_MAX..USER_TENANTS_MAX + 1,
        Change::Keep
    )));
    let role = JsonDocument::from_value(&serde_json::json!({"role": 1}));
    run(join(0..1, Change::Set(role))).unwrap();

    let subscribe = |lists: std::ops::Range<usize>| Command::SubscribeToLists {
        user_id: user_id(),
        lists: lists.map(|it| (world::list_id(it), None)).collect(),
    };
    let to_one = |list: usize| Command::Subscribe {
        list: world::list_id(list),
        subscribers: vec![Subscriber {
            user_id: user_id(),
            preferences: None,
        }],
        mode: SubscribeMode::Add,
    };
    for list in (0..USER_LISTS_MAX).step_by(LISTS_MAX) {
        run(subscribe(list..list + LISTS_MAX)).unwrap();
    }
    assert!(refused(subscribe(USER_LISTS_MAX - 1..USER_LISTS_MAX + 1)));
    assert!(refused(to_one(USER_LISTS_MAX)));
    run(to_one(0)).unwrap();
    run(subscribe(0..10)).unwrap();

    let section = Command::Section {
        section: world::section_id(0),
        edit: Edit::Create(SectionDetails {
            name: String::new(),
            description: None,
            has_custom_routing: false,
            routing_options: vec![],
        }),
    };
    run(section).unwrap();
    let topic = Command::Topic {
        section: world::section_id(0),
        topic: world::topic_id(0),
        edit: Edit::Create(steps::topic_put(PreferenceStatus::OptedIn)),
    };
    run(topic).unwrap();
    let status = PreferenceStatus::OptedOut;
    let upsert = |contexts: std::ops::Range<usize>, status| {
        let choice = |it| {
            let key = (Some(world::tenant_id(it)), world::topic_id(0));
            (key, steps::request(status))
        };
        Command::UpsertUsers(vec![UserUpsert {
            user_id: user_id(),
            profile: None,
            lists: vec![],
            tenants: vec![],
            choices: contexts.map(choice).collect(),
            recipient_preferences: None,
            quiet_hours: None,
            tokens: vec![],
            restore: false,
        }])
    };
    let not_written = |command| match run(command).unwrap().outcome {
        Outcome::Users(refused) => refused.len(),
        Outcome::Done
        | Outcome::Choices(_)
        | Outcome::Removed(_)
        | Outcome::Duplicates(_)
        | Outcome::Marked(_) => panic!("another outcome"),
    };
    assert_eq!(not_written(upsert(0..USER_CHOICES_MAX, status)), 0);
    let one_more = || upsert(USER_CHOICES_MAX - 1..USER_CHOICES_MAX + 1, status);
    assert_eq!(not_written(one_more()), 1);
    assert_eq!(not_written(upsert(0..10, PreferenceStatus::OptedIn)), 0);
    let clear = Command::Choose {
        user_id: user_id(),
        tenant: Some(world::tenant_id(0)),
        choices: Choices::Clear(world::topic_id(0)),
    };
    run(clear).unwrap();
    assert_eq!(not_written(one_more()), 0);
    let subject = running.models.subjects.number(user_id().as_str()).unwrap();
    assert_eq!(
        running.models.preferences.choice_count(subject),
        USER_CHOICES_MAX
    );
    run(Command::DeleteUser { user_id: user_id() }).unwrap();
    assert!(!running.models.is_known(subject));
}
