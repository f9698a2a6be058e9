//! Random worlds, in each of which a random message is first foreseen and then sent, over the real engine
//! and the providers that the server has by itself: what was foreseen is what becomes of it, for everybody
//! and to the word, and a naive reading of the same world expects the same.
//!
//! `MUSTER_WORLDS_SEED` repeats a run, `MUSTER_WORLDS` makes it longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod naive;
#[path = "../../../engine/tests/properties/random.rs"]
mod random;
mod world;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use engine::{
    Command, Engine, EngineOptions, EventStore, History, Origin, Until, Writer, replay, start,
};
use events::codec::{Decoder, Encoder};
use events::{Event, MessageEvent};
use projections::{MessageFilter, ReadModels};
use providers::{Providers, ProvidersConfig};
use sending::{Evaluator, Page, Sending, SendingSources, Spec, Writing};
use tokio::sync::watch;
use types::{Clock as _, MessageId, SystemClock, UserId};

use random::Random;
use world::{Sent, World};

/// By user id: status, reason, what decided it, tenant, and the channels that were used.
pub(crate) type Outcomes = BTreeMap<String, Outcome>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) because: String,
    pub(crate) tenant: Option<String>,
    pub(crate) used: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_foreseen_is_what_becomes_of_it() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let worlds = number("MUSTER_WORLDS").unwrap_or(1_000);
    let seed = number("MUSTER_WORLDS_SEED");
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("worlds"));
    println!("MUSTER_WORLDS_SEED={seed}");
    let mut by_because: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..worlds {
        let mut random = Random::new(seed.wrapping_add(number));
        let world = World::any(&mut random);
        let sent = world.message(&mut random);
        let shown = format!(
            "MUSTER_WORLDS=1 MUSTER_WORLDS_SEED={}\n{world:#?}\n{sent:#?}",
            seed.wrapping_add(number)
        );
        let (foreseen, become_of) = run(&world, &sent).await;
        assert_eq!(foreseen, become_of, "foreseen and sent differ: {shown}");
        let expected = naive::outcomes(&world, &sent);
        assert_eq!(become_of, expected, "sent and expected differ: {shown}");
        for outcome in become_of.into_values() {
            *by_because.entry(outcome.because).or_default() += 1;
        }
    }
    println!("{worlds} worlds, by what decided: {by_because:#?}");
    // Whatever a test never meets it does not test.
    for because in [
        "sent",
        "nobody",
        "no_address",
        "no_provider",
        "no_template",
        "template_unpublished",
        "opted_out:user",
        "opted_out:user_in_tenant",
        "opted_out:tenant_default",
        "opted_out:topic",
        "channel_not_chosen",
        "snoozed",
        "quiet_hours",
        "missing_variable:profile.name",
    ] {
        let met = worlds < 500 || by_because.contains_key(because);
        assert!(met, "no world had {because}");
    }
}

/// A world with the engine that runs in it.
struct Running {
    store: EventStore,
    models: Arc<ReadModels>,
    engine: Engine,
    history: History,
    sending: Sending,
    _writer: Writer,
}

impl Running {
    async fn of(world: &World) -> Self {
        let store = EventStore::in_memory();
        let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
        let models = Arc::clone(&rebuilt.read_models);
        let clock = Arc::new(SystemClock);
        let (engine, writer) = start(store.clone(), rebuilt, clock, EngineOptions::default());
        let history = History::new(store.clone(), Arc::clone(&models));
        let sending = Sending::new(SendingSources {
            engine: engine.clone(),
            history: history.clone(),
            read_models: Arc::clone(&models),
            providers: Providers::new(&ProvidersConfig::default()).unwrap(),
            writing: Writing::new(None),
            tenant_levels: 4,
        });
        let running = Self {
            store,
            models,
            engine,
            history,
            sending,
            _writer: writer,
        };
        for command in world.commands() {
            running.execute(command).await;
        }
        running
    }

    async fn execute(&self, command: Command) {
        let executed = self.engine.execute(command, Origin::default());
        executed.await.unwrap();
    }

    /// Sends, and waits until it is decided for everybody.
    async fn send(&self, sent: &Sent) -> MessageId {
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(self.sending.clone().run(stopping));
        let id = MessageId::parse("1-00000000-000000000000000000000001").unwrap();
        self.execute(Command::Send(Box::new(sent.command(id.clone()))))
            .await;
        let mut progress = self.engine.progress();
        while !is_decided(&self.models, &id) {
            progress.changed().await.unwrap();
        }
        stop.send_replace(true);
        running.await.unwrap();
        id
    }

