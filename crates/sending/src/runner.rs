use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::{Command, Engine, ExecuteError, History, Settlement};
use events::MessageOutcome;
use parking_lot::Mutex;
use projections::{Due, ReadModels};
use providers::Providers;
use roaring::RoaringBitmap;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use types::{
    Clock as _, MessageId, MessageReason, MessageStatus, Position, SubjectId, SystemClock,
    Timestamp,
};

use crate::carry::{Carrying, carry};
use crate::collector::{Outcome, collect, sender};
use crate::evaluate::{Asked, Evaluation, Evaluator, Prepared};
use crate::spec::{GivenInBulk, Spec, SpecError, Specs};
use crate::writing::Writing;

/// People who are looked at in one go.
const PEOPLE_TOGETHER: usize = 500;
/// People to whom a message is on its way at the same time, of all messages; beyond it others wait.
const IN_FLIGHT_MAX: u64 = 16_384;
/// Of one message, so that none takes all the room.
const IN_FLIGHT_OF_ONE_MAX: u64 = 8_192;
/// Messages that are looked at in one go.
const MESSAGES_TOGETHER: usize = 256;
/// How long to wait when the log or the writer gives no answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long what is on its way may take to end once the server is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a message is tried unless it says otherwise: 72 hours, as Courier does.
const TIMEOUT: Duration = Duration::from_hours(72);

/// With what messages are sent.
#[derive(Clone)]
pub struct SendingSources {
    pub engine: Engine,
    pub history: History,
    pub read_models: Arc<ReadModels>,
    pub providers: Providers,
    pub writing: Writing,
    /// Levels of a tenant's ancestry that are loaded.
    pub tenant_levels: usize,
}

/// Sends what was accepted.
#[derive(Clone)]
pub struct Sending(Arc<Parts>);

struct Parts {
    sources: SendingSources,
    in_flight: Arc<InFlight>,
    /// Told whenever somebody is no longer on the way.
    room: Arc<Notify>,
    specs: Mutex<Specs>,
}

/// To whom a message is on its way. Nobody is in it twice.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashMap<Position, RoaringBitmap>>);

impl InFlight {
    fn of(&self, accepted: Position) -> Option<RoaringBitmap> {
        self.0.lock().get(&accepted).cloned()
    }

    fn count(&self) -> u64 {
        self.0.lock().values().map(RoaringBitmap::len).sum()
    }

    /// Takes those who are not on the way yet; who these are.
    fn take(&self, accepted: Position, mut people: RoaringBitmap) -> RoaringBitmap {
        let mut all = self.0.lock();
        let held = all.entry(accepted).or_default();
        people -= &*held;
        *held |= &people;
        people
    }

    pub(crate) fn release(&self, accepted: Position, people: Vec<SubjectId>) {
        let mut all = self.0.lock();
        let Some(held) = all.get_mut(&accepted) else {
            return;
        };
        for subject in people {
            held.remove(subject.0);
        }
        if held.is_empty() {
            all.remove(&accepted);
        }
    }
}

