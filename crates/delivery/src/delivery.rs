use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth::SigningSecret;
use engine::History;
use parking_lot::Mutex;
use projections::{ReadModels, StepPlace, WebhookView};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use types::Position;

use crate::options::DeliveryOptions;
use crate::progress_file;
use crate::status::{Attempt, DeadLetter, Shown, Status};
use crate::target::{Sender, Target};
use crate::topics::Topics;
use crate::worker::{Common, NewWorker, Redeliver, Worker};

/// Requests of all webhooks together at the same time.
const SENDING_MAX: usize = 64;
/// Webhooks that read the log at the same time; others wait their turn.
const READING_MAX: usize = 2;
/// How long a webhook that cannot be begun is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Between two looks whether a webhook has begun.
const BEGINNING: Duration = Duration::from_millis(20);

/// All webhooks: who is told, and how that goes.
#[derive(Clone)]
pub struct Delivery(Arc<Parts>);

struct Parts {
    common: Common,
    secret: SigningSecret,
    progress: watch::Receiver<Position>,
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    asked: mpsc::Sender<Redeliver>,
    stop: watch::Sender<bool>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) given_up: AtomicU64,
}

/// How attempts ended since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub delivered: u64,
    /// Failed attempts, those after which it was given up included.
    pub failed: u64,
    pub given_up: u64,
}

/// Nobody is telling this webhook right now.
#[derive(Debug, thiserror::Error)]
#[error("the webhook has not begun, or the server is stopping")]
pub struct NotRunning;

impl Delivery {
    /// `progress` is [`engine::Engine::progress`]; what is kept of webhooks stands in the directory.
    pub fn new(
        history: History,
        read_models: Arc<ReadModels>,
        progress: watch::Receiver<Position>,
        secret: SigningSecret,
        directory: PathBuf,
        options: DeliveryOptions,
    ) -> Self {
        let common = Common {
            history,
            read_models,
            options,
            sender: Sender::new(options),
            sending: Arc::new(Semaphore::new(SENDING_MAX)),
            reading: Arc::new(Semaphore::new(READING_MAX)),
            counters: Arc::default(),
            directory: Arc::new(directory),
        };
        Self(Arc::new(Parts {
            common,
            secret,
            progress,
            running: Mutex::default(),
        }))
    }

    /// Tells every webhook, as they come and go, until it is told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut workers = JoinSet::new();
        let mut progress = self.0.progress.clone();
        let webhooks = &self.0.common.read_models.webhooks;
        let mut seen = None;
        loop {
            let changes = webhooks.changes();
            if seen != Some(changes) {
                let begun = self.follow(webhooks.all(), &mut workers).await;
                seen = begun.then_some(changes);
            }
            while workers.try_join_next().is_some() {}
            let again = async {
                if seen.is_none() {
                    tokio::time::sleep(PAUSE).await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                moved = progress.changed() => if moved.is_err() { break; },
                () = again => {}
            }
        }
        for running in self.0.running.lock().values() {
            running.stop.send_replace(true);
        }
        while workers.join_next().await.is_some() {}
    }

    /// Begins those that are new and ends those that are gone. Whether all could be begun.
    async fn follow(&self, webhooks: Vec<WebhookView>, workers: &mut JoinSet<()>) -> bool {
        let is_there = |id: &str| webhooks.iter().any(|it| it.id == id);
        self.0.running.lock().retain(|id, running| {
            let stays = is_there(id);
            if !stays {
                running.stop.send_replace(true);
            }
            stays
        });
        let directory = Arc::clone(&self.0.common.directory);
        let known: Vec<String> = webhooks.iter().map(|it| it.id.clone()).collect();
        let tidied = tokio::task::spawn_blocking(move || {
            progress_file::make_directory(&directory)?;
            let kept = progress_file::kept(&directory)?;
            let mut gone = kept.iter().filter(|id| !known.contains(id));
            gone.try_for_each(|id| progress_file::remove(&directory, id))
        });
        if let Err(error) = tidied.await.expect("removing files does not panic") {
            tracing::error!(%error, "what is kept of webhooks cannot be looked through");
            return false;
        }
        let mut all = true;
        for webhook in webhooks {
            if !self.0.running.lock().contains_key(&webhook.id) {
                all &= self.begin(webhook, workers).await;
            }
        }
        all
    }

