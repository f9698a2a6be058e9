use std::sync::Arc;

use parking_lot::RwLock;
use projections::ReadModels;
use tokio::sync::{mpsc, oneshot, watch};
use types::{Position, StreamVersion, Timestamp, UserId};

use crate::command::{Command, Origin, Outcome, Refusal};
use crate::entity::{Entity, Expected, is_there};
use crate::once::{Answer, Once, RequestKey};
use crate::stream_of::stream_of;
use crate::stream_versions::StreamVersions;

/// A cheap-to-clone way to reach the writer. The queue behind it is bounded and not exposed.
#[derive(Clone)]
pub struct Engine {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) progress: watch::Receiver<Position>,
    pub(crate) read_models: Arc<ReadModels>,
    pub(crate) versions: Arc<RwLock<StreamVersions>>,
}

/// On what a command is decided, besides what it asks for.
#[derive(Debug, Default)]
pub struct Terms {
    /// What the command is about, if that has a version.
    pub entity: Option<Entity>,
    /// What has to be so of it.
    pub expected: Option<Expected>,
    pub once: Option<Once>,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) origin: Origin,
    pub(crate) terms: Terms,
    pub(crate) reply: oneshot::Sender<Result<Committed, ExecuteError>>,
}

/// The command took effect, is durable and is visible to every later read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of the last event, or the head of the log if the command said nothing new.
    pub position: Position,
    pub events: usize,
    /// When it was decided: the time of its events, if there are any.
    pub decided_at: Timestamp,
    /// How a request that takes effect once is answered, this time or the first.
    pub answer: Option<Answer>,
    /// It took effect before, and has done nothing now.
    pub is_repeated: bool,
    /// The version of the entity that the command was said to be about, as it leaves it, if it is there.
    pub version: Option<StreamVersion>,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the queue of writes is full")]
    Busy,
    #[error("the server is stopping")]
    Stopped,
}

impl Engine {
    /// Waits until the command is durable, or refused.
    ///
    /// # Errors
    /// [`ExecuteError::Busy`] at once when the queue is full. After [`ExecuteError::Stopped`] it is
    /// not known whether the command took effect.
    pub async fn execute(
        &self,
        command: Command,
        origin: Origin,
    ) -> Result<Committed, ExecuteError> {
        self.execute_on(command, origin, Terms::default()).await
    }

    /// As [`Engine::execute`], on these terms.
    pub async fn execute_on(
        &self,
        command: Command,
        origin: Origin,
        terms: Terms,
    ) -> Result<Committed, ExecuteError> {
        self.send(command, origin, terms)?
            .await
            .map_err(|_| ExecuteError::Stopped)?
    }

    /// As [`Engine::execute`], for threads outside the async runtime.
    pub fn execute_blocking(
        &self,
        command: Command,
        origin: Origin,
    ) -> Result<Committed, ExecuteError> {
        self.send(command, origin, Terms::default())?
            .blocking_recv()
            .map_err(|_| ExecuteError::Stopped)?
    }

    /// The version of something that is there. To be asked for before what it is the version of: then a
    /// caller may hold on to one that is older than what it saw, and never to one that is newer.
    pub fn version(&self, entity: &Entity) -> Option<StreamVersion> {
        let models = &self.read_models;
        let number = |user_id: &UserId| models.subjects.number(user_id.as_str());
        let version = self.versions.read().get(&stream_of(entity, &number)?);
        is_there(models, entity).then_some(version)
    }

    /// How the request was answered when it took effect, if it has and that still holds.
    pub fn answer(&self, request: &RequestKey, now: Timestamp) -> Option<Answer> {
        let stored = self.read_models.requests.get(request.as_str(), now);
        stored.map(Into::into)
    }

    /// How far the read models are: everything up to there is durable and visible. Its sender is gone
    /// once nothing is written any more. Whoever holds it does not keep the writer going.
    pub fn progress(&self) -> watch::Receiver<Position> {
        self.progress.clone()
    }

    /// Whether nothing is decided any more.
    pub fn is_stopped(&self) -> bool {
        self.requests.is_closed()
    }

    /// Whether the next command would be told that the queue is full.
    pub fn is_busy(&self) -> bool {
        self.requests.capacity() == 0
    }

    /// How many commands wait to be decided.
    pub fn queue_length(&self) -> usize {
        self.requests.max_capacity() - self.requests.capacity()
    }

    fn send(
        &self,
        command: Command,
        origin: Origin,
        terms: Terms,
    ) -> Result<oneshot::Receiver<Result<Committed, ExecuteError>>, ExecuteError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request {
                command,
                origin,
                terms,
                reply,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => ExecuteError::Busy,
                mpsc::error::TrySendError::Closed(_) => ExecuteError::Stopped,
            })?;
        Ok(answer)
    }
}
