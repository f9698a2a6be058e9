use std::io;
use std::ops::Deref;
use std::sync::Arc;

use auth::{KeyHash, Principal, Rights, Scopes, SigningSecret, UserAccess};
use axum::http::HeaderValue;
use axum::response::Response;
use backup::NamedFile;
use dashmap::DashMap;
use delivery::Delivery;
use engine::{
    Answer, Command, Committed, Engine, ExecuteError, History, Once, PastState, Snapshots, Terms,
};
use projections::{KeyView, ReadModels};
use sending::{LinkSecret, Sending};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use transparency::TransparencyLog;
use types::{Clock as _, SystemClock, TenantId, Timestamp};

use crate::admission::replayed;
use crate::answers::{Answers, room, space};
use crate::as_of::PastMoments;
use crate::error::ApiError;
use crate::extract::origin::Caller;
use crate::metrics::{Metrics, Process};
use crate::rate::{RateLimit, Rates};
use crate::routes::backup::BACKUPS_MAX;
use crate::routes::events::stream::STREAMS_MAX;
use crate::routes::{answered, at};

/// Requests that read much of the log or of the profiles at the same time; others wait their turn.
const SCANS_MAX: usize = 4;
/// Requests that wait for their turn; more are told that the server is busy.
const SCANS_WAITING_MAX: usize = 64;
/// Streams of events that read from the log at the same time; others wait their turn.
const STREAM_TURNS: usize = 4;

/// Bytes of large bodies that are in work at the same time, from reading them to answering.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A body up to this size is read before anything else, and is not counted.
pub(crate) const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// What handlers work with. Every request clones it several times, so it is one pointer.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

/// The parts of [`ApiState`].
pub struct Parts {
    pub(crate) engine: Engine,
    pub(crate) read_models: Arc<ReadModels>,
    pub(crate) history: History,
    pub(crate) transparency: Arc<TransparencyLog>,
    pub(crate) delivery: Delivery,
    pub(crate) sending: Sending,
    /// Makes and reads the links in messages.
    pub(crate) links: LinkSecret,
    pub(crate) authenticator: Authenticator,
    /// The past; nothing in a state that is of the past itself.
    pub(crate) moments: Option<PastMoments>,
    /// What such a state takes for the present.
    moment: Option<Timestamp>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rates: Rates,
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included.
    pub(crate) tenant_levels: usize,
    pub(crate) cors_origins: Vec<HeaderValue>,
    /// Whoever asks does so over TLS.
    pub(crate) secure: bool,
    pub(crate) process: fn() -> Process,
    /// What a backup holds besides the log.
    pub(crate) files: Files,
    pub(crate) backups: Arc<Semaphore>,
    /// Requests that are answered at the same time.
    pub(crate) requests: Semaphore,
    scans: Arc<Semaphore>,
    /// Those that run and those that wait.
    scans_asked: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    /// Room for streams of events.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) stream_turns: Arc<Semaphore>,
    /// Turns true when the server is told to stop: what would go on for ever ends then.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) answers: Answers,
}

/// What an operator chooses about the API.
pub struct ApiOptions {
    /// Levels of a tenant's ancestry that are loaded, the tenant's own included.
    pub tenant_levels: usize,
    /// None unless given.
    pub rate_limit: Option<RateLimit>,
    /// Requests that are answered at the same time; more are told that the server is busy.
    pub requests_max: usize,
    /// Past states that are kept for whoever asks again.
    pub past_states_max: usize,
    /// From which pages browsers may ask; none unless given.
    pub cors_origins: Vec<HeaderValue>,
    /// The connections are encrypted.
    pub secure: bool,
    /// What the operating system says of the process.
    pub process: fn() -> Process,
}

/// Reads the small files of the data directory that cannot be made again.
pub type Files = Arc<dyn Fn() -> io::Result<Vec<NamedFile>> + Send + Sync>;

/// Where answers come from, and by what they are counted.
pub struct Sources {
    pub engine: Engine,
    pub read_models: Arc<ReadModels>,
    pub history: History,
    pub transparency: Arc<TransparencyLog>,
    pub delivery: Delivery,
    pub sending: Sending,
    pub links: LinkSecret,
    pub authenticator: Authenticator,
    pub metrics: Arc<Metrics>,
    pub snapshots: Arc<Snapshots>,
    /// Tells when the server is about to stop.
    pub stopping: watch::Receiver<bool>,
    /// Reads what a backup holds besides the log.
    pub files: Files,
}

