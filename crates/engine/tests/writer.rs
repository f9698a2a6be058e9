//! What the writer promises about a group while the log is still writing it, and when it fails.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use domain::{
    Change, ListCommand, ListRefusal, ProfileCommand, TemplateCommand, TemplateRefusal,
    TenantCommand, TenantRefusal,
};
use engine::{
    Command, Committed, Engine, EngineOptions, EventStore, ExecuteError, Origin, Refusal, Until,
    Writer, WriterFailure, replay, start,
};
use event_log::{
    AppendError, EventLog, Head, LogIndex, MemoryLog, NewRecord, RawBlock, ReadError, Stats,
};
use events::TenantDetails;
use projections::{ReadModels, TemplateVersion};
use serde_json::{Map, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use types::{
    JsonDocument, ListId, Position, SystemClock, TemplateId, TemplateKey, TenantId, UserId,
};

/// A log that says when it was given a group, and waits to be told how writing it ends.
struct GatedLog {
    log: MemoryLog,
    given: Mutex<Sender<usize>>,
    ends: Mutex<Receiver<Result<(), AppendError>>>,
}

impl EventLog for GatedLog {
    fn append(&self, group: &[NewRecord]) -> Result<Head, AppendError> {
        self.given.lock().unwrap().send(group.len()).unwrap();
        self.ends.lock().unwrap().recv().unwrap()?;
        self.log.append(group)
    }

    fn head(&self) -> Head {
        self.log.head()
    }

    fn read(&self, from: Position, bytes_max: usize) -> Result<Vec<RawBlock>, ReadError> {
        self.log.read(from, bytes_max)
    }

    fn index(&self) -> &LogIndex {
        self.log.index()
    }

    fn stats(&self) -> Result<Stats, ReadError> {
        self.log.stats()
    }

    fn release_memory(&self) -> Result<(), ReadError> {
        self.log.release_memory()
    }
}

struct Setup {
    runtime: Runtime,
    engine: Engine,
    writer: Writer,
    models: Arc<ReadModels>,
    given: Receiver<usize>,
    ends: Sender<Result<(), AppendError>>,
}

type Answer = JoinHandle<Result<Committed, ExecuteError>>;

impl Setup {
    fn with_queue(queue_commands_max: usize) -> Self {
        let (given_sender, given) = channel();
        let (ends, ends_receiver) = channel();
        let store = EventStore {
            log: Arc::new(GatedLog {
                log: MemoryLog::default(),
                given: Mutex::new(given_sender),
                ends: Mutex::new(ends_receiver),
            }),
            ..EventStore::in_memory()
        };
        let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
        let models = Arc::clone(&rebuilt.read_models);
        let options = EngineOptions {
            queue_commands_max,
            ..EngineOptions::default()
        };
        let (engine, writer) = start(store, rebuilt, Arc::new(SystemClock), options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        Self {
            runtime,
            engine,
            writer,
            models,
            given,
            ends,
        }
    }

    /// Puts the command into the queue before it returns.
    fn send(&self, command: Command) -> Answer {
        let engine = self.engine.clone();
        let (queued, is_queued) = channel();
        let answer = self.runtime.spawn(async move {
            let answer = engine.execute(command, Origin::default());
            let mut answer = Box::pin(answer);
            // The first poll queues the command; the answer comes later.
            let first = std::future::poll_fn(|context| {
                std::task::Poll::Ready(answer.as_mut().poll(context))
            });
            let first = first.await;
            queued.send(()).unwrap();
            match first {
                std::task::Poll::Ready(answer) => answer,
                std::task::Poll::Pending => answer.await,
            }
        });
        is_queued.recv().unwrap();
        answer
    }

    /// What the commands are answered, decided in one group, or each after the one before it is durable.
    fn answers(&self, commands: Vec<Command>, in_one_group: bool) -> Vec<Result<(), Refusal>> {
        let of = |answer: Answer| match self.answer(answer) {
            Ok(_) => Ok(()),
            Err(ExecuteError::Refused(refusal)) => Err(refusal),
            Err(error) => panic!("{error}"),
        };
        if !in_one_group {
            let each = commands.into_iter().map(|command| {
                self.ends.send(Ok(())).unwrap();
                of(self.send(command))
            });
            return each.collect();
        }
        let first = self.send(put_profile("first"));
        self.given.recv().unwrap();
        let sent: Vec<_> = commands.into_iter().map(|it| self.send(it)).collect();
        self.ends.send(Ok(())).unwrap();
        self.ends.send(Ok(())).unwrap();
        of(first).unwrap();
        let answers = sent.into_iter().map(of).collect();
        self.given.recv().unwrap();
        assert!(self.given.try_recv().is_err(), "it was one group");
        answers
    }

    fn answer(&self, answer: Answer) -> Result<Committed, ExecuteError> {
        self.runtime.block_on(answer).unwrap()
    }
}

fn put_profile(user_id: &str) -> Command {
    let profile = Map::from_iter([("a".to_owned(), json!(1))]);
    let command = ProfileCommand::Replace(profile);
    Command::Profile {
        user_id: UserId::parse(user_id).unwrap(),
        command,
    }
}

fn list(command: ListCommand) -> Command {
    Command::List {
        list: ListId::parse("news").unwrap(),
        command,
    }
}

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn tenant(command: TenantCommand) -> Command {
    Command::Tenant {
        tenant: acme(),
        command,
    }
}

fn put_tenant() -> Command {
    tenant(TenantCommand::Put(TenantDetails {
        name: "Acme".to_owned(),
        parent_tenant_id: None,
        brand_id: None,
        properties: None,
        user_profile: None,
        default_preferences: [].into(),
    }))
}

fn greeting() -> TemplateKey {
    TemplateKey {
        tenant: Some(acme()),
        id: TemplateId::parse("greeting").unwrap(),
    }
}

fn template(command: TemplateCommand) -> Command {
    Command::Template {
        key: greeting(),
        command,
    }
}

fn save(body: &str, publish: bool) -> Command {
    let template_text = JsonDocument::from_value(&json!({"content": {"body": body}}));
    template(TemplateCommand::Save {
        template: template_text,
        publish,
    })
}

fn publish(version: u32) -> Command {
    let version = Some(version);
    template(TemplateCommand::Publish { version })
}

#[test]
fn nothing_is_visible_or_answered_before_the_log_has_it() {
    let setup = Setup::with_queue(16);
    let first = setup.send(put_profile("ada"));
    assert_eq!(setup.given.recv().unwrap(), 2);
    assert_eq!(setup.models.checkpoint(), Position(0));
    assert_eq!(setup.models.subjects.number("ada"), None);
    assert!(!first.is_finished());
    setup.ends.send(Ok(())).unwrap();
    let committed = setup.answer(first).unwrap();
    assert_eq!((committed.position, committed.events), (Position(2), 2));
    assert_eq!(setup.models.checkpoint(), Position(2));
}

#[test]
fn what_queues_while_a_group_is_written_is_the_next_group_and_its_refusals_wait_for_it() {
    let setup = Setup::with_queue(16);
    let first = setup.send(put_profile("ada"));
    setup.given.recv().unwrap();
    let created = setup.send(list(ListCommand::Ensure {
        name: "news".to_owned(),
    }));
    let deleted = setup.send(list(ListCommand::Delete));
    // This refusal rests on an event that is not durable yet.
    let refused = setup.send(list(ListCommand::Delete));
    setup.ends.send(Ok(())).unwrap();
    setup.answer(first).unwrap();
    assert_eq!(setup.given.recv().unwrap(), 2, "one group of two events");
    assert!(!refused.is_finished());
    setup.ends.send(Ok(())).unwrap();
    assert_eq!(setup.answer(created).unwrap().position, Position(3));
    assert_eq!(setup.answer(deleted).unwrap().position, Position(4));
    let not_found = ExecuteError::Refused(Refusal::List(ListRefusal::NotFound));
    assert_eq!(setup.answer(refused), Err(not_found));
}

#[test]
fn the_next_tenant_of_an_id_inherits_no_template_of_the_former() {
    let no_tenant = || Err(Refusal::Tenant(TenantRefusal::NotFound));
    let no_template = || Err(Refusal::Template(TemplateRefusal::NotFound));
    let no_version = || Err(Refusal::Template(TemplateRefusal::VersionNotFound));
    for in_one_group in [false, true] {
        let setup = Setup::with_queue(16);
        let steps = [
            (put_tenant(), Ok(())),
            (save("theirs", true), Ok(())),
            (tenant(TenantCommand::Delete), Ok(())),
            (save("late", true), no_tenant()),
            (publish(1), no_tenant()),
            (put_tenant(), Ok(())),
            (publish(1), no_template()),
            (template(TemplateCommand::Archive), no_template()),
            (save("ours", false), Ok(())),
            (publish(1), no_version()),
        ];
        let (commands, expected): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        assert_eq!(setup.answers(commands, in_one_group), expected);
        let found = |version| setup.models.templates.get(&greeting(), version);
        assert_eq!(found(TemplateVersion::Number(1)), None);
        assert_eq!(found(TemplateVersion::Published), None);
        let latest = found(TemplateVersion::Latest).unwrap();
        assert_eq!(latest.version, 2);
        assert!(latest.template.as_str().contains("ours"));
    }
}

#[test]
fn a_tenant_that_was_only_its_members_leaves_no_template_either() {
    let join = || Command::JoinTenants {
        user_id: UserId::parse("ada").unwrap(),
        tenants: vec![(acme(), Change::Keep)],
    };
    let leave = || Command::LeaveTenant {
        user_id: UserId::parse("ada").unwrap(),
        tenant: acme(),
    };
    for (begin, end) in [
        (put_tenant(), tenant(TenantCommand::Delete)),
        (join(), leave()),
    ] {
        for in_one_group in [false, true] {
            let setup = Setup::with_queue(16);
            let no_tenant = Err(Refusal::Tenant(TenantRefusal::NotFound));
            let steps = [
                (join(), Ok(())),
                (save("theirs", true), Ok(())),
                // Whoever joins or creates a tenant that is there leaves its templates as they are.
                (begin.clone(), Ok(())),
                (publish(1), Ok(())),
                (end.clone(), Ok(())),
                (leave(), Ok(())),
                (publish(1), no_tenant),
                (begin.clone(), Ok(())),
            ];
            let (commands, expected): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
            assert_eq!(setup.answers(commands, in_one_group), expected);
            for version in [TemplateVersion::Latest, TemplateVersion::Number(1)] {
                assert_eq!(setup.models.templates.get(&greeting(), version), None);
            }
        }
    }
}

#[test]
fn a_full_queue_says_so_at_once() {
    let setup = Setup::with_queue(1);
    let first = setup.send(put_profile("ada"));
    setup.given.recv().unwrap();
    let second = setup.send(put_profile("bob"));
    let third = setup.send(put_profile("cy"));
    assert_eq!(setup.answer(third), Err(ExecuteError::Busy));
    setup.ends.send(Ok(())).unwrap();
    setup.ends.send(Ok(())).unwrap();
    setup.answer(first).unwrap();
    setup.answer(second).unwrap();
}

#[test]
fn after_a_failed_write_nothing_is_visible_and_the_writer_ends() {
    let mut setup = Setup::with_queue(16);
    let first = setup.send(put_profile("ada"));
    setup.given.recv().unwrap();
    let second = setup.send(put_profile("bob"));
    let failure = AppendError::Write("the disk is full".to_owned());
    setup.ends.send(Err(failure.clone())).unwrap();
    assert_eq!(setup.answer(first), Err(ExecuteError::Stopped));
    assert_eq!(setup.answer(second), Err(ExecuteError::Stopped));
    assert_eq!(setup.models.checkpoint(), Position(0));
    let ended = setup.runtime.block_on(setup.writer.stopped());
    assert!(matches!(ended, Err(WriterFailure::Append(error)) if error == failure));
}

#[test]
fn the_writer_ends_well_when_nobody_can_reach_it_any_more() {
    let Setup {
        runtime,
        engine,
        mut writer,
        ..
    } = Setup::with_queue(1);
    drop(engine);
    runtime.block_on(writer.stopped()).unwrap();
}