    /// A replay, and a snapshot that is read again, hold the same.
    fn compare_with_replay(&self) {
        let digests = self.models.digests();
        let replayed = replay(&self.store, Until::Head, &mut |_| ()).unwrap();
        assert_eq!(digests, replayed.read_models.digests());
        assert_eq!(digests, saved_and_restored(&self.models).digests());
    }
}

async fn run(world: &World, sent: &Sent) -> (Outcomes, Outcomes) {
    let running = Running::of(world).await;
    let foreseen = foresee(sent, &running);
    let id = running.send(sent).await;
    running.compare_with_replay();
    let outcomes = outcomes(&running.models, &running.history, &id);
    (foreseen, outcomes)
}

/// The log can say nothing of who is erased, so with the erasure it is known what became of all that was
/// still to be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_erased_is_told_nothing_and_a_message_to_them_is_done() {
    for to_others in [false, true] {
        let world = World::of_quiet_people();
        let running = Running::of(&world).await;
        let id = running.send(&Sent::to_quiet_people(to_others)).await;
        let progress = |id: &MessageId| running.models.messages.request(id.as_str()).unwrap();
        assert_eq!(progress(&id).progress.done, 0);
        for person in world.people {
            let user_id = UserId::parse(&person.id).unwrap();
            running.execute(Command::EraseUser { user_id }).await;
        }
        let request = progress(&id);
        assert!(!request.is_active);
        assert_eq!(request.progress.done, request.progress.people);
        running.compare_with_replay();
    }
}

fn saved_and_restored(models: &ReadModels) -> ReadModels {
    let mut bytes = Vec::new();
    for part in models.parts() {
        (part.save)(&mut Encoder::new(&mut bytes)).unwrap();
    }
    let mut bytes = bytes.as_slice();
    ReadModels::restore(models.checkpoint(), &mut Decoder::new(&mut bytes)).unwrap()
}

fn foresee(sent: &Sent, running: &Running) -> Outcomes {
    let models = &running.models;
    let (targets, named) = sent.targets(models);
    let spec = Spec::new(sent.parsed(), targets, Vec::new());
    let evaluator = Evaluator {
        spec: &spec,
        read_models: models,
        tenant_levels: 4,
        at: SystemClock.now(),
        writing: running.sending.writing(),
        providers: running.sending.providers(),
    };
    let page = Page {
        limit: 1_000,
        ..Page::default()
    };
    let foreseen = evaluator.foresee(&named, page, &|| true).unwrap();
    assert_eq!(foreseen.people, foreseen.page.len() as u64);
    assert_eq!(foreseen.counts.values().sum::<u64>(), foreseen.people);
    let people = foreseen.page.into_iter().map(|person| {
        let user_id = match person.subject {
            Some(subject) => models.subjects.shown(subject),
            None => sent.name_of(person.target),
        };
        let prediction = person.prediction;
        let used = prediction.channels.into_iter().filter(|(_, used, _)| *used);
        let outcome = Outcome {
            status: prediction.status.name(),
            reason: prediction.reason.map(types::MessageReason::name),
            because: prediction.because,
            tenant: prediction.tenant.map(Into::into),
            used: used.map(|(name, _, _)| name).collect(),
        };
        (user_id, outcome)
    });
    people.collect()
}

/// Everybody's outcome is known, or at least when it will be.
fn is_decided(models: &ReadModels, id: &MessageId) -> bool {
    let request = models.messages.request(id.as_str()).unwrap();
    let (views, _) = models.messages.page(&MessageFilter::default(), None, 1_000);
    request.is_resolved && views.iter().all(|it| it.status.name() != "ENQUEUED")
}

fn outcomes(models: &ReadModels, history: &History, id: &MessageId) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut position = models.messages.request(id.as_str()).unwrap().accepted;
    while position < history.head() {
        position = position.next();
        let envelope = history.envelope(position).unwrap().unwrap();
        let Event::Message(MessageEvent::Settled(settled)) = envelope.event else {
            continue;
        };
        let mut people = envelope.subjects.iter();
        for (outcome, count) in settled.outcomes {
            for subject in people.by_ref().take(count as usize) {
                let used = outcome.channels.iter().filter(|it| it.used);
                let told = Outcome {
                    status: outcome.status.name(),
                    reason: outcome.reason.map(types::MessageReason::name),
                    because: outcome.because.clone(),
                    tenant: outcome.tenant.clone().map(Into::into),
                    used: used.map(|it| it.channel.clone()).collect(),
                };
                let twice = outcomes.insert(models.subjects.shown(*subject), told);
                assert_eq!(twice, None, "nobody has two outcomes");
            }
        }
        assert_eq!(people.next(), None);
    }
    outcomes
}
