use std::ops::Deref;
use std::sync::Arc;

use auth::{KeyHash, Principal};
use engine::{Engine, History};
use projections::ReadModels;
use tokio::sync::Semaphore;

/// Requests that read much of the log or of the profiles at the same time; others wait their turn.
const SCANS_MAX: usize = 4;

/// What handlers work with. Every request clones it several times, so it is one pointer.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

/// The parts of [`ApiState`].
pub struct Parts {
    pub(crate) engine: Engine,
    pub(crate) read_models: Arc<ReadModels>,
    pub(crate) history: History,
    pub(crate) authenticator: Authenticator,
    scans: Arc<Semaphore>,
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
    ) -> Self {
        Self(Arc::new(Parts {
            engine,
            read_models,
            history,
            authenticator,
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
        }))
    }

    /// Runs a query that may take long where it holds up nobody.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let permit = Arc::clone(&self.scans).acquire_owned().await;
        let state = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            query(&state)
        });
        done.await
            .expect("a query does not panic and is not cancelled")
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
