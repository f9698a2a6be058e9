//! Tenants, choices, device tokens and the rest of what is known about people, against a naive world:
//! after every batch of random commands, of which many share a group, the read models show what the
//! world holds, the engine has refused what the world refuses, and a replay and an import give the same
//! digests.
//!
//! `MUSTER_PEOPLE_SEED` repeats a run, `MUSTER_PEOPLE_WRITES` makes it longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../audiences/random.rs"]
mod random;
mod steps;
mod world;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Change;
use domain::limits::{USER_CHOICES_MAX, USER_TENANTS_MAX, USER_TOKENS_MAX};
use engine::{
    Choices, Command, Edit, Engine, EngineOptions, EventJson, Importer, Origin, Outcome,
    SectionDetails, TokenDetails, Until, UserUpsert, Writer, replay, start,
};
use event_log::{EventLog, MemoryLog};
use projections::ReadModels;
use random::Random;
use types::{Clock, JsonDocument, Position, PreferenceStatus, ProviderKey, Timestamp, TokenStatus};
use world::World;

/// 2026-01-31T00:00:00Z.
const START: u64 = 1_769_817_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A clock that the test moves.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Running {
    log: Arc<dyn EventLog>,
    models: Arc<ReadModels>,
    engine: Engine,
    _writer: Writer,
}

impl Running {
    fn start(log: Arc<dyn EventLog>, clock: &Arc<ManualClock>) -> Self {
        let rebuilt = replay(&log, Until::Head, &mut |_| ()).unwrap();
        let models = Arc::clone(&rebuilt.read_models);
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let (engine, writer) = start(Arc::clone(&log), rebuilt, clock, EngineOptions::default());
        Self {
            log,
            models,
            engine,
            _writer: writer,
        }
    }
}

/// Sends everything before the first answer is awaited, so that commands share groups; what each was
/// answered.
fn send_all(engine: &Engine, commands: Vec<Command>) -> Vec<Result<(), String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let send = |command| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.execute(command, Origin::default()).await })
        };
        let tasks: Vec<_> = commands.into_iter().map(send).collect();
        let mut answers = Vec::new();
        for task in tasks {
            let answer = task.await.unwrap();
            answers.push(answer.map(|_| ()).map_err(|error| error.to_string()));
        }
        answers
    })
}

fn imported(running: &Running, latest: Timestamp) -> Arc<dyn EventLog> {
    let log = MemoryLog::default();
    let mut importer = Importer::new(latest);
    for raw in running.log.read(Position(1), usize::MAX).unwrap() {
        for record in raw.decode().unwrap().records() {
            let shown = EventJson::from_record(&record.unwrap(), |subject| {
                running.models.subjects.user_id(subject)
            });
            let line = serde_json::to_string(&shown.unwrap()).unwrap();
            log.append(&[importer.record(&line).unwrap()]).unwrap();
        }
    }
    Arc::new(log)
}

#[test]
fn the_read_models_show_what_a_naive_world_holds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let writes: u64 = number("MUSTER_PEOPLE_WRITES").unwrap_or(6_000);
    // The standard library's hashing begins somewhere else in every process.
    let seed: u64 = number("MUSTER_PEOPLE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("people: MUSTER_PEOPLE_SEED={seed}");
    let mut random = Random::new(seed);
    let (mut done, mut refused) = (0, 0);
    while done < writes {
        let clock = Arc::new(ManualClock(AtomicU64::new(START)));
        let mut running = Running::start(Arc::new(MemoryLog::default()), &clock);
        let mut world = World::default();
        for _ in 0..40 {
            let pass = random.below(20) as u64 * SECOND / 2;
            clock.0.fetch_add(pass, Ordering::Relaxed);
            let now = clock.now();
            let mut steps = Vec::new();
            for place in 0..random.between(1, 8) {
                steps.push(steps::any(&mut random, now, place == 0));
            }
            let (commands, effects): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
            let shown = format!("{commands:#?}");
            let answers = send_all(&running.engine, commands);
            done += answers.len() as u64;
            world.expire(now);
            for (effect, answer) in effects.into_iter().zip(answers) {
                let expected = effect(&mut world);
                refused += u64::from(expected.is_err());
                assert_eq!(
                    answer.is_ok(),
                    expected.is_ok(),
                    "{answer:?}, seed {seed}, {shown}"
                );
            }
            world.compare(&running.models, &format!("seed {seed}, {shown}"));
            if random.percent(10) {
                let digests = running.models.digests();
                let log = Arc::clone(&running.log);
                drop(running);
                running = Running::start(log, &clock);
                assert_eq!(running.models.digests(), digests, "restart, seed {seed}");
            }
        }
        let latest = Timestamp(clock.now().0 + 3_600 * SECOND);
        let again = Running::start(imported(&running, latest), &clock);
        assert_eq!(again.log.head(), running.log.head());
        let digests = running.models.digests();
        assert_eq!(again.models.digests(), digests, "import, seed {seed}");
        world.compare(&again.models, &format!("import, seed {seed}"));
    }
    println!("people: {done} writes, {refused} refused as expected, 0 mismatches");
}

/// What a person can have has an end, and what is there already can still be changed.
#[test]
fn the_limits_of_a_person_hold() {
    let clock = Arc::new(ManualClock(AtomicU64::new(START)));
    let running = Running::start(Arc::new(MemoryLog::default()), &clock);
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
            (
                Some(world::tenant_id(it)),
                world::topic_id(0),
                steps::request(status),
            )
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
        Outcome::Done | Outcome::Choices(_) | Outcome::Removed(_) => panic!("another outcome"),
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
    assert!(!running.models.has_rows(subject));
}