impl Deref for ApiState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ApiState {
    pub fn new(sources: Sources, options: ApiOptions) -> Self {
        let Sources {
            engine,
            read_models,
            history,
            transparency,
            delivery,
            sending,
            links,
            authenticator,
            metrics,
            snapshots,
            stopping,
            files,
        } = sources;
        Self(Arc::new(Parts {
            moments: Some(PastMoments::new(snapshots, options.past_states_max)),
            moment: None,
            engine,
            read_models,
            history,
            transparency,
            delivery,
            sending,
            links,
            authenticator,
            metrics,
            rates: Rates::new(options.rate_limit),
            tenant_levels: options.tenant_levels,
            cors_origins: options.cors_origins,
            secure: options.secure,
            process: options.process,
            files,
            backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
            requests: Semaphore::new(options.requests_max),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            scans_asked: Arc::new(Semaphore::new(SCANS_MAX + SCANS_WAITING_MAX)),
            bodies: space(BODIES_BYTES_MAX),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stream_turns: Arc::new(Semaphore::new(STREAM_TURNS)),
            stopping,
            answers: Answers::default(),
        }))
    }

    /// The same over a state of the past, of which this is the present. What takes long waits for its turn
    /// as it does here.
    pub(crate) fn of_past(&self, past: PastState, now: Timestamp) -> Self {
        let PastState {
            read_models,
            engine,
            history,
        } = past;
        let secret = self.authenticator.secret().clone();
        let authenticator = Authenticator::new(None, secret, Arc::clone(&read_models));
        Self(Arc::new(Parts {
            engine,
            read_models,
            history,
            transparency: Arc::clone(&self.transparency),
            delivery: self.delivery.clone(),
            sending: self.sending.clone(),
            links: self.links.clone(),
            stopping: self.stopping.clone(),
            streams: Arc::clone(&self.streams),
            stream_turns: Arc::clone(&self.stream_turns),
            authenticator,
            moments: None,
            moment: Some(now),
            metrics: Arc::clone(&self.metrics),
            rates: Rates::new(None),
            tenant_levels: self.tenant_levels,
            cors_origins: vec![],
            secure: self.secure,
            process: self.process,
            files: Arc::clone(&self.files),
            backups: Arc::clone(&self.backups),
            requests: Semaphore::new(0),
            scans: Arc::clone(&self.scans),
            scans_asked: Arc::clone(&self.scans_asked),
            bodies: Arc::clone(&self.bodies),
            answers: Answers::default(),
        }))
    }

    /// The time, or that of which the state is.
    pub(crate) fn now(&self) -> Timestamp {
        self.moment.unwrap_or_else(|| SystemClock.now())
    }

    /// Frees what nobody needs any more. To be called now and then.
    pub fn tidy(&self) {
        if let Some(moments) = &self.moments {
            moments.tidy();
        }
        self.rates.forget_full();
        self.authenticator.forget_gone();
    }

    /// When keys were used, where the log should note it.
    pub fn uses_to_note(&self) -> Vec<(String, Timestamp)> {
        self.authenticator.uses_to_note()
    }

    /// Has a command decided, on the terms on which its caller sent it.
    pub(crate) async fn execute(
        &self,
        command: Command,
        caller: Caller,
    ) -> Result<Committed, ExecuteError> {
        let terms = Terms {
            entity: caller.entity,
            expected: caller.expected,
            once: None,
        };
        self.engine.execute_on(command, caller.origin, terms).await
    }

    /// As [`ApiState::execute`], and answers: a request with an idempotency key takes effect once, and
    /// is answered the same each time.
    pub(crate) async fn execute_once(
        &self,
        command: Command,
        caller: Caller,
        answer: impl FnOnce(&Committed) -> Answer + Send + 'static,
    ) -> Result<Response, ExecuteError> {
        let Some((request, expires_at)) = caller.once.clone() else {
            let committed = self.execute(command, caller).await?;
            return Ok(at(&committed, answered(&answer(&committed))));
        };
        let terms = Terms {
            entity: caller.entity,
            expected: caller.expected,
            once: Some(Once {
                request,
                expires_at,
                answer: Box::new(answer),
            }),
        };
        let executed = self
            .engine
            .execute_on(command, caller.origin, terms)
            .await?;
        let kept = executed.answer.as_ref();
        let response = kept.map_or_else(Response::default, |answer| {
            if executed.is_repeated {
                replayed(answer)
            } else {
                answered(answer)
            }
        });
        Ok(at(&executed, response))
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
        room(&self.bodies, bytes).ok_or_else(ApiError::busy)
    }
}

/// Knows which credentials are good.
pub struct Authenticator {
    /// The key in the environment is good only as long as the environment holds it.
    environment_key: Option<EnvironmentKey>,
    read_models: Arc<ReadModels>,
    /// With which tokens of people are signed.
    secret: SigningSecret,
    /// When a key was used last, of those that were since the start.
    used: DashMap<String, Timestamp>,
}

struct EnvironmentKey {
    hash: KeyHash,
    principal: Principal,
    /// By what tokens name it. The next key in the environment has another one, so that its tokens end
    /// with it.
    issuer: String,
}

/// Use that is not noted in the log is at most so much later than what is, in nanoseconds: an hour.
const NOTED_AGAIN_AFTER: u64 = 60 * 60 * 1_000_000_000;