/// Why a message is not canceled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It has gone out, or is on its way.
    #[error("it has gone out, or is on its way")]
    TooLate,
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl Sending {
    pub fn new(sources: SendingSources) -> Self {
        Self(Arc::new(Parts {
            sources,
            in_flight: Arc::default(),
            room: Arc::default(),
            specs: Mutex::default(),
        }))
    }

    pub fn providers(&self) -> &Providers {
        &self.0.sources.providers
    }

    pub fn writing(&self) -> &Writing {
        &self.0.sources.writing
    }

    /// To how many people a message is on its way.
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight.count()
    }

    /// Sends whatever is due, as it comes, until it is told to stop; then what is on its way has a moment
    /// to arrive, and what has not is looked at again at the next start.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let parts = &self.0;
        let mut progress = parts.sources.engine.progress();
        let (outcomes, collected) = mpsc::channel(PEOPLE_TOGETHER * 4);
        let collecting = tokio::spawn(collect(
            parts.sources.engine.clone(),
            collected,
            Arc::clone(&parts.in_flight),
            Arc::clone(&parts.room),
        ));
        let mut working = JoinSet::new();
        // Planning takes a core; the other is for the writer.
        let planning = Arc::new(Semaphore::new(2));
        loop {
            progress.mark_unchanged();
            let next = self.start_due(&outcomes, &planning, &mut working).await;
            while working.try_join_next().is_some() {}
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                changed = progress.changed() => if changed.is_err() {
                    break;
                },
                () = parts.room.notified() => {}
                () = until(next) => {}
            }
        }
        drop(outcomes);
        let ending = async {
            while working.join_next().await.is_some() {}
            let _ = collecting.await;
        };
        let _ = timeout(LAST_WORDS, ending).await;
    }

    /// Takes up what is due, as far as there is room; when the next is due.
    async fn start_due(
        &self,
        outcomes: &mpsc::Sender<Outcome>,
        planning: &Arc<Semaphore>,
        working: &mut JoinSet<()>,
    ) -> Option<Instant> {
        let parts = &self.0;
        let mut room = IN_FLIGHT_MAX.saturating_sub(parts.in_flight.count());
        if room == 0 {
            return None;
        }
        let now = SystemClock.now();
        let taken = |accepted| parts.in_flight.of(accepted);
        let messages = &parts.sources.read_models.messages;
        let (due, next) = messages.due(now, MESSAGES_TOGETHER, taken);
        let is_full = due.len() == MESSAGES_TOGETHER;
        let mut again = is_full;
        for mut due in due {
            if room == 0 {
                break;
            }
            if !due.is_resolved {
                // What is resolved is due at once, which the progress of the log tells.
                again |= !self.resolve(&due).await;
                continue;
            }
            let mine = parts.in_flight.of(due.accepted).map_or(0, |it| it.len());
            let mut mine = IN_FLIGHT_OF_ONE_MAX.saturating_sub(mine).min(room);
            // Those of a bulk job whose data stand together are taken together.
            let mut left = self.in_order(&due);
            again |= left.len() < due.people.len();
            while mine > 0 && !left.is_empty() {
                let together = PEOPLE_TOGETHER.min(usize::try_from(mine).unwrap_or(usize::MAX));
                let people: RoaringBitmap = left.iter().take(together).collect();
                left -= &people;
                due.people = parts.in_flight.take(due.accepted, people);
                let count = due.people.len();
                mine -= count.min(mine);
                room -= count.min(room);
                self.work_on(due.clone(), outcomes, planning, working);
            }
        }
        let next = next.map(|at| {
            let wait = Duration::from_nanos(at.0.saturating_sub(now.0));
            Instant::now() + wait
        });
        let soon = again.then(|| Instant::now() + Duration::from_millis(20));
        [next, soon].into_iter().flatten().min()
    }

    /// Who is due; of a bulk job only those whose data stand together in the log.
    fn in_order(&self, due: &Due) -> RoaringBitmap {
        let jobs = &self.0.sources.read_models.bulk_jobs;
        jobs.together(&due.id, &due.people)
            .unwrap_or_else(|| due.people.clone())
    }

    /// Has the log note whom a message is for; whether that could be asked for.
    async fn resolve(&self, due: &Due) -> bool {
        let spec = self.spec(due.accepted).await;
        let (targets, named) = match spec {
            Ok(spec) => (spec.targets.clone(), spec.named.clone()),
            // It goes to nobody.
            Err(SpecError::Unreadable(_)) => (Vec::new(), Vec::new()),
            Err(SpecError::History(error)) => {
                tracing::error!(message.id = due.id.as_str(), %error, "the log cannot be read");
                return false;
            }
        };
        let id = due.id.clone();
        let command = Command::ResolveMessage { id, targets, named };
        match self.0.sources.engine.execute(command, sender()).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => true,
            Err(ExecuteError::Busy | ExecuteError::Stopped) => false,
        }
    }

    /// The message that was accepted there.
    pub async fn spec(&self, accepted: Position) -> Result<Arc<Spec>, SpecError> {
        let parts = Arc::clone(&self.0);
        let reading = move || parts.specs.lock().get(&parts.sources.history, accepted);
        let reading = tokio::task::spawn_blocking(reading);
        reading.await.expect("reading does not panic")
    }

    fn work_on(
        &self,
        due: Due,
        outcomes: &mpsc::Sender<Outcome>,
        planning: &Arc<Semaphore>,
        working: &mut JoinSet<()>,
    ) {
        let parts = Arc::clone(&self.0);
        let (outcomes, planning) = (outcomes.clone(), Arc::clone(planning));
        working.spawn(async move {
            let Ok(turn) = planning.acquire_owned().await else {
                return;
            };
            let theirs = Arc::clone(&parts);
            let planned = tokio::task::spawn_blocking(move || {
                let planned = theirs.plan(&due);
                drop(turn);
                (due, planned)
            });
            let (due, planned) = planned.await.expect("planning does not panic");
            let Planned { settled, sending } = match planned {
                Ok(planned) => planned,
                Err(error) => {
                    tracing::error!(message.id = due.id.as_str(), %error, "the log cannot be read");
                    tokio::time::sleep(PAUSE).await;
                    let people = due.people.iter().map(SubjectId).collect();
                    parts.in_flight.release(due.accepted, people);
                    parts.room.notify_one();
                    return;
                }
            };
            let mut on_the_way = JoinSet::new();
            for settlement in settled {
                if outcomes.send(due.outcome(settlement)).await.is_err() {
                    return;
                }
            }
            for person in sending {
                let (parts, outcomes, due) =
                    (Arc::clone(&parts), outcomes.clone(), due.clone_for_one());
                on_the_way.spawn(async move {
                    let settlement = parts.tell(person).await;
                    // Nobody listens any more when the server stops.
                    let _ = outcomes.send(due.outcome(settlement)).await;
                });
            }
            while on_the_way.join_next().await.is_some() {}
        });
    }

    /// Sends a message to nobody any more, or not to one of its people. What is on its way arrives. Whoever
    /// asks has the command decided.
    pub async fn cancel<T>(
        &self,
        id: &MessageId,
        accepted: Position,
        person: Option<SubjectId>,
        execute: impl AsyncFnOnce(Command) -> Result<T, ExecuteError>,
    ) -> Result<T, CancelError> {
        let parts = &self.0;
        let Some(person) = person else {
            let messages = &parts.sources.read_models.messages;
            let unsettled = messages.unsettled(id.as_str());
            let in_flight = parts.in_flight.of(accepted).unwrap_or_default();
            let is_resolved = messages
                .request(id.as_str())
                .is_some_and(|it| it.is_resolved);
            if is_resolved && unsettled.is_none_or(|it| (it - in_flight).is_empty()) {
                return Err(CancelError::TooLate);
            }
            let command = Command::CancelMessage {
                id: id.clone(),
                people: None,
            };
            return Ok(execute(command).await?);
        };
        // Whoever is taken here is not sent to meanwhile.
        let one: RoaringBitmap = std::iter::once(person.0).collect();
        if parts.in_flight.take(accepted, one).is_empty() {
            return Err(CancelError::TooLate);
        }
        let taken = Taken {
            parts,
            accepted,
            person,
        };
        let command = Command::CancelMessage {
            id: id.clone(),
            people: Some(vec![person]),
        };
        let done = execute(command).await;
        drop(taken);
        Ok(done?)
    }
}

