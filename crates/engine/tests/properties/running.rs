use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{
    Checksum, Command, Engine, EngineOptions, EventJson, EventStore, History, Importer, Origin,
    Rebuilt, Snapshots, Until, Writer, replay, start_observed,
};
use event_log::Span;
use projections::{ChangePlace, ReadModels};
use types::{Clock, PageLimit, Position, SubjectId, Timestamp};

/// 2026-01-31T00:00:00Z, the end of a month.
pub(crate) const START: Timestamp = Timestamp(1_769_817_600_000_000_000);
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A clock that the test moves.
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn started() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(START.0)))
    }

    pub(crate) fn pass(&self, nanoseconds: u64) {
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct Running {
    pub(crate) store: EventStore,
    pub(crate) models: Arc<ReadModels>,
    pub(crate) engine: Engine,
    clock: Arc<ManualClock>,
    snapshots: Arc<SnapshotsOfTest>,
    _writer: Writer,
}

/// Snapshots in a directory that goes with them.
pub(crate) struct SnapshotsOfTest {
    directory: tempfile::TempDir,
    snapshots: Snapshots,
}

impl SnapshotsOfTest {
    fn empty() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(directory.path().into(), Arc::new(Checksum)).unwrap();
        Arc::new(Self {
            directory,
            snapshots,
        })
    }

    /// Writes the state, and gives back the bytes of the file.
    fn write(&self, store: &EventStore, rebuilt: &Rebuilt) -> Vec<u8> {
        let turn = self.snapshots.turn();
        let written = self.snapshots.write(turn, &store.log, rebuilt, &|| true);
        let position = written.unwrap().unwrap().position;
        let name = format!("{:020}.snapshot", position.0);
        std::fs::read(self.directory.path().join(name)).unwrap()
    }
}

impl Running {
    pub(crate) fn on_empty_log(clock: &Arc<ManualClock>) -> Self {
        Self::start(EventStore::in_memory(), clock)
    }

    fn start(store: EventStore, clock: &Arc<ManualClock>) -> Self {
        let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
        Self::start_on(store, rebuilt, clock, SnapshotsOfTest::empty())
    }

    fn start_on(
        store: EventStore,
        rebuilt: Rebuilt,
        clock: &Arc<ManualClock>,
        snapshots: Arc<SnapshotsOfTest>,
    ) -> Self {
        let models = Arc::clone(&rebuilt.read_models);
        let ticking: Arc<dyn Clock> = Arc::clone(clock) as _;
        let forgetting = Arc::clone(&snapshots);
        let (engine, writer) = start_observed(
            store.clone(),
            rebuilt,
            ticking,
            EngineOptions::default(),
            // As the server does it.
            Box::new(move |group| {
                if group.erased > 0 {
                    forgetting.snapshots.forget_all().unwrap();
                }
            }),
        );
        Self {
            store,
            models,
            engine,
            clock: Arc::clone(clock),
            snapshots,
            _writer: writer,
        }
    }

    /// The same from the snapshot that was taken last time and what has happened since. It holds the
    /// same, byte by byte, as what is folded from the beginning, and tells the same of what has
    /// happened since.
    pub(crate) fn resumed(self, seed: u64) -> Self {
        let digests = self.models.digests();
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let snapshots = Arc::clone(&self.snapshots);
        let since = snapshots.snapshots.positions().unwrap().last().copied();
        let resume = || {
            let go_on = &mut |_| ControlFlow::Continue(());
            snapshots
                .snapshots
                .rebuild(&store, Until::Head, go_on)
                .unwrap()
        };
        let resumed = resume();
        assert_eq!(
            resumed.read_models.digests(),
            digests,
            "resumed, seed {seed}"
        );
        let from_the_beginning = replay(&store, Until::Head, &mut |_| ()).unwrap();
        // What happened before somebody was erased is remembered by nobody.
        let span = Span {
            after: Position::START,
            before: store.log.head().position.next(),
            newest_first: true,
            at_most: 1,
        };
        let erased = store.log.index().by_type("subject.erased", span);
        let place = ChangePlace {
            position: since.max(erased.first().copied()).unwrap_or_default(),
            subject: SubjectId(u32::MAX),
        };
        for audience in resumed.read_models.audiences.page(None, PageLimit::MOST).0 {
            let told = |rebuilt: &Rebuilt| {
                let audiences = &rebuilt.read_models.audiences;
                assert!(audiences.remembers_after(&audience.id, place));
                audiences.changes(&audience.id, place, PageLimit::MOST)
            };
            assert_eq!(told(&resumed), told(&from_the_beginning), "seed {seed}");
        }
        let bytes = snapshots.write(&store, &from_the_beginning);
        assert_eq!(snapshots.write(&store, &resumed), bytes, "seed {seed}");
        drop(self);
        let again = resume();
        assert_eq!(
            again.read_models.digests(),
            digests,
            "restored, seed {seed}"
        );
        Self::start_on(store, again, &clock, snapshots)
    }

    /// The same log with everything else built anew, which has to come out the same.
    pub(crate) fn restarted(self, seed: u64) -> Self {
        let digests = self.models.digests();
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        drop(self);
        let again = Self::start(store, &clock);
        assert_eq!(again.models.digests(), digests, "restart, seed {seed}");
        again
    }

    /// A second engine on a log into which the first one's was imported, event by event.
    pub(crate) fn imported(&self, seed: u64) -> Self {
        let store = EventStore::in_memory();
        let latest = Timestamp(self.clock.now().0 + 3_600 * SECOND);
        let mut importer = Importer::new(latest, Arc::clone(&store.vault));
        for raw in self.store.log.read(Position(1), usize::MAX).unwrap() {
            for record in raw.decode().unwrap().records() {
                let user_id = |subject| self.models.subjects.user_id(subject);
                let shown = EventJson::from_record(&record.unwrap(), &self.store.vault, user_id);
                let line = serde_json::to_string(&shown.unwrap()).unwrap();
                store
                    .log
                    .append(&[importer.record(&line).unwrap()])
                    .unwrap();
            }
        }
        assert_eq!(store.log.head().position, self.store.log.head().position);
        let again = Self::start(store, &self.clock);
        let digests = self.models.digests();
        assert_eq!(again.models.digests(), digests, "import, seed {seed}");
        again
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.store.clone(), Arc::clone(&self.models))
    }

    /// The time of the last event, which is the present of windows.
    pub(crate) fn now(&self) -> Timestamp {
        let last = self
            .history()
            .event(self.models.checkpoint(), None)
            .unwrap();
        last.map_or(Timestamp(0), |event| event.recorded_at.parse().unwrap())
    }

    /// Sends everything before the first answer is awaited, so that commands share groups; what each
    /// was answered.
    pub(crate) fn execute_together(&self, commands: Vec<Command>) -> Vec<Result<(), String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let send = |command| {
                let engine = self.engine.clone();
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
}

/// A number from the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap())
}

/// The seed that the variable names, or another one each time; printed.
#[expect(clippy::print_stdout, reason = "a failing run is repeated by its seed")]
pub(crate) fn seed(variable: &str) -> u64 {
    // The standard library's hashing begins somewhere else in every process.
    let seed = number(variable).unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("{variable}={seed}");
    seed
}
