use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::{History, HistoryError};
use parking_lot::Mutex;
use projections::{ReadModels, StepPlace};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use types::{Clock as _, Position, SystemClock, Timestamp};

use crate::content::content;
use crate::dead_letters::{DEAD_LETTERS_MAX, DeadLetters};
use crate::delivery::Counters;
use crate::options::DeliveryOptions;
use crate::pending::{Pending, What};
use crate::progress_file::{Progress, Unfinished};
use crate::reading::{Piece, read, waiting_again};
use crate::retry::{chance, pause_after};
use crate::signature::signature;
use crate::status::{Attempt, DeadLetter, Shown};
use crate::target::{Failure, Sender, Target};
use crate::topics::Topics;

/// What waits or is under way for one webhook; while there is so much, nothing further is read.
const PENDING_MAX: usize = 1_000;
/// People named by all of that together, beyond which nothing further is read.
const LANES_MAX: usize = 20_000;
/// Requests to one target at the same time.
const SENDING_MAX: usize = 8;
/// How long progress may be ahead of its file when something was told, so that a crash repeats little,
const SAVED_WITHIN: Duration = Duration::from_millis(200);
/// and when nothing was, and only the log went on.
const SAVED_WITHIN_IDLE: Duration = Duration::from_secs(10);
/// How long what is under way may take to end once the server is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long to wait when the log or the disk gives no answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What every worker works with.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) history: History,
    pub(crate) read_models: Arc<ReadModels>,
    pub(crate) options: DeliveryOptions,
    pub(crate) sender: Sender,
    /// Requests of all webhooks at the same time.
    pub(crate) sending: Arc<Semaphore>,
    /// Those that read the log at the same time.
    pub(crate) reading: Arc<Semaphore>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) directory: Arc<PathBuf>,
}

/// Tell once more what happened at this position and since.
pub(crate) struct Redeliver {
    pub(crate) from: Position,
    pub(crate) done: oneshot::Sender<io::Result<()>>,
}

/// Tells one webhook what happens.
pub(crate) struct Worker {
    common: Common,
    id: String,
    target: Option<Target>,
    topics: Topics,
    secret: String,
    pending: Pending,
    /// Everything up to here was read; what of it is not done is pending.
    through: StepPlace,
    sending: JoinSet<Sent>,
    dead: DeadLetters,
    /// Given up since the file was written last.
    newly_dead: Vec<DeadLetter>,
    shown: Arc<Mutex<Shown>>,
    /// By when the progress is to be written.
    save_by: Option<Instant>,
    /// Nothing is read before this.
    rest_until: Option<Instant>,
}

struct Sent {
    place: StepPlace,
    outcome: Result<u16, Failure>,
    at: Timestamp,
    took: Duration,
}

pub(crate) struct NewWorker {
    pub(crate) id: String,
    pub(crate) target: Option<Target>,
    pub(crate) topics: Topics,
    pub(crate) secret: String,
    /// What happened after this is told.
    pub(crate) registered: Position,
    pub(crate) shown: Arc<Mutex<Shown>>,
}

impl Worker {
    /// Reads where it has got to. Blocks.
    pub(crate) fn open(common: Common, new: NewWorker) -> io::Result<Self> {
        let NewWorker {
            id,
            target,
            topics,
            secret,
            registered,
            shown,
        } = new;
        let progress = Progress::read(&common.directory, &id)?;
        let (dead, letters) = DeadLetters::open(&common.directory, &id)?;
        let head = common.read_models.checkpoint();
        let (mut through, unfinished) = match progress {
            None => (StepPlace::after(registered), vec![]),
            Some(progress) => (progress.through(), progress.pending),
        };
        if through.position > head {
            tracing::warn!(
                webhook.id = id,
                "a webhook was told of more than the log holds: it goes on from the log's end"
            );
            through = StepPlace::after(head);
        }
        let mut pending = Pending::default();
        for one in unfinished {
            let place = StepPlace {
                position: one.position,
                part: one.part,
            };
            // What was given up just before a crash is not pending any more.
            if place > through || letters.contains_key(&place) {
                continue;
            }
            let waiting = waiting_again(&common.history, place, one.what, one.failed);
            if let Some(waiting) = waiting.map_err(io::Error::other)? {
                pending.insert(place, waiting);
            }
        }
        shown.lock().dead = letters;
        Ok(Self {
            common,
            id,
            target,
            topics,
            secret,
            pending,
            through,
            sending: JoinSet::new(),
            dead,
            newly_dead: Vec::new(),
            shown,
            save_by: None,
            rest_until: None,
        })
    }