/// Somebody who is not sent to as long as it is held, also if nobody waits for the end.
struct Taken<'a> {
    parts: &'a Parts,
    accepted: Position,
    person: SubjectId,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let people = vec![self.person];
        self.parts.in_flight.release(self.accepted, people);
        self.parts.room.notify_one();
    }
}

/// One person who is to be told.
struct Telling {
    subject: SubjectId,
    message_id: String,
    user_id: Option<String>,
    prepared: Box<Prepared>,
    spec: Arc<Spec>,
    deadline: Instant,
    again_at: Option<Timestamp>,
}

#[derive(Default)]
struct Planned {
    settled: Vec<Settlement>,
    sending: Vec<Telling>,
}

/// What an outcome needs to know of a message.
#[derive(Clone)]
struct DueOne {
    accepted: Position,
    id: MessageId,
}

impl DueOne {
    fn outcome(self, settlement: Settlement) -> Outcome {
        Outcome {
            accepted: self.accepted,
            id: self.id,
            settlement,
        }
    }
}

trait OutcomeOf {
    fn clone_for_one(&self) -> DueOne;

    fn outcome(&self, settlement: Settlement) -> Outcome {
        self.clone_for_one().outcome(settlement)
    }
}

impl OutcomeOf for Due {
    fn clone_for_one(&self) -> DueOne {
        DueOne {
            accepted: self.accepted,
            id: self.id.clone(),
        }
    }
}

fn plainly(subject: SubjectId, outcome: MessageOutcome) -> Settlement {
    Settlement {
        subject,
        outcome,
        receipt: None,
        inbox: None,
        dead_tokens: Vec::new(),
    }
}

