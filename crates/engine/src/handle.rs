use tokio::sync::{mpsc, oneshot};
use types::{Position, Timestamp};

use crate::command::{Command, Origin, Outcome, Refusal};

/// A cheap-to-clone way to reach the writer. The queue behind it is bounded and not exposed.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) origin: Origin,
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
        self.send(command, origin)?
            .await
            .map_err(|_| ExecuteError::Stopped)?
    }

    /// As [`Engine::execute`], for threads outside the async runtime.
    pub fn execute_blocking(
        &self,
        command: Command,
        origin: Origin,
    ) -> Result<Committed, ExecuteError> {
        self.send(command, origin)?
            .blocking_recv()
            .map_err(|_| ExecuteError::Stopped)?
    }

    fn send(
        &self,
        command: Command,
        origin: Origin,
    ) -> Result<oneshot::Receiver<Result<Committed, ExecuteError>>, ExecuteError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request {
                command,
                origin,
                reply,
            })
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => ExecuteError::Busy,
                mpsc::error::TrySendError::Closed(_) => ExecuteError::Stopped,
            })?;
        Ok(answer)
    }
}