impl Authenticator {
    pub fn new(
        environment_key: Option<&str>,
        secret: SigningSecret,
        read_models: Arc<ReadModels>,
    ) -> Self {
        let principal = || Principal {
            id: ENVIRONMENT.into(),
            credential: ENVIRONMENT.into(),
            name: "MUSTER_API_KEY".into(),
            rights: Rights::Key(Scopes::ADMIN),
            tenant: None,
        };
        let environment_key = environment_key.map(|key| {
            let hash = KeyHash::of(key);
            let fingerprint = secret.fingerprint(&hash.to_string());
            EnvironmentKey {
                hash,
                principal: principal(),
                issuer: format!("{ENVIRONMENT}:{fingerprint}"),
            }
        });
        Self {
            environment_key,
            read_models,
            secret,
            used: DashMap::new(),
        }
    }

    /// By what tokens name the key that had them issued.
    pub(crate) fn issuer_of(&self, principal: &Principal) -> String {
        let environment = self.environment_key.as_ref();
        match environment.filter(|it| it.principal.id == principal.id) {
            Some(environment) => environment.issuer.clone(),
            None => principal.id.as_ref().to_owned(),
        }
    }

    pub(crate) fn secret(&self) -> &SigningSecret {
        &self.secret
    }

    /// Whoever has this credential, which is a key or a token of people.
    pub(crate) fn principal(&self, credential: &str) -> Option<Principal> {
        let hash = KeyHash::of(credential);
        if let Some(environment) = &self.environment_key
            && environment.hash.matches(&hash)
        {
            return Some(environment.principal.clone());
        }
        let now = SystemClock.now();
        if let Some(key) = self.read_models.keys.by_hash(&hash.to_string()) {
            return self.of_key(key, now);
        }
        self.of_token(credential, now)
    }

    fn of_key(&self, key: KeyView, now: Timestamp) -> Option<Principal> {
        if !key.is_good(now) {
            return None;
        }
        let tenant = self.restriction(&key)?;
        self.note_use(&key.id, now);
        Some(Principal {
            rights: Rights::Key(Scopes::known(key.scopes.iter().map(String::as_str))),
            tenant,
            credential: key.id.as_str().into(),
            id: key.id.into(),
            name: key.name.into(),
        })
    }

    /// The tenant to which the key is restricted. A key whose tenant is gone opens nothing, also where
    /// another has its id since.
    #[expect(
        clippy::option_option,
        reason = "the outer one is whether the key opens anything"
    )]
    fn restriction(&self, key: &KeyView) -> Option<Option<Arc<TenantId>>> {
        let Some(tenant) = &key.tenant_id else {
            return Some(None);
        };
        let tenant = TenantId::parse(tenant).ok()?;
        let created_at = self.read_models.tenants.created_at(&tenant)?;
        (created_at <= key.issued_at).then(|| Some(Arc::new(tenant)))
    }

    fn note_use(&self, id: &str, now: Timestamp) {
        if let Some(mut used) = self.used.get_mut(id) {
            *used = now;
            return;
        }
        self.used.insert(id.to_owned(), now);
    }

    /// A token ends with the key that had it issued.
    fn of_token(&self, token: &str, now: Timestamp) -> Option<Principal> {
        let claims = self.secret.verify(token, seconds(now)).ok()?;
        let access = UserAccess::parse(&claims.scope).ok()?;
        let rights = Rights::Users(Arc::new(access));
        let credential: Arc<str> = format!("{}/{}", claims.key, claims.jti).into();
        if let Some(environment) = &self.environment_key
            && claims.key == environment.issuer
        {
            return Some(Principal {
                rights,
                credential,
                ..environment.principal.clone()
            });
        }
        let key = self.read_models.keys.get(&claims.key)?;
        Some(Principal {
            rights,
            credential,
            ..self.of_key(key, now)?
        })
    }

    /// When the key was used last: exact since the start, to the hour before.
    pub(crate) fn used_at(&self, key: &KeyView) -> Option<Timestamp> {
        let since_start = self.used.get(&key.id).map(|used| *used);
        since_start.max(key.used_at)
    }

    /// Forgets when those keys were used that are there no more.
    fn forget_gone(&self) {
        let keys = &self.read_models.keys;
        self.used.retain(|id, _| keys.is_known(id));
    }

    /// Uses that should be noted in the log.
    pub(crate) fn uses_to_note(&self) -> Vec<(String, Timestamp)> {
        let is_news = |id: &str, at: Timestamp| {
            let key = self.read_models.keys.get(id);
            key.is_some_and(|key| {
                let noted = key.used_at.map_or(0, |noted| noted.0);
                at.0 >= noted.saturating_add(NOTED_AGAIN_AFTER)
            })
        };
        let used = self.used.iter().map(|it| (it.key().clone(), *it.value()));
        used.filter(|(id, at)| is_news(id, *at)).collect()
    }
}

/// The id of the key in the environment.
const ENVIRONMENT: &str = "environment";

/// Whole seconds since 1970.
pub(crate) fn seconds(now: Timestamp) -> u64 {
    now.0 / 1_000_000_000
}
