use std::ops::Deref;
use std::sync::Arc;

use auth::{KeyHash, Principal};
use engine::{Engine, History};
use projections::ReadModels;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::metrics::Metrics;

/// Requests that read much of the log or of the profiles at the same time; others wait their turn.
const SCANS_MAX: usize = 4;
/// Requests that wait for their turn; more are told that the server is busy.
const SCANS_WAITING_MAX: usize = 64;

/// Bytes of large bodies that are in work at the same time, from reading them to answering.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A body up to this size is read before anything else, and is not counted.
pub(crate) const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bodies are counted in pieces of this size: a semaphore counts to 2^32.
const BODY_PIECE_BYTES: usize = 1024;

/// What handlers work with. Every request clones it several times, so it is one pointer.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

/// The parts of [`ApiState`].
pub struct Parts {
    pub(crate) engine: Engine,
    pub(crate) read_models: Arc<ReadModels>,
    pub(crate) history: History,
    pub(crate) authenticator: Authenticator,
    pub(crate) metrics: Arc<Metrics>,
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included.
    pub(crate) tenant_levels: usize,
    scans: Arc<Semaphore>,
    /// Those that run and those that wait.
    scans_asked: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Deref for ApiState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ApiState {
    pub fn new(
        engine: Engine,
        read_models: Arc<ReadModels>,
        history: History,
        authenticator: Authenticator,
        metrics: Arc<Metrics>,
        tenant_levels: usize,
    ) -> Self {
        Self(Arc::new(Parts {
            engine,
            read_models,
            history,
            authenticator,
            metrics,
            tenant_levels,
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            scans_asked: Arc::new(Semaphore::new(SCANS_MAX + SCANS_WAITING_MAX)),
            bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX / BODY_PIECE_BYTES)),
        }))
    }

    /// Runs a query that may take long where it holds up nobody. The query can ask whether its
    /// answer is still wanted: it is not once the client has gone away.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Self, &dyn Fn() -> bool) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let asked = Arc::clone(&self.scans_asked).try_acquire_owned();
        let asked = asked.map_err(|_| ApiError::busy())?;
        let turn = Arc::clone(&self.scans).acquire_owned().await;
        let state = self.clone();
        let wanted = Arc::new(());
        let waiting = Arc::downgrade(&wanted);
        let done = tokio::task::spawn_blocking(move || {
            let _held = (asked, turn);
            query(&state, &|| waiting.strong_count() > 0)
        });
        let answer = done
            .await
            .expect("a query does not panic and is not cancelled");
        drop(wanted);
        Ok(answer)
    }

    /// Room for a body of this size, until it is given back by dropping it.
    pub(crate) fn room_for_body(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let pieces = u32::try_from(bytes.div_ceil(BODY_PIECE_BYTES)).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies)
            .try_acquire_many_owned(pieces)
            .map_err(|_| ApiError::busy())
    }
}

/// Knows which credentials are good.
pub struct Authenticator {
    /// The key in the environment is good only as long as the environment holds it.
    environment_key: Option<(KeyHash, Principal)>,
    read_models: Arc<ReadModels>,
}

impl Authenticator {
    pub fn new(environment_key: Option<&str>, read_models: Arc<ReadModels>) -> Self {
        let principal = || Principal {
            id: "environment".into(),
            name: "MUSTER_API_KEY".into(),
        };
        Self {
            environment_key: environment_key.map(|key| (KeyHash::of(key), principal())),
            read_models,
        }
    }

    pub(crate) fn principal(&self, key: &str) -> Option<Principal> {
        let hash = KeyHash::of(key);
        if let Some((environment_key, principal)) = &self.environment_key
            && environment_key.matches(&hash)
        {
            return Some(principal.clone());
        }
        let key = self.read_models.keys.by_hash(&hash.to_string())?;
        Some(Principal {
            id: key.id.into(),
            name: key.name.into(),
        })
    }
}