    /// Tells until it is told to stop; what is under way then has a moment to end.
    pub(crate) async fn run(
        mut self,
        mut progress: watch::Receiver<Position>,
        mut asked: mpsc::Receiver<Redeliver>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            self.read_on(&progress).await;
            let next_due = self.start_due();
            self.show();
            let through = self.through;
            let has_room = self.has_room() && self.rest_until.is_none();
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                Some(asked) = asked.recv() => self.redeliver(asked).await,
                Some(sent) = self.sending.join_next() => self.settle(sent),
                () = until(self.save_by) => self.save(),
                () = until(self.rest_until) => self.rest_until = None,
                () = until(next_due) => {}
                more = moved(&mut progress, through), if has_room => if !more {
                    break;
                },
            }
        }
        let ending = async {
            while let Some(sent) = self.sending.join_next().await {
                self.settle(sent);
            }
        };
        let _ = timeout(LAST_WORDS, ending).await;
        self.save();
    }

    fn has_room(&self) -> bool {
        self.pending.len() <= PENDING_MAX / 2 && self.pending.lanes() <= LANES_MAX
    }

    /// Takes the next piece of the log, if there is one and room for it.
    async fn read_on(&mut self, progress: &watch::Receiver<Position>) {
        let head = *progress.borrow();
        if !self.has_room() || self.rest_until.is_some() || StepPlace::after(head) <= self.through {
            return;
        }
        match self.piece(head).await {
            Ok(piece) => {
                let idle = piece.items.is_empty();
                for (place, waiting) in piece.items {
                    self.pending.insert(place, waiting);
                }
                self.through = piece.through;
                self.save_within(if idle {
                    SAVED_WITHIN_IDLE
                } else {
                    SAVED_WITHIN
                });
            }
            Err(error) => {
                // Somebody else has the log replayed, or it cannot be read, which others tell too.
                if !matches!(error, HistoryError::Busy) {
                    tracing::error!(webhook.id = self.id, %error, "the log cannot be read");
                }
                self.rest_until = Some(Instant::now() + PAUSE);
            }
        }
    }

    async fn piece(&self, head: Position) -> Result<Piece, HistoryError> {
        let turn = Arc::clone(&self.common.reading).acquire_owned().await;
        let history = self.common.history.clone();
        let (topics, through) = (self.topics.clone(), self.through);
        let at_most = PENDING_MAX - self.pending.len();
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&history, &topics, through, head, at_most, &|| true)
        });
        reading.await.expect("reading does not panic")
    }

    /// Sends what is due and waits for nothing else; says when the next is due.
    fn start_due(&mut self) -> Option<Instant> {
        let room = SENDING_MAX - self.sending.len();
        let (places, next) = self.pending.startable(Instant::now(), room);
        for place in places {
            let Some(waiting) = self.pending.get_mut(place) else {
                continue;
            };
            waiting.under_way = true;
            let sending = Sending {
                common: self.common.clone(),
                target: self.target.clone(),
                id: self.id.clone(),
                secret: self.secret.clone(),
                place,
                what: waiting.what.clone(),
                attempt: waiting.failed + 1,
            };
            self.sending.spawn(sending.send());
        }
        // While as many are under way as may be, the end of one comes first.
        next.filter(|_| self.sending.len() < SENDING_MAX)
    }

    fn settle(&mut self, sent: Result<Sent, JoinError>) {
        let sent = sent.expect("sending does not panic");
        let place = sent.place;
        let Some(waiting) = self.pending.get_mut(place) else {
            return;
        };
        waiting.under_way = false;
        let failure = sent.outcome.err();
        let counters = &self.common.counters;
        let attempt = Attempt {
            number: 0,
            position: place.position,
            part: place.part,
            subject: waiting.subject(),
            attempt: waiting.failed + 1,
            at: sent.at,
            milliseconds: u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX),
            status: failure.map_or(sent.outcome.ok(), Failure::status),
            error: failure.map(Failure::kind),
        };
        if failure.is_none() {
            counters.delivered.fetch_add(1, Ordering::Relaxed);
            self.pending.remove(place);
        } else {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            waiting.failed += 1;
            match pause_after(waiting.failed, chance(), &self.common.options) {
                Some(pause) => waiting.due = Instant::now() + pause,
                None => self.give_up(place, &attempt),
            }
        }
        self.shown.lock().push(attempt);
        self.save_within(SAVED_WITHIN);
    }

    fn give_up(&mut self, place: StepPlace, last: &Attempt) {
        self.common
            .counters
            .given_up
            .fetch_add(1, Ordering::Relaxed);
        self.pending.remove(place);
        let letter = DeadLetter {
            position: last.position,
            part: last.part,
            subject: last.subject,
            attempts: last.attempt,
            at: last.at,
            status: last.status,
            error: last.error.unwrap_or_default().to_owned(),
        };
        self.newly_dead.push(letter.clone());
        let mut shown = self.shown.lock();
        shown.dead.insert(place, letter);
        if shown.dead.len() > DEAD_LETTERS_MAX {
            shown.dead.pop_first();
        }
    }

    /// Goes back. What is under way ends first, so that nobody is told what is older before it.
    async fn redeliver(&mut self, Redeliver { from, done }: Redeliver) {
        while let Some(sent) = self.sending.join_next().await {
            self.settle(sent);
        }
        let before = StepPlace::after(Position(from.0.saturating_sub(1)));
        if before < self.through {
            self.through = before;
            self.pending.forget_after(before);
        }
        self.newly_dead.retain(|it| it.place() <= before);
        let saved = self.try_save(Some(before));
        if let Err(error) = &saved {
            tracing::error!(webhook.id = self.id, %error, "progress cannot be written");
        }
        let _ = done.send(saved);
    }

    fn save_within(&mut self, time: Duration) {
        let by = Instant::now() + time;
        self.save_by = Some(self.save_by.map_or(by, |before| before.min(by)));
    }

    fn save(&mut self) {
        if let Err(error) = self.try_save(None) {
            tracing::error!(webhook.id = self.id, %error, "progress cannot be written");
            self.save_within(PAUSE);
        }
    }

    /// What was given up is written before it is no longer pending. Of what was given up only that up to
    /// the place is kept, if one is given.
    fn try_save(&mut self, keep: Option<StepPlace>) -> io::Result<()> {
        let pending = self.pending.iter().map(|(place, waiting)| Unfinished {
            position: place.position,
            part: place.part,
            what: waiting.what.clone(),
            failed: waiting.failed,
        });
        let progress = Progress::new(self.through, pending.collect());
        // The disk is waited for here: it is some milliseconds, and nothing else can change meanwhile.
        let written = tokio::task::block_in_place(|| {
            if !self.newly_dead.is_empty() {
                let shown = self.shown.lock();
                self.dead.add(&self.newly_dead, &shown.dead)?;
            }
            progress.write(&self.common.directory, &self.id)?;
            match keep {
                // Told once more is not given up. A crash before this shows it as both for a while.
                Some(place) => self.dead.keep_through(place, &mut self.shown.lock().dead),
                None => Ok(()),
            }
        });
        written?;
        self.newly_dead.clear();
        self.save_by = None;
        Ok(())
    }

    fn show(&self) {
        let failing = self.pending.iter().filter(|(_, it)| it.failed > 0).count();
        let mut shown = self.shown.lock();
        shown.status.through = if self.through.part == u64::MAX {
            self.through.position
        } else {
            Position(self.through.position.0.saturating_sub(1))
        };
        shown.status.pending = self.pending.len();
        shown.status.failing = failing;
        shown.status.dead_letters = shown.dead.len();
    }
}

