use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use domain::limits::TENANT_LEVELS_LOADED;
use event_log::AppendError;
use events::{Envelope, Metadata};
use parking_lot::RwLock;
use projections::ReadModels;
use tokio::sync::{mpsc, oneshot, watch};
use types::{Clock, CommandId, JsonDocument, Position, SubjectId, Timestamp};
use vault::{Vault, VaultError};

use crate::command::{Command, Origin, Outcome, Refusal};
use crate::event_store::EventStore;
use crate::handle::{Committed, Engine, ExecuteError, Request, Terms};
use crate::record::PendingEvent;
use crate::replay::Rebuilt;
use crate::sealing::SealError;
use crate::write_model::{Decided, WriteModel};

/// Bounds of the writer. Past the queue's bound callers are told that the server is busy; the
/// group's bounds say when it stops taking commands from the queue, a single command may pass them.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    pub queue_commands_max: usize,
    pub group_events_max: usize,
    pub group_bytes_max: usize,
    /// Levels of a tenant's ancestry of which the defaults hold, the tenant's own included.
    pub tenant_levels: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            queue_commands_max: 4_096,
            group_events_max: 1_024,
            group_bytes_max: 256 * 1024,
            tenant_levels: TENANT_LEVELS_LOADED,
        }
    }
}

/// A group takes no further commands once deciding the ones that it has took so long: whoever came
/// first should not wait for many expensive ones.
const DECIDING_TIME_MAX: Duration = Duration::from_millis(10);

