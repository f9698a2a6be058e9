//! Before a handler is asked: who asks, whether they may, and on what terms.

use std::collections::HashMap;
use std::sync::Arc;

use auth::{Principal, Rights, Scopes, UserAccess};
use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use domain::limits::{
    ACTOR_BYTES_MAX, ENTITY_TAGS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_LIFETIME,
};
use engine::{Entity, Expected, RequestKey};
use types::filter::Moment;
use types::{
    AudienceId, BrandId, Clock as _, DeviceToken, ListId, SectionId, StreamVersion, SystemClock,
    TenantId, Timestamp, TopicId, UserId,
};

use crate::as_of::{AS_OF, AsOf, MUSTER_AS_OF, PastMoment, reads};
use crate::endpoint::{Access, Restricted, Versioned};
use crate::error::ApiError;
use crate::extract::origin::Caller;
use crate::extract::query::Parameters;
use crate::rate::Allowance;
use crate::reach::Reach;
use crate::request::{PastPosition, RequestId, entity_tag};
use crate::state::ApiState;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_EXPIRATION: HeaderName = HeaderName::from_static("x-idempotency-expiration");
/// Says that an answer is that of an earlier request.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const MUSTER_ACTOR: HeaderName = HeaderName::from_static("muster-actor");
/// Headers of which two would leave it open which is meant.
const ONCE_ONLY: [HeaderName; 7] = [
    header::AUTHORIZATION,
    IDEMPOTENCY_KEY,
    IDEMPOTENCY_EXPIRATION,
    MUSTER_ACTOR,
    MUSTER_AS_OF,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
];

/// What each route asks of whoever comes, by path and method.
type Routes = HashMap<&'static str, HashMap<Method, Access>>;

#[derive(Clone)]
pub(crate) struct Admission {
    state: ApiState,
    routes: Arc<Routes>,
}

impl Admission {
    pub(crate) fn new(state: ApiState, routes: Routes) -> Self {
        Self {
            state,
            routes: Arc::new(routes),
        }
    }
}

/// Around every route but those that are public: nobody gets in without a credential, and nobody further
/// than it reaches.
pub(crate) async fn admit(
    State(Admission { state, routes }): State<Admission>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts.extensions.get::<MatchedPath>();
    let route = path.and_then(|path| routes.get_key_value(path.as_str()));
    let asked = route.and_then(|(path, by_method)| {
        let access = by_method.get(effective(&parts.method))?;
        Some((*path, *access))
    });
    let route = route.map(|(path, _)| Route(path));
    let admitted = admitted(&state, asked, &mut parts).await;
    let (allowance, mut response) = match admitted {
        Err((allowance, error)) => (allowance, error.into_response()),
        Ok((allowance, Admitted::Replayed(replayed))) => (allowance, *replayed),
        Ok((allowance, Admitted::Present)) => {
            let version = parts.extensions.get::<EntityVersion>().copied();
            let response = next.run(Request::from_parts(parts, body)).await;
            (allowance, with_version(response, version))
        }
        Ok((allowance, Admitted::Past(moment))) => {
            let version = parts.extensions.get::<EntityVersion>().copied();
            let mut response = with_version(moment.answer(parts).await, version);
            let position = PastPosition(moment.position());
            response.extensions_mut().insert(position);
            (allowance, response)
        }
    };
    if let Some(allowance) = allowance {
        allowance.write_to(response.headers_mut());
    }
    // Whoever counts and traces requests stands outside, and does not know.
    if let Some(route) = route {
        response.extensions_mut().insert(route);
    }
    response
}

