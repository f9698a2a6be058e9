use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Command, Engine, ExecuteError, History, Settlement};
use events::MessageOutcome;
use parking_lot::Mutex;
use projections::{Due, ReadModels};
use providers::Providers;
use roaring::RoaringBitmap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use types::{
    Clock as _, MessageId, MessageReason, MessageStatus, Position, SubjectId, SystemClock,
    Timestamp,
};

use crate::carry::{Carrying, carry, first_provider};
use crate::collector::{Outcome, collect, sender};
use crate::evaluate::{Asked, Evaluation, Evaluator, Prepared};
use crate::in_flight::InFlight;
use crate::lanes::{Lanes, Place};
use crate::paces::{PEOPLE_TOGETHER, Paces, Step};
use crate::spec::{GivenInBulk, Spec, SpecError, Specs};
use crate::writing::Writing;

/// People to whom one message is on its way at the same time, so that others have room.
const IN_FLIGHT_OF_ONE_MAX: u64 = 8_192;
/// Looks at people, of some hundred each, that wait or go on at the same time.
const LOOKS_MAX: usize = 24;
/// Of one message, so that none takes all of them.
const LOOKS_OF_ONE_MAX: usize = 16;
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
    lanes: Lanes,
    paces: Mutex<Paces>,
    looks: Arc<Semaphore>,
    /// Something is due for which there was no look left.
    is_short_of_looks: AtomicBool,
    /// Told whenever there may be room again.
    room: Arc<Notify>,
    specs: Mutex<Specs>,
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
        let lanes = Lanes::new(&sources.providers);
        Self(Arc::new(Parts {
            sources,
            in_flight: Arc::default(),
            lanes,
            paces: Mutex::default(),
            looks: Arc::new(Semaphore::new(LOOKS_MAX)),
            is_short_of_looks: AtomicBool::new(false),
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
        let mut collecting = tokio::spawn(collect(
            parts.sources.engine.clone(),
            collected,
            Arc::clone(&parts.in_flight),
            Arc::clone(&parts.room),
        ));
        let mut working = JoinSet::new();
        // Planning takes a core; the other is for the writer.
        let planning = Arc::new(Semaphore::new(2));
        let mut may_have_room = true;
        loop {
            progress.mark_unchanged();
            let working_on = Work {
                outcomes: &outcomes,
                planning: &planning,
                working: &mut working,
            };
            let next = self.start_due(working_on, may_have_room).await;
            while let Some(done) = working.try_join_next() {
                tell_of_panic(done);
            }
            may_have_room = false;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                changed = progress.changed() => if changed.is_err() {
                    break;
                },
                () = parts.room.notified() => may_have_room = true,
                () = until(next) => {}
                _ = &mut collecting => {
                    tracing::error!("nothing is sent any more: outcomes cannot be noted");
                    return;
                }
            }
        }
        drop(outcomes);
        let ending = async {
            while working.join_next().await.is_some() {}
            let _ = collecting.await;
        };
        let _ = timeout(LAST_WORDS, ending).await;
    }

    /// Takes up what is due, as far as there is room; when the next is due. What found no room before is
    /// passed over unless there may be some.
    async fn start_due(&self, mut work: Work<'_>, may_have_room: bool) -> Option<Instant> {
        let parts = &self.0;
        let now = SystemClock.now();
        let messages = &parts.sources.read_models.messages;
        let passed_over: HashSet<Position> = {
            let mut paces = parts.paces.lock();
            paces.forget(|accepted| !messages.is_active(accepted));
            paces.passed_over(may_have_room).into_iter().collect()
        };
        let is_passed_over = |accepted| passed_over.contains(&accepted);
        let taken = |accepted| parts.in_flight.of(accepted);
        let (mut due, next) = messages.due(now, MESSAGES_TOGETHER, is_passed_over, taken);
        let mut again = due.len() == MESSAGES_TOGETHER;
        // Whatever becomes free is first for those of whom the fewest are on their way, and of those for whoever
        // is alone: one person is not to wait for a campaign.
        due.sort_by_cached_key(|it| (parts.in_flight.count_of(it.accepted), it.people.len()));
        'due: for mut due in due {
            if !due.is_resolved {
                // What is resolved is due at once, which the progress of the log tells.
                again |= !self.resolve(&due).await;
                continue;
            }
            let step = parts.paces.lock().of(due.accepted);
            let mine = parts.in_flight.count_of(due.accepted);
            let mut mine = IN_FLIGHT_OF_ONE_MAX.saturating_sub(mine);
            // Those of a bulk job whose data stand together are taken together.
            let mut left = self.in_order(&due);
            again |= left.len() < due.people.len();
            // Of what found no room there is one look, which tells whether there is more.
            let looks = if step.together < PEOPLE_TOGETHER {
                1
            } else {
                LOOKS_OF_ONE_MAX
            };
            for _ in 0..looks {
                if mine == 0 || left.is_empty() {
                    break;
                }
                let Ok(look) = Arc::clone(&parts.looks).try_acquire_owned() else {
                    parts.is_short_of_looks.store(true, Ordering::Release);
                    break 'due;
                };
                let together = usize::try_from(mine).unwrap_or(usize::MAX);
                let in_turn = left.range(step.from..).chain(left.range(..step.from));
                let people: RoaringBitmap = in_turn.take(step.together.min(together)).collect();
                left -= &people;
                due.people = parts.in_flight.take(due.accepted, people);
                mine -= due.people.len().min(mine);
                self.work_on(due.clone(), step, look, &mut work);
            }
        }
        // It may have become free before that was asked for.
        if parts.is_short_of_looks.load(Ordering::Acquire) && parts.looks.available_permits() > 0 {
            again = true;
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

    fn work_on(&self, due: Due, step: Step, look: OwnedSemaphorePermit, work: &mut Work<'_>) {
        let parts = Arc::clone(&self.0);
        let (outcomes, planning) = (work.outcomes.clone(), Arc::clone(work.planning));
        work.working.spawn(async move {
            let Ok(turn) = planning.acquire_owned().await else {
                return;
            };
            let theirs = Arc::clone(&parts);
            let planned = tokio::task::spawn_blocking(move || {
                let planned = theirs.plan(&due, step);
                drop(turn);
                (due, planned)
            });
            // Whose turn ended in a panic is not looked at again before the next start: it would again.
            let (due, planned) = match planned.await {
                Ok(planned) => planned,
                Err(error) => {
                    tracing::error!(%error, "people could not be looked at");
                    return;
                }
            };
            let Planned {
                settled,
                sending,
                put_back,
                found_no_room,
            } = match planned {
                Ok(planned) => planned,
                Err(error) => {
                    tracing::error!(message.id = due.id.as_str(), %error, "the log cannot be read");
                    tokio::time::sleep(PAUSE).await;
                    parts.in_flight.release(due.accepted, &due.people);
                    parts.room.notify_one();
                    return;
                }
            };
            parts.in_flight.release(due.accepted, &put_back);
            let mut on_the_way = JoinSet::new();
            for person in sending {
                let (parts, outcomes, due) =
                    (Arc::clone(&parts), outcomes.clone(), due.clone_for_one());
                on_the_way.spawn(async move {
                    let settlement = parts.tell(&due, &person).await;
                    parts
                        .note(
                            &outcomes,
                            due,
                            person.subject,
                            settlement,
                            Some(person.place),
                        )
                        .await;
                });
            }
            for settlement in settled {
                let subject = settlement.subject;
                let due = due.clone_for_one();
                parts
                    .note(&outcomes, due, subject, Some(settlement), None)
                    .await;
            }
            drop(look);
            let is_short = parts.is_short_of_looks.swap(false, Ordering::AcqRel);
            if is_short || !found_no_room {
                parts.room.notify_one();
            }
            while let Some(done) = on_the_way.join_next().await {
                tell_of_panic(done);
            }
        });
    }

    /// Sends a message to nobody any more, or not to one of its people. To whom it is going at this moment it
    /// arrives. Whoever asks has the command decided.
    pub async fn cancel<T>(
        &self,
        id: &MessageId,
        accepted: Position,
        person: Option<SubjectId>,
        execute: impl AsyncFnOnce(Command) -> Result<T, ExecuteError>,
    ) -> Result<T, CancelError> {
        let parts = &self.0;
        let messages = &parts.sources.read_models.messages;
        let request = messages.request(id.as_str());
        let command = Command::CancelMessage {
            id: id.clone(),
            people: person.map(|it| vec![it]),
        };
        if request.is_none_or(|it| !it.is_resolved) {
            return Ok(execute(command).await?);
        }
        let people: RoaringBitmap = match person {
            Some(person) => std::iter::once(person.0).collect(),
            None => messages.unsettled(id.as_str()).unwrap_or_default(),
        };
        // Nobody begins to tell them meanwhile.
        let people = parts.in_flight.withdraw(accepted, &people);
        if people.is_empty() {
            return Err(CancelError::TooLate);
        }
        let withdrawn = Withdrawn {
            parts,
            accepted,
            people,
        };
        let done = execute(command).await;
        drop(withdrawn);
        Ok(done?)
    }
}

/// With what the runner works.
struct Work<'a> {
    outcomes: &'a mpsc::Sender<Outcome>,
    planning: &'a Arc<Semaphore>,
    working: &'a mut JoinSet<()>,
}