impl Parts {
    /// Decides for each of the people. Blocks.
    fn plan(&self, due: &Due) -> Result<Planned, engine::HistoryError> {
        let SendingSources {
            history,
            read_models,
            providers,
            writing,
            tenant_levels,
            ..
        } = &self.sources;
        let now = SystemClock.now();
        let failed = |because: &str| MessageOutcome {
            status: MessageStatus::Undeliverable,
            reason: Some(MessageReason::Failed),
            because: because.to_owned(),
            tenant: None,
            channels: Vec::new(),
            planned: read_models.checkpoint(),
            planned_at: now,
            delayed_until: None,
        };
        let all_failed = |because: &str| Planned {
            settled: due
                .people
                .iter()
                .map(|row| plainly(SubjectId(row), failed(because)))
                .collect(),
            sending: Vec::new(),
        };
        let spec = match self.specs.lock().get(history, due.accepted) {
            Ok(spec) => spec,
            Err(SpecError::Unreadable(why)) => {
                tracing::warn!(message.id = due.id.as_str(), %why, "a message cannot be sent");
                return Ok(all_failed("erased"));
            }
            Err(SpecError::History(error)) => return Err(error),
        };
        let timeout = spec.message.timeouts.message.unwrap_or(TIMEOUT);
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let ends_at = Timestamp(due.begins_at.0.saturating_add(timeout));
        if due.expires_at.is_some_and(|at| at <= now) {
            return Ok(all_failed("expired"));
        }
        if ends_at <= now {
            return Ok(all_failed("timed_out"));
        }
        let ends_at = due.expires_at.map_or(ends_at, |at| at.min(ends_at));
        let deadline = Instant::now() + Duration::from_nanos(ends_at.0 - now.0);
        let mut given_in_bulk = GivenInBulk::default();
        let mut planned = Planned::default();
        let evaluator = Evaluator {
            spec: &spec,
            read_models,
            tenant_levels: *tenant_levels,
            at: now,
            writing,
            providers,
        };
        let is_only = matches!(spec.targets[..], [events::MessageTarget::Person(_)]);
        for row in &due.people {
            let subject = SubjectId(row);
            let Some(reached) = read_models.messages.reached(due.accepted, subject) else {
                planned
                    .settled
                    .push(plainly(subject, failed("not_reached")));
                continue;
            };
            let Some(target) = spec.targets.get(reached.target as usize) else {
                planned
                    .settled
                    .push(plainly(subject, failed("not_reached")));
                continue;
            };
            let given = match (Spec::given_by(target), target) {
                (Some(given), _) => given,
                (None, events::MessageTarget::Bulk { job }) => {
                    given_in_bulk.of(history, read_models, job, subject)?
                }
                (None, _) => projections::Given::default(),
            };
            let message_id = if is_only {
                due.id.as_str().to_owned()
            } else {
                projections::message_id_of(&due.id, subject)
            };
            let evaluation = evaluator.evaluate(Asked {
                subject: Some(subject),
                target,
                tenant: reached.tenant.as_ref(),
                given: &given,
                message_id: &message_id,
            });
            match evaluation {
                Evaluation::Settled(outcome) => planned.settled.push(plainly(subject, outcome)),
                Evaluation::Send(prepared) => planned.sending.push(Telling {
                    subject,
                    user_id: read_models.subjects.user_id(subject).map(Into::into),
                    message_id,
                    prepared,
                    spec: Arc::clone(&spec),
                    deadline,
                    again_at: again_at(now, due.begins_at, ends_at),
                }),
            }
        }
        Ok(planned)
    }

    async fn tell(&self, person: Telling) -> Settlement {
        let carried = carry(Carrying {
            spec: &person.spec,
            prepared: &person.prepared,
            providers: &self.sources.providers,
            message_id: &person.message_id,
            user_id: person.user_id.as_deref(),
            began: Instant::now(),
            deadline: person.deadline,
            again_at: person.again_at,
        });
        let carried = carried.await;
        Settlement {
            subject: person.subject,
            outcome: carried.outcome,
            receipt: carried.receipt,
            inbox: carried.inbox,
            dead_tokens: carried.dead_tokens,
        }
    }
}

/// When a message is tried again for which no provider could be had: after as long as it has been tried, at
/// least a minute and at most an hour; the last time ten seconds before it ends.
fn again_at(now: Timestamp, begins_at: Timestamp, ends_at: Timestamp) -> Option<Timestamp> {
    const SECOND: u64 = 1_000_000_000;
    let tried = now.0.saturating_sub(begins_at.0);
    let pause = tried.clamp(60 * SECOND, 60 * 60 * SECOND);
    let last = ends_at.0.saturating_sub(10 * SECOND);
    let next = now.0.saturating_add(pause).min(last);
    (next > now.0).then_some(Timestamp(next))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::again_at;
    use types::Timestamp;

    #[test]
    fn pauses_grow_and_the_last_try_is_before_the_end() {
        let at = |seconds: u64| Timestamp(seconds * 1_000_000_000);
        let again = |now, end| again_at(at(now), at(0), at(end)).map(|it| it.0 / 1_000_000_000);
        let tries = |end: u64| {
            let mut tries = vec![0];
            while let Some(next) = again(tries[tries.len() - 1], end) {
                tries.push(next);
            }
            tries
        };
        assert_eq!(tries(10), [0]);
        assert_eq!(tries(30), [0, 20]);
        assert_eq!(tries(1_000), [0, 60, 120, 240, 480, 960, 990]);
        assert_eq!(
            tries(12_000),
            [
                0, 60, 120, 240, 480, 960, 1_920, 3_840, 7_440, 11_040, 11_990
            ]
        );
    }
}