/// Which endpoint was asked, as it is declared.
#[derive(Clone, Copy)]
pub(crate) struct Route(pub(crate) &'static str);

/// Whoever may read may read the head alone.
fn effective(method: &Method) -> &Method {
    if *method == Method::HEAD {
        &Method::GET
    } else {
        method
    }
}

/// A version is told of what is there.
fn with_version(mut response: Response, version: Option<EntityVersion>) -> Response {
    if response.status().is_success()
        && let Some(EntityVersion(version)) = version
        && let Ok(tag) = HeaderValue::from_str(&entity_tag(version))
    {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Who answers.
enum Admitted {
    /// The handler, of the present.
    Present,
    /// The handler, of a moment.
    Past(Arc<PastMoment>),
    /// The request was answered before.
    Replayed(Box<Response>),
}

async fn admitted(
    state: &ApiState,
    asked: Option<(&'static str, Access)>,
    parts: &mut Parts,
) -> Result<(Option<Allowance>, Admitted), (Option<Allowance>, ApiError)> {
    let early = |error| (None, error);
    refuse_twice(&parts.headers).map_err(early)?;
    let principal = principal(state, &parts.headers).map_err(early)?;
    let allowance = state.rates.take(&principal.credential);
    if let Some(seconds) = allowance.and_then(|allowance| allowance.retry_after()) {
        return Err((allowance, ApiError::rate_limited(seconds)));
    }
    let admitted = may(state, asked, parts, principal).await;
    let admitted = admitted.map_err(|error| (allowance, error))?;
    Ok((allowance, admitted))
}

fn refuse_twice(headers: &HeaderMap) -> Result<(), ApiError> {
    let twice = |name: &&HeaderName| headers.get_all(*name).iter().nth(1).is_some();
    match ONCE_ONLY.iter().find(twice) {
        Some(name) => Err(ApiError::invalid_header(name.as_str(), "given once")),
        None => Ok(()),
    }
}

/// Whose credential a request carries.
pub(crate) fn principal(state: &ApiState, headers: &HeaderMap) -> Result<Principal, ApiError> {
    let credential = headers.get(header::AUTHORIZATION);
    let credential = credential.ok_or_else(ApiError::credential_missing)?;
    let bearer = credential.to_str().ok().and_then(|credential| {
        let (scheme, key) = credential.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let principal = bearer.and_then(|key| state.authenticator.principal(key));
    principal.ok_or_else(|| {
        state.metrics.refused_credential();
        ApiError::credential_invalid()
    })
}

/// Whether the principal may ask this, and on what terms; and who answers.
async fn may(
    state: &ApiState,
    asked: Option<(&'static str, Access)>,
    parts: &mut Parts,
    principal: Principal,
) -> Result<Admitted, ApiError> {
    // What is no route, or not with this method, is told by the router.
    let Some((route, access)) = asked else {
        return Ok(Admitted::Present);
    };
    let reads = reads(&parts.method);
    // Most keys reach everything, and what they name need not be looked at.
    let is_narrow = principal.tenant.is_some() || matches!(principal.rights, Rights::Users(_));
    let is_once = parts.method == Method::POST && parts.headers.contains_key(IDEMPOTENCY_KEY);
    let named = if is_narrow || is_once || access.versioned.is_some() {
        Named::of(parts).await?
    } else {
        Named::default()
    };
    if let Rights::Key(scopes) = &principal.rights {
        check_scope(*scopes, access)?;
    }
    let context: Option<TenantId> = if is_narrow || is_once {
        let parameters = Parameters::from_request_parts(parts, state).await?;
        parameters.id("tenant_id")?
    } else {
        None
    };
    if is_narrow {
        if let Rights::Users(users) = &principal.rights {
            check_grant(state, users, access, &named, context.as_ref())?;
        }
        if principal.tenant.is_some() {
            check_reach(state, &principal, access, &named, context.as_ref())?;
        }
    }
    let entity = access.versioned.map(|versioned| named.entity(versioned));
    let entity = entity.transpose()?;
    if reads {
        let moment = moment(state, route, parts, is_narrow, &principal).await?;
        let asked = moment.as_ref().map_or(state, |moment| &moment.state);
        // Before the query runs: an older version than what is shown is refused, and does no harm.
        if let Some(version) = entity.and_then(|entity| asked.engine.version(&entity)) {
            parts.extensions.insert(EntityVersion(version));
        }
        parts.extensions.insert(principal);
        return Ok(moment.map_or(Admitted::Present, Admitted::Past));
    }
    if AsOf::of(parts, state).await?.is_some() {
        return Err(ApiError::past_not_written());
    }
    let once = if is_once {
        once(&parts.headers, route, &named, context.as_ref(), &principal)?
    } else {
        None
    };
    if let Some((request, _)) = &once
        && let Some(answer) = state.engine.answer(request, SystemClock.now())
    {
        return Ok(Admitted::Replayed(Box::new(replayed(&answer))));
    }
    let caller = Caller {
        origin: origin(&principal, parts)?,
        expected: expected(&parts.headers, entity.is_some())?,
        entity,
        once,
    };
    parts.extensions.insert(principal);
    parts.extensions.insert(caller);
    Ok(Admitted::Present)
}

/// Whether what is asked is always of the present: the measures of the process; and the log itself, of
/// which a proof names the size that it is about.
pub(crate) fn has_no_past(route: &str) -> bool {
    const METRICS: &str = "/metrics";
    const LOG: &str = "/v1/log/";
    route == METRICS || route.starts_with(LOG)
}

/// Whether the endpoint sends the log itself, from a position on.
fn goes_on(route: &str) -> bool {
    matches!(
        route,
        "/v1/events/stream" | "/v1/backup" | "/v1/users/{user_id}/inbox/stream"
    )
}

/// The moment about which a request that reads asks, if it is not the present.
///
/// Whoever reaches no further than a tenant, or than some people, asks about the present only: what was
/// theirs then need not be now, and what is theirs now was perhaps not then.
async fn moment(
    state: &ApiState,
    route: &str,
    parts: &mut Parts,
    is_narrow: bool,
    principal: &Principal,
) -> Result<Option<Arc<PastMoment>>, ApiError> {
    if has_no_past(route) {
        return Ok(None);
    }
    let Some(as_of) = AsOf::of(parts, state).await? else {
        return Ok(None);
    };
    if goes_on(route) {
        let expected = "left out: what is sent begins where it is told to, and goes on";
        return Err(ApiError::invalid_parameter(AS_OF, expected));
    }
    if is_narrow {
        return Err(match &principal.rights {
            Rights::Key(_) => ApiError::key_restricted(),
            Rights::Users(_) => ApiError::token_insufficient(),
        });
    }
    state.moment(as_of).await.map(Some)
}

/// The version of what a `GET` shows, as it was before it was looked at.
#[derive(Clone, Copy)]
pub(crate) struct EntityVersion(pub(crate) StreamVersion);

/// An answer that was given before.
pub(crate) fn replayed(answer: &engine::Answer) -> Response {
    let mut response = crate::routes::answered(answer);
    let yes = HeaderValue::from_static("true");
    response.headers_mut().insert(IDEMPOTENT_REPLAYED, yes);
    response
}

/// Whether that is such an answer.
pub(crate) fn is_replayed(response: &Response) -> bool {
    response.headers().contains_key(IDEMPOTENT_REPLAYED)
}

fn origin(principal: &Principal, parts: &Parts) -> Result<engine::Origin, ApiError> {
    let request_id = parts.extensions.get::<RequestId>();
    let actor = parts.headers.get(MUSTER_ACTOR);
    let actor = actor.map(|actor| {
        let text = std::str::from_utf8(actor.as_bytes()).ok();
        let text = text.filter(|text| {
            !text.is_empty() && text.len() <= ACTOR_BYTES_MAX && !text.contains(char::is_control)
        });
        let expected = format!("1 to {ACTOR_BYTES_MAX} bytes of text");
        text.ok_or_else(|| ApiError::invalid_header(MUSTER_ACTOR.as_str(), &expected))
    });
    let given = actor.transpose()?.map(str::to_owned);
    Ok(engine::Origin {
        actor: engine::Actor {
            id: principal.id.as_ref().to_owned(),
            name: principal.name.as_ref().to_owned(),
            on_behalf_of: match &principal.rights {
                Rights::Key(_) => given,
                // Whom it is for says what it writes; who that is stands nowhere in the log.
                Rights::Users(_) => Some("user token".to_owned()),
            },
        },
        tenant_id: None,
        correlation_id: request_id.and_then(RequestId::given).map(str::to_owned),
    })
}

fn check_scope(scopes: Scopes, access: Access) -> Result<(), ApiError> {
    if scopes.allows(access.scope) {
        Ok(())
    } else {
        Err(ApiError::scope_missing(access.scope.name()))
    }
}

/// What a restricted key names has to be within its tenant. Beyond it nothing is there.
fn check_reach(
    state: &ApiState,
    principal: &Principal,
    access: Access,
    named: &Named,
    context: Option<&TenantId>,
) -> Result<(), ApiError> {
    let (reach, models) = (Reach::of(principal), &state.read_models);
    match access.restricted {
        Restricted::Refused => return Err(ApiError::key_restricted()),
        Restricted::Shared => return Ok(()),
        Restricted::Within => {}
    }
    if let Some(tenant) = named.id::<TenantId>("tenant_id")? {
        reach.tenant_within(models, &tenant)?;
    }
    if let Some(list) = named.id::<ListId>("list_id")? {
        reach.list(models, &list)?;
    }
    if let Some(user) = named.user()? {
        reach.user(models, &user)?;
    }
    if let Some(tenant) = context {
        reach.tenant_within(models, tenant)?;
    }
    Ok(())
}

/// A person's token reaches what is theirs, where they are named in the path, and what was granted; in
/// the tenants that it names, or else in those of which they are a member.
fn check_grant(
    state: &ApiState,
    users: &UserAccess,
    access: Access,
    named: &Named,
    context: Option<&TenantId>,
) -> Result<(), ApiError> {
    let grant = access.grant.ok_or_else(ApiError::token_insufficient)?;
    let brand = named.id::<BrandId>("brand_id")?;
    if !users.grants(grant, brand.as_ref()) {
        return Err(ApiError::token_insufficient());
    }
    let Some(user) = named.user()? else {
        return Ok(());
    };
    let models = &state.read_models;
    let is_member = |tenant: &TenantId| {
        let subject = models.subjects.number(user.as_str());
        subject.is_some_and(|it| models.tenants.membership(tenant, it).is_some())
    };
    let reached = match (users.contexts_of(&user), context) {
        (None, _) => false,
        // Device tokens have no context.
        (Some(_), None) if !grant.has_context() => true,
        (Some(contexts), None) => contexts.is_empty(),
        (Some(contexts), Some(tenant)) if contexts.is_empty() => is_member(tenant),
        (Some(contexts), Some(tenant)) => contexts.contains(&tenant),
    };
    if reached {
        Ok(())
    } else {
        Err(ApiError::token_insufficient())
    }
}

/// What the path names.
#[derive(Default)]
struct Named(Vec<(String, String)>);

impl Named {
    async fn of(parts: &mut Parts) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, &()).await;
        // A path without any has none, and what is not UTF-8 is no id.
        let params = params.map_err(|_| ApiError::invalid_path_segment())?;
        let owned = params
            .iter()
            .map(|(name, id)| (name.to_owned(), id.to_owned()));
        Ok(Self(owned.collect()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(it, _)| it == name);
        found.map(|(_, id)| id.as_str())
    }

    fn id<A: crate::extract::path::PathId>(&self, name: &str) -> Result<Option<A>, ApiError> {
        let read = |raw| A::read(raw).map_err(|error| ApiError::invalid_id(error, A::POINTER));
        self.get(name).map(read).transpose()
    }

    fn required<A: crate::extract::path::PathId>(&self, name: &str) -> Result<A, ApiError> {
        self.id(name)?.ok_or_else(ApiError::invalid_path_segment)
    }

    fn user(&self) -> Result<Option<UserId>, ApiError> {
        match self.id("user_id")? {
            Some(user) => Ok(Some(user)),
            None => self.id("recipient_id"),
        }
    }

    fn required_user(&self) -> Result<UserId, ApiError> {
        self.user()?.ok_or_else(ApiError::invalid_path_segment)
    }

    fn entity(&self, versioned: Versioned) -> Result<Entity, ApiError> {
        Ok(match versioned {
            Versioned::Profile => Entity::Profile(self.required_user()?),
            Versioned::List => Entity::List(self.required::<ListId>("list_id")?),
            Versioned::Subscription => {
                Entity::Subscription(self.required("list_id")?, self.required_user()?)
            }
            Versioned::Audience => Entity::Audience(self.required::<AudienceId>("audience_id")?),
            Versioned::Tenant => Entity::Tenant(self.required("tenant_id")?),
            Versioned::Membership => {
                Entity::Membership(self.required("tenant_id")?, self.required_user()?)
            }
            Versioned::Section => Entity::Section(self.required::<SectionId>("section_id")?),
            Versioned::Topic => Entity::Topic(self.required::<TopicId>("topic_id")?),
            Versioned::Brand => Entity::Brand(self.required("brand_id")?),
            Versioned::Token => {
                let token = self.required::<DeviceToken>("token")?;
                Entity::Token(self.required_user()?, token)
            }
            Versioned::RecipientPreferences => Entity::RecipientPreferences(self.required_user()?),
            Versioned::QuietHours => Entity::QuietHours(self.required_user()?),
            Versioned::Key => Entity::Key(self.get("key_id").unwrap_or_default().to_owned()),
        })
    }
}

/// `If-Match` and `If-None-Match: *` (RFC 9110, sections 13.1.1 and 13.1.2).
fn expected(headers: &HeaderMap, is_versioned: bool) -> Result<Option<Expected>, ApiError> {
    let (name, expected) = if let Some(tags) = joined(headers, &header::IF_MATCH)? {
        let expected = if tags.trim() == "*" {
            Expected::Present
        } else {
            Expected::Versions(versions(&tags)?)
        };
        ("if-match", expected)
    } else if let Some(tags) = joined(headers, &header::IF_NONE_MATCH)? {
        if tags.trim() != "*" {
            let expected = "`*`: nothing else can be made sure of before a write";
            return Err(ApiError::invalid_header("if-none-match", expected));
        }
        ("if-none-match", Expected::Absent)
    } else {
        return Ok(None);
    };
    if !is_versioned {
        let expected = "left out here: what this changes has no version of its own";
        return Err(ApiError::invalid_header(name, expected));
    }
    Ok(Some(expected))
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ApiError> {
    let values = headers.get_all(name).iter().map(|value| value.to_str());
    let values: Result<Vec<&str>, _> = values.collect();
    let values = values.map_err(|_| ApiError::invalid_header(name.as_str(), "ASCII text"))?;
    Ok((!values.is_empty()).then(|| values.join(",")))
}

/// Tags that are not ours match nothing; a weak one never does (RFC 9110, section 8.8.3.2).
fn versions(tags: &str) -> Result<Vec<StreamVersion>, ApiError> {
    let tags: Vec<&str> = tags.split(',').map(str::trim).collect();
    if tags.len() > ENTITY_TAGS_MAX {
        let expected = format!("at most {ENTITY_TAGS_MAX} entity tags");
        return Err(ApiError::invalid_header("if-match", &expected));
    }
    let is_tag = |tag: &&str| {
        let strong = tag.strip_prefix("W/").unwrap_or(tag);
        strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"')
    };
    if !tags.iter().all(is_tag) {
        let expected = "entity tags, quotes included, or `*`";
        return Err(ApiError::invalid_header("if-match", expected));
    }
    let version = |tag: &&str| {
        let number: u32 = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
        let version = StreamVersion(number);
        (entity_tag(version) == **tag).then_some(version)
    };
    Ok(tags.iter().filter_map(version).collect())
}

/// What the request is known by if it is to take effect once, and how long: the endpoint, the kind and the
/// reach of the credential, the context, and what the path names, however that is written.
fn once(
    headers: &HeaderMap,
    route: &str,
    named: &Named,
    context: Option<&TenantId>,
    principal: &Principal,
) -> Result<Option<(RequestKey, Timestamp)>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key.to_str().ok();
    let key = key.filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX);
    let expected = format!("1 to {IDEMPOTENCY_KEY_BYTES_MAX} ASCII characters");
    let key = key.ok_or_else(|| ApiError::invalid_header(IDEMPOTENCY_KEY.as_str(), &expected))?;
    let now = SystemClock.now();
    let asked = headers.get(IDEMPOTENCY_EXPIRATION);
    // What lies in the past, or is no time at all, is as if not given: the SDKs send such.
    let asked = asked
        .and_then(|asked| asked.to_str().ok())
        .and_then(Moment::parse_or_utc)
        .map_or(Timestamp::default(), Moment::to_timestamp);
    let earliest = Timestamp(now.0.saturating_add(IDEMPOTENCY_LIFETIME));
    // Nobody is answered with what somebody was who reaches further, or elsewhere.
    let reach = Reach::of(principal);
    let (owner, asked) = match &principal.rights {
        Rights::Key(_) => (principal.id.as_ref().to_owned(), asked),
        // Tokens share what there is for those of their key, and do not keep it for long.
        Rights::Users(_) => (format!("{}/tokens", principal.id), Timestamp::default()),
    };
    let kind = match &principal.rights {
        Rights::Key(_) => "key",
        Rights::Users(_) => "token",
    };
    let within = reach.tenant().map_or("", TenantId::as_str);
    let context = context.map_or("", TenantId::as_str);
    let mut parts = vec!["POST", route, kind, within, context, key];
    parts.extend(named.0.iter().map(|(_, id)| id.as_str()));
    let request = RequestKey::new(&parts, &owner);
    Ok(Some((request, asked.max(earliest))))
}
