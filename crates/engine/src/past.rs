use std::ops::ControlFlow;
use std::sync::Arc;

use parking_lot::RwLock;
use projections::ReadModels;
use tokio::sync::{mpsc, watch};
use types::{Position, Timestamp};

use crate::handle::Engine;
use crate::history::{History, HistoryError};
use crate::replay::{Rebuilt, Until};
use crate::snapshots::Snapshots;

/// Everything as of a moment, to be asked as the present is. Nothing is decided there any more.
pub struct PastState {
    pub read_models: Arc<ReadModels>,
    pub engine: Engine,
    pub history: History,
}

impl History {
    /// As [`Snapshots::rebuild`], of this log.
    pub fn rebuild(
        &self,
        snapshots: &Snapshots,
        until: Until,
        progress: &mut dyn FnMut(Position) -> ControlFlow<()>,
    ) -> Result<Rebuilt, HistoryError> {
        Ok(snapshots.rebuild(&self.store, until, progress)?)
    }

    /// The state of the past with its history up to then.
    pub fn past(&self, rebuilt: Rebuilt) -> PastState {
        let Rebuilt {
            read_models,
            sequence,
            ..
        } = rebuilt;
        // Nobody takes what is sent there.
        let (requests, _) = mpsc::channel(1);
        PastState {
            engine: Engine {
                requests,
                progress: watch::channel(read_models.checkpoint()).1,
                read_models: Arc::clone(&read_models),
                versions: Arc::new(RwLock::new(sequence.versions)),
            },
            history: Self {
                store: self.store.clone(),
                read_models: Arc::clone(&read_models),
                replaying: Arc::clone(&self.replaying),
                tenant_trees: Arc::clone(&self.tenant_trees),
                snapshots: self.snapshots.clone(),
            },
            read_models,
        }
    }

    /// The last event that was recorded at this time or before; the beginning if none was.
    pub fn position_at(&self, time: Timestamp) -> Result<Position, HistoryError> {
        let after = self.first_position(|recorded_at| recorded_at > time)?;
        Ok(Position(after.0 - 1))
    }

    /// When the event was recorded; the beginning of time for the position before the first.
    pub fn recorded_at(&self, position: Position) -> Result<Timestamp, HistoryError> {
        if position == Position::START {
            return Ok(Timestamp::default());
        }
        self.time_of(position)
    }
}

impl PastState {
    /// The same with another handle, for whoever asks with another present.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self {
            read_models: Arc::clone(&self.read_models),
            engine: self.engine.clone(),
            history: self.history.clone(),
        }
    }
}