/// Resolves then; never if there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the log has gone past the place. Whether it ever will: not once the writer has ended.
async fn moved(progress: &mut watch::Receiver<Position>, through: StepPlace) -> bool {
    let past = |head: &Position| StepPlace::after(*head) > through;
    progress.wait_for(past).await.is_ok()
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as being told.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// One attempt.
struct Sending {
    common: Common,
    target: Option<Target>,
    id: String,
    secret: String,
    place: StepPlace,
    what: What,
    attempt: u32,
}

impl Sending {
    async fn send(self) -> Sent {
        let _turn = self.common.sending.acquire().await;
        let (at, began) = (SystemClock.now(), Instant::now());
        let place = self.place;
        let outcome = self.post(at).await;
        Sent {
            place,
            outcome,
            at,
            took: began.elapsed(),
        }
    }

    async fn post(&self, at: Timestamp) -> Result<u16, Failure> {
        let target = self.target.as_ref().ok_or(Failure::Malformed)?;
        let (history, models) = (&self.common.history, &self.common.read_models);
        let (history, models) = (history.clone(), Arc::clone(models));
        let (place, what) = (self.place, self.what.clone());
        let reading = tokio::task::spawn_blocking(move || content(&history, &models, place, &what));
        let body = match reading.await.expect("reading does not panic") {
            Ok(Some(body)) => body,
            Ok(None) => return Err(Failure::Unreadable),
            Err(error) => {
                tracing::error!(webhook.id = self.id, %error, "an event cannot be read");
                return Err(Failure::Unreadable);
            }
        };
        let headers = [
            ("courier-signature", signature(&self.secret, at, &body)),
            ("muster-webhook", self.id.clone()),
            (
                "muster-delivery",
                format!("{}.{}", place.position, place.part),
            ),
            ("muster-attempt", self.attempt.to_string()),
        ];
        self.common.sender.post(target, &headers, body).await
    }
}