/// Whoever was being told when it happened is not told again before the next start.
fn tell_of_panic(done: Result<(), JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!(%error, "somebody could not be told");
    }
}

/// People who are not sent to as long as it is held, also if nobody waits for the end.
struct Withdrawn<'a> {
    parts: &'a Parts,
    accepted: Position,
    people: RoaringBitmap,
}

impl Drop for Withdrawn<'_> {
    fn drop(&mut self) {
        self.parts.in_flight.release(self.accepted, &self.people);
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
    place: Place,
}

#[derive(Default)]
struct Planned {
    settled: Vec<Settlement>,
    sending: Vec<Telling>,
    /// Who is not to be told now, or finds no room.
    put_back: RoaringBitmap,
    found_no_room: bool,
}

/// What an outcome needs to know of a message.
#[derive(Clone)]
struct DueOne {
    accepted: Position,
    id: MessageId,
}

trait OutcomeOf {
    fn clone_for_one(&self) -> DueOne;
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
    /// Decides for each of the people, as far as there is room for them. Blocks.
    fn plan(&self, due: &Due, step: Step) -> Result<Planned, engine::HistoryError> {
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
        // Much may have happened since it was found to be due.
        let people = read_models
            .messages
            .due_among(due.accepted, &due.people, now);
        let put_back = &due.people - &people;
        let all_failed = |because: &str| Planned {
            settled: people
                .iter()
                .map(|row| plainly(SubjectId(row), failed(because)))
                .collect(),
            put_back: put_back.clone(),
            ..Planned::default()
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
        let together = self.paces.lock().of(due.accepted).together;
        let in_turn = people.range(step.from..).chain(people.range(..step.from));
        let in_turn: Vec<u32> = in_turn.take(together).collect();
        let looked: RoaringBitmap = in_turn.iter().collect();
        planned.put_back = put_back | (&people - &looked);
        let mut without_room = 0;
        let evaluator = Evaluator {
            spec: &spec,
            read_models,
            tenant_levels: *tenant_levels,
            at: now,
            writing,
            providers,
        };
        let is_only = matches!(spec.targets[..], [events::MessageTarget::Person(_)]);
        for row in &in_turn {
            let subject = SubjectId(*row);
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
                Evaluation::Send(prepared) => {
                    let provider = first_provider(&spec.message, &prepared, providers);
                    let Some(place) = self.lanes.place(provider, prepared.bytes()) else {
                        planned.put_back.insert(*row);
                        without_room += 1;
                        continue;
                    };
                    planned.sending.push(Telling {
                        subject,
                        user_id: read_models.subjects.user_id(subject).map(Into::into),
                        message_id,
                        prepared,
                        spec: Arc::clone(&spec),
                        deadline,
                        again_at: again_at(now, due.begins_at, ends_at),
                        place,
                    });
                }
            }
        }
        if let Some(last) = in_turn.last() {
            let (looked, next) = (in_turn.len(), last.saturating_add(1));
            let mut paces = self.paces.lock();
            paces.note(due.accepted, looked, looked - without_room, next);
        }
        planned.found_no_room = without_room > 0;
        Ok(planned)
    }