/// The log did not take a group. Nothing more is written; what was not acknowledged may or may not
/// have happened, and the next start finds out.
#[derive(Debug, thiserror::Error)]
pub enum WriterFailure {
    #[error("the event log did not take a group of events: {0}")]
    Append(#[from] AppendError),
    #[error("an event could not be sealed: {0}")]
    Seal(#[from] SealError),
    #[error("the keys of somebody who is erased could not be destroyed: {0}")]
    Vault(#[from] VaultError),
    #[error("the writer thread panicked")]
    Panicked,
}

/// The running writer.
pub struct Writer {
    outcome: oneshot::Receiver<Result<(), WriterFailure>>,
}

impl Writer {
    /// Waits until the writer has ended: well, when every [`Engine`] handle is gone and the queue
    /// is empty; or with the failure after which nothing more can be written.
    pub async fn stopped(&mut self) -> Result<(), WriterFailure> {
        (&mut self.outcome)
            .await
            .unwrap_or(Err(WriterFailure::Panicked))
    }
}

/// A group that was written.
#[derive(Clone, Copy, Debug)]
pub struct GroupWritten {
    pub events: usize,
    /// People whose keys were destroyed with it.
    pub erased: usize,
    /// How long the log took to make it durable.
    pub flush: Duration,
    /// How long after that the read models showed it.
    pub fold: Duration,
}

/// Told of every group; must not take long, for the writer waits.
pub type Observer = Box<dyn Fn(GroupWritten) + Send>;

/// Starts the writer on its own thread, because the log blocks.
pub fn start(
    store: EventStore,
    rebuilt: Rebuilt,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
) -> (Engine, Writer) {
    start_observed(store, rebuilt, clock, options, Box::new(|_| ()))
}

/// As [`start`], with somebody who is told of every group.
pub fn start_observed(
    store: EventStore,
    rebuilt: Rebuilt,
    clock: Arc<dyn Clock>,
    options: EngineOptions,
    observer: Observer,
) -> (Engine, Writer) {
    let (requests, inbox) = mpsc::channel(options.queue_commands_max);
    let (ended, outcome) = oneshot::channel();
    let versions = Arc::new(RwLock::new(rebuilt.sequence.versions));
    let (progress, watching) = watch::channel(rebuilt.read_models.checkpoint());
    let engine = Engine {
        requests,
        progress: watching,
        read_models: Arc::clone(&rebuilt.read_models),
        versions: Arc::clone(&versions),
    };
    let executor = Executor {
        store,
        write_model: WriteModel::new(
            Arc::clone(&rebuilt.read_models),
            versions,
            options.tenant_levels,
        ),
        read_models: rebuilt.read_models,
        last_recorded_at: rebuilt.sequence.last_recorded_at,
        clock,
        options,
        observer,
        progress,
    };
    thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || {
            // The receiver is gone only when nobody waits for the outcome any more.
            let _ = ended.send(executor.run(inbox));
        })
        .expect("the operating system starts one more thread");
    (engine, Writer { outcome })
}

struct Executor {
    store: EventStore,
    read_models: Arc<ReadModels>,
    write_model: WriteModel,
    clock: Arc<dyn Clock>,
    last_recorded_at: Timestamp,
    options: EngineOptions,
    observer: Observer,
    /// Tells whoever follows the log how far the read models are.
    progress: watch::Sender<Position>,
}

/// Commands decided together, to become durable together.
#[derive(Default)]
struct Group {
    envelopes: Vec<Envelope>,
    /// Beside each event about a profile, the profile as it leaves it.
    documents: Vec<Option<JsonDocument>>,
    records: Vec<event_log::NewRecord>,
    bytes: usize,
    /// Whose keys go once the group is durable. It is the last that is decided for a group.
    erased: Vec<SubjectId>,
    /// Why an event of it could not be sealed, if so: then none of it is written.
    unsealed: Option<SealError>,
    answers: Vec<(Reply, Result<Committed, ExecuteError>)>,
}

type Reply = oneshot::Sender<Result<Committed, ExecuteError>>;

impl Executor {
    fn run(mut self, mut inbox: mpsc::Receiver<Request>) -> Result<(), WriterFailure> {
        while let Some(request) = inbox.blocking_recv() {
            // Whatever queued up while the last group was being flushed becomes this group. There
            // is no timer: under load groups fill by themselves, and without load nobody waits.
            let mut group = Group::default();
            let begun = Instant::now();
            self.decide(request, &mut group);
            while group.records.len() < self.options.group_events_max
                && group.bytes < self.options.group_bytes_max
                && group.answers.len() < self.options.group_events_max
                && group.erased.is_empty()
                && begun.elapsed() < DECIDING_TIME_MAX
                && let Ok(request) = inbox.try_recv()
            {
                self.decide(request, &mut group);
            }
            self.commit(group)?;
        }
        Ok(())
    }

    fn decide(&mut self, request: Request, group: &mut Group) {
        let Request {
            command,
            origin,
            terms,
            reply,
        } = request;
        // Strictly later than all before, so that time orders commands as positions do.
        let now = self.clock.now().max(self.last_recorded_at.next());
        let passed = self.write_model.advance_clock(now);
        if !passed.is_empty() {
            self.record(passed, &Origin::clock(), now, group);
        }
        let answer = self.decide_on(command, &origin, terms, now, group);
        group
            .answers
            .push((reply, answer.map_err(ExecuteError::from)));
    }

    fn decide_on(
        &mut self,
        command: Command,
        origin: &Origin,
        Terms {
            entity,
            expected,
            once,
        }: Terms,
        now: Timestamp,
        group: &mut Group,
    ) -> Result<Committed, Refusal> {
        let before = Position(self.read_models.checkpoint().0 + group.records.len() as u64);
        let mut committed = Committed {
            position: before,
            events: 0,
            decided_at: now,
            answer: None,
            is_repeated: false,
            version: None,
            outcome: Outcome::Done,
        };
        // A body can take long to arrive, and its key be revoked meanwhile.
        if self.write_model.is_ended(&origin.actor.id, now) {
            return Err(Refusal::CredentialEnded);
        }
        if let Some(once) = &once {
            committed.answer = self.write_model.answer(&once.request, now);
            if committed.answer.is_some() {
                committed.is_repeated = true;
                return Ok(committed);
            }
        }
        let version_of = |model: &WriteModel| {
            let entity = entity.as_ref();
            entity.and_then(|entity| model.version_of(entity, now))
        };
        if let Some(expected) = expected {
            let current = version_of(&self.write_model);
            if !expected.holds(current) {
                return Err(Refusal::PreconditionFailed(current));
            }
        }
        let is_erasure = matches!(command, Command::EraseUser { .. });
        let (mut decided, outcome) = self.write_model.handle(command, now)?;
        committed.version = version_of(&self.write_model);
        committed.events = decided.len();
        committed.outcome = outcome;
        let last = u64::from(is_erasure);
        committed.position = Position(before.0 + decided.len() as u64 + last);
        if let Some(once) = once {
            // The answer tells of the event that keeps it, too.
            committed.position = committed.position.next();
            let (request, expires_at) = (once.request.clone(), once.expires_at(now));
            let answer = (once.answer)(&committed);
            self.write_model
                .keep_answer(&request, &answer, expires_at, &mut decided);
            committed.answer = Some(answer);
        }
        // After the answer too, which may say what is erased.
        group
            .erased
            .extend(self.write_model.finish_erasure(&mut decided));
        committed.position = Position(before.0 + decided.len() as u64);
        committed.events = decided.len();
        self.record(decided, origin, now, group);
        Ok(committed)
    }

    /// Gives what one command decided its time and ids.
    fn record(
        &mut self,
        decided: Vec<Decided>,
        origin: &Origin,
        now: Timestamp,
        group: &mut Group,
    ) {
        if decided.is_empty() {
            return;
        }
        let command_id = CommandId::generate(now);
        for (ordinal, decided) in (1_u32..).zip(decided) {
            let tenant_id = origin.tenant_id.clone().or_else(|| decided.tenant());
            group.documents.push(decided.document);
            let pending = PendingEvent {
                stream: decided.stream,
                version: decided.version,
                recorded_at: now,
                subjects: decided.subjects,
                metadata: Metadata {
                    command_id,
                    ordinal,
                    actor: origin.actor.clone(),
                    tenant_id,
                    correlation_id: origin.correlation_id.clone(),
                    causation_id: None,
                },
                event: decided.event,
            };
            group.push(pending, self.read_models.checkpoint(), &self.store.vault);
        }
        self.last_recorded_at = now;
    }

    /// Makes the group durable, then visible, then answers: refusals too, for they may rest on
    /// events of the same group.
    fn commit(&mut self, group: Group) -> Result<(), WriterFailure> {
        if let Some(error) = group.unsealed {
            return Err(error.into());
        }
        if !group.records.is_empty() {
            let began = Instant::now();
            self.store.log.append(&group.records)?;
            if !group.erased.is_empty() {
                // Before anybody sees it or is told: whoever starts again after a crash right here finds
                // the event and finishes this.
                self.store.vault.erase(&group.erased)?;
            }
            let flush = began.elapsed();
            self.read_models.apply(&group.envelopes, &group.documents);
            (self.observer)(GroupWritten {
                events: group.records.len(),
                erased: group.erased.len(),
                flush,
                fold: began.elapsed().saturating_sub(flush),
            });
            self.progress.send_replace(self.read_models.checkpoint());
        }
        self.write_model.committed();
        for (reply, answer) in group.answers {
            // A caller that has gone away does not want to know.
            let _ = reply.send(answer);
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, pending: PendingEvent, committed: Position, vault: &Vault) {
        let record = match pending.to_record(vault) {
            Ok(record) => record,
            Err(error) => {
                self.unsealed.get_or_insert(error);
                return;
            }
        };
        self.bytes += record.payload.len() + record.metadata.len() + 4 * record.subjects.len();
        self.records.push(record);
        let position = Position(committed.0 + self.records.len() as u64);
        let PendingEvent {
            stream,
            version,
            recorded_at,
            subjects,
            metadata: _,
            event,
        } = pending;
        self.envelopes.push(Envelope {
            position,
            stream,
            version,
            recorded_at,
            subjects,
            event,
        });
    }
}