    async fn begin(&self, webhook: WebhookView, workers: &mut JoinSet<()>) -> bool {
        let (asked, asking) = mpsc::channel(1);
        let (stop, told) = watch::channel(false);
        let shown = Arc::new(Mutex::new(Shown::default()));
        let id = webhook.id.clone();
        let new = NewWorker {
            secret: self.secret(&webhook.id),
            // One that was good when it was registered is good for ever.
            target: Target::parse(&webhook.url).ok(),
            topics: Topics::of(&webhook.types, webhook.audience_id),
            registered: webhook.position,
            shown: Arc::clone(&shown),
            id: webhook.id,
        };
        let common = self.0.common.clone();
        let opening = tokio::task::spawn_blocking(move || Worker::open(common, new));
        let worker = match opening.await.expect("reading progress does not panic") {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!(webhook.id = id, %error, "a webhook cannot be begun");
                return false;
            }
        };
        workers.spawn(worker.run(self.0.progress.clone(), asking, told));
        let running = Running { asked, stop, shown };
        self.0.running.lock().insert(id, running);
        true
    }

    /// The secret with which what this webhook is told is signed.
    pub fn secret(&self, id: &str) -> String {
        self.0.secret.of_webhook(id)
    }

    pub fn options(&self) -> &DeliveryOptions {
        &self.0.common.options
    }

    /// How a webhook stands, once it has begun.
    pub fn status(&self, id: &str) -> Option<Status> {
        let running = self.0.running.lock();
        running.get(id).map(|it| it.shown.lock().status.clone())
    }

    /// How far each webhook has got.
    pub fn reached(&self) -> Vec<(String, Position)> {
        let running = self.0.running.lock();
        let of = |running: &Running| running.shown.lock().status.through;
        running
            .iter()
            .map(|(id, it)| (id.clone(), of(it)))
            .collect()
    }

    /// The attempts before this number, newest first; all are forgotten when the server stops.
    pub fn attempts(&self, id: &str, before: Option<u64>, limit: usize) -> Vec<Attempt> {
        let running = self.0.running.lock();
        let shown = running.get(id).map(|it| &it.shown);
        shown.map_or_else(Vec::new, |it| it.lock().attempts(before, limit))
    }

    /// What was given up of what comes after this place, in the order of the log.
    pub fn dead_letters(&self, id: &str, after: StepPlace, limit: usize) -> Vec<DeadLetter> {
        let running = self.0.running.lock();
        let shown = running.get(id).map(|it| &it.shown);
        shown.map_or_else(Vec::new, |it| it.lock().dead_after(after, limit))
    }

    /// Has the webhook told once more what happened at the position and since. Returns when it would be
    /// told even if everything ended now.
    pub async fn redeliver(&self, id: &str, from: Position) -> Result<(), NotRunning> {
        let (done, answer) = oneshot::channel();
        // As long as what is under way may take, and a little more.
        let time = self.options().time_max + PAUSE;
        let redelivered = timeout(time, async {
            let asked = self.begun(id).await;
            let sent = asked.send(Redeliver { from, done }).await;
            sent.map_err(|_| NotRunning)?;
            let saved = answer.await.map_err(|_| NotRunning)?;
            saved.map_err(|_| NotRunning)
        });
        redelivered.await.map_err(|_| NotRunning)?
    }

    /// Who takes what is asked of the webhook, once it has begun, which follows shortly on its event.
    async fn begun(&self, id: &str) -> mpsc::Sender<Redeliver> {
        loop {
            let running = self.0.running.lock().get(id).map(|it| it.asked.clone());
            if let Some(asked) = running {
                return asked;
            }
            tokio::time::sleep(BEGINNING).await;
        }
    }

    pub fn counts(&self) -> Counts {
        let counters = &self.0.common.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            delivered: count(&counters.delivered),
            failed: count(&counters.failed),
            given_up: count(&counters.given_up),
        }
    }
}