    /// Hands over what became of it for one person, or sets them free if nothing did. Whoever is being taken
    /// back is not settled by us.
    async fn note(
        &self,
        outcomes: &mpsc::Sender<Outcome>,
        due: DueOne,
        subject: SubjectId,
        settlement: Option<Settlement>,
        place: Option<Place>,
    ) {
        let DueOne { accepted, id } = due;
        match settlement {
            Some(settlement) if self.in_flight.begin(accepted, subject) => {
                let outcome = Outcome {
                    accepted,
                    id,
                    settlement,
                    place,
                };
                // Nobody listens any more when the server stops.
                let _ = outcomes.send(outcome).await;
            }
            Some(_) | None => {
                let one = std::iter::once(subject.0).collect();
                self.in_flight.release(accepted, &one);
                drop(place);
                self.room.notify_one();
            }
        }
    }

    /// Whether it may still go out to somebody: they are not erased, and it is neither canceled nor being
    /// canceled. From then on it cannot be.
    fn may_go(&self, accepted: Position, subject: SubjectId) -> bool {
        let models = &self.sources.read_models;
        models.subjects.user_id(subject).is_some()
            && models.messages.is_due(accepted, subject, SystemClock.now())
            && self.in_flight.begin(accepted, subject)
    }

    async fn tell(&self, due: &DueOne, person: &Telling) -> Option<Settlement> {
        let may_go = || self.may_go(due.accepted, person.subject);
        let carried = carry(Carrying {
            spec: &person.spec,
            prepared: &person.prepared,
            providers: &self.sources.providers,
            message_id: &person.message_id,
            user_id: person.user_id.as_deref(),
            began: Instant::now(),
            deadline: person.deadline,
            again_at: person.again_at,
            may_go: &may_go,
        });
        let carried = carried.await?;
        Some(Settlement {
            subject: person.subject,
            outcome: carried.outcome,
            receipt: carried.receipt,
            inbox: carried.inbox,
            dead_tokens: carried.dead_tokens,
        })
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
