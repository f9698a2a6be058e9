use auth::{Principal, Rights, Scope};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use delivery::{Attempt, DeadLetter, Target, Topics};
use domain::WebhookCommand;
use domain::limits::{NAME_BYTES_MAX, URL_BYTES_MAX, WEBHOOK_TYPES_MAX};
use engine::{Command, Committed, WebhookRegistered};
use projections::{StepPlace, WebhookView};
use serde::Serialize;
use types::{AudienceId, Clock as _, CommandId, Position, SystemClock, Timestamp};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, WebhookId};
use crate::extract::query::Parameters;
use crate::routes::{Paging, create_with_secret, json, kept, no_content};
use crate::state::ApiState;

const DELIVERIES: &str = "deliveries";
const DEAD_LETTERS: &str = "dead letters";

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Webhook {
    id: String,
    url: String,
    types: Vec<String>,
    audience_id: Option<String>,
    created_at: String,
    /// Everything up to this position was told, waits for its turn, or was given up.
    position: u64,
    /// Events that are still to be looked at.
    behind: u64,
    /// Deliveries that are under way or wait.
    pending: usize,
    /// Of those, how many have failed before.
    failing: usize,
    /// Deliveries that were given up.
    dead_letters: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct WebhooksPage {
    items: Vec<Webhook>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NewWebhook {
    #[serde(flatten)]
    shown: Webhook,
    /// With which what is told is signed, this once: not where the request is answered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// One attempt to tell something, without what was told.
#[derive(Serialize, ToSchema)]
pub(crate) struct Delivery {
    position: u64,
    /// 0 for the event itself, from 1 on for what became of audiences by it.
    part: u64,
    /// The number of the person, if it is about one.
    subject: Option<u32>,
    attempt: u32,
    at: String,
    milliseconds: u64,
    /// What the target answered.
    status: Option<u16>,
    /// What kind of failure it was.
    error: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveriesPage {
    items: Vec<Delivery>,
    paging: Paging,
}

/// What was given up.
#[derive(Serialize, ToSchema)]
pub(crate) struct GivenUp {
    position: u64,
    part: u64,
    subject: Option<u32>,
    attempts: u32,
    at: String,
    status: Option<u16>,
    error: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct GivenUpPage {
    items: Vec<GivenUp>,
    paging: Paging,
}

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Redelivered {
    from: u64,
}

impl Webhook {
    fn of(state: &ApiState, view: WebhookView) -> Self {
        let status = state.delivery.status(&view.id).unwrap_or_default();
        // One that has not begun stands where it was registered.
        let position = status.through.max(view.position);
        Self {
            url: view.url,
            types: view.types,
            audience_id: view.audience_id.map(Into::into),
            created_at: view.registered_at.to_rfc3339_millis(),
            position: position.0,
            behind: state.read_models.checkpoint().0.saturating_sub(position.0),
            pending: status.pending,
            failing: status.failing,
            dead_letters: status.dead_letters,
            id: view.id,
        }
    }

    fn new(id: String, registered: &WebhookRegistered, position: Position, at: Timestamp) -> Self {
        Self {
            id,
            url: registered.url.clone(),
            types: registered.types.clone(),
            audience_id: registered.audience_id.clone().map(Into::into),
            created_at: at.to_rfc3339_millis(),
            position: position.0,
            behind: 0,
            pending: 0,
            failing: 0,
            dead_letters: 0,
        }
    }
}

impl From<Attempt> for Delivery {
    fn from(attempt: Attempt) -> Self {
        Self {
            position: attempt.position.0,
            part: attempt.part,
            subject: attempt.subject,
            attempt: attempt.attempt,
            at: attempt.at.to_rfc3339_millis(),
            milliseconds: attempt.milliseconds,
            status: attempt.status,
            error: attempt.error,
        }
    }
}

impl From<DeadLetter> for GivenUp {
    fn from(letter: DeadLetter) -> Self {
        Self {
            position: letter.position.0,
            part: letter.part,
            subject: letter.subject,
            attempts: letter.attempts,
            at: letter.at.to_rfc3339_millis(),
            status: letter.status,
            error: letter.error,
        }
    }
}

/// `GET /v1/webhooks`: all of them, oldest first.
pub(crate) async fn list(State(state): State<ApiState>, _: Authenticated) -> Response {
    let all = state.read_models.webhooks.all().into_iter();
    json(&WebhooksPage {
        items: all.map(|view| Webhook::of(&state, view)).collect(),
        paging: Paging::new(false, || None),
    })
}

/// `GET /v1/webhooks/{webhook_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(WebhookId(id)): Id<WebhookId>,
) -> Result<Response, ApiError> {
    let view = there(&state, &id)?;
    Ok(json(&Webhook::of(&state, view)))
}

/// `POST /v1/webhooks`: from now on, what happens is told to this URL.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Extension(principal): Extension<Principal>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let url = body.required_text("url", URL_BYTES_MAX)?;
    let target = Target::parse(&url);
    let checked = target.and_then(|target| target.check(state.delivery.options()));
    checked.map_err(|error| ApiError::invalid_field("/url", error.to_string()))?;
    let types = types(&mut body)?;
    let audience_id: Option<AudienceId> = body.id("audience_id")?;
    if let Some(audience) = &audience_id {
        if state.read_models.audiences.definition(audience).is_none() {
            return Err(ApiError::audience_not_found().at("/audience_id"));
        }
        if !Topics::of(&types, None).tells_of_audiences() {
            let expected = "left out: no type is about audiences";
            return Err(ApiError::invalid_field("/audience_id", expected));
        }
    }
    // Whoever has others told what happens could have read it.
    match &principal.rights {
        Rights::Key(scopes) if scopes.allows(Scope::EventsRead) => {}
        Rights::Key(_) | Rights::Users(_) => {
            return Err(ApiError::scope_missing(Scope::EventsRead.name()));
        }
    }
    let registered = WebhookRegistered {
        url,
        types,
        audience_id,
    };
    let id = CommandId::generate(SystemClock.now()).to_string();
    let command = Command::Webhook {
        id: id.clone(),
        command: WebhookCommand::Register(registered.clone()),
    };
    let secret = state.delivery.secret(&id);
    let without = move |committed: &Committed| {
        Webhook::new(id, &registered, committed.position, committed.decided_at)
    };
    let whole = |shown| NewWebhook {
        shown,
        secret: Some(secret),
    };
    create_with_secret(&state, command, origin, without, whole).await
}

/// `DELETE /v1/webhooks/{webhook_id}`: nothing more is told to it.
pub(crate) async fn remove(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(WebhookId(id)): Id<WebhookId>,
) -> Result<Response, ApiError> {
    let command = Command::Webhook {
        id,
        command: WebhookCommand::Remove,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `GET /v1/webhooks/{webhook_id}/deliveries`: the last attempts, newest first.
pub(crate) async fn deliveries(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(WebhookId(id)): Id<WebhookId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    there(&state, &id)?;
    let limit = parameters.limit()?.rows();
    let before = parameters.place_checked(DELIVERIES)?;
    let before = before.map(|it| it.parse()).transpose();
    let before: Option<u64> = before.map_err(|_| ApiError::invalid_cursor())?;
    let mut attempts = state.delivery.attempts(&id, before, limit + 1);
    let more = attempts.len() > limit;
    attempts.truncate(limit);
    let last = attempts.last().map(|it| it.number.to_string());
    Ok(json(&DeliveriesPage {
        items: attempts.into_iter().map(Into::into).collect(),
        paging: Paging::new(more, || last.map(|last| cursor::encode(DELIVERIES, &last))),
    }))
}

/// `GET /v1/webhooks/{webhook_id}/dead-letters`: what was given up, oldest first.
pub(crate) async fn dead_letters(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(WebhookId(id)): Id<WebhookId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    there(&state, &id)?;
    let limit = parameters.limit()?.rows();
    let after = match parameters.place_checked(DEAD_LETTERS)? {
        None => StepPlace::default(),
        Some(place) => place_of(&place).ok_or_else(ApiError::invalid_cursor)?,
    };
    let mut letters = state.delivery.dead_letters(&id, after, limit + 1);
    let more = letters.len() > limit;
    letters.truncate(limit);
    let last = letters
        .last()
        .map(|it| format!("{}.{}", it.position, it.part));
    Ok(json(&GivenUpPage {
        items: letters.into_iter().map(Into::into).collect(),
        paging: Paging::new(more, || {
            last.map(|last| cursor::encode(DEAD_LETTERS, &last))
        }),
    }))
}

/// `POST /v1/webhooks/{webhook_id}/redeliver`: what happened at a position and since is told once more.
pub(crate) async fn redeliver(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(WebhookId(id)): Id<WebhookId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    const NAME: &str = "from";
    let head = state.read_models.checkpoint().0;
    let given = body.take(NAME).filter(|it| !it.is_null());
    let given = given.ok_or_else(|| ApiError::missing_field("/from"))?;
    let from = given.as_u64().filter(|from| (1..=head).contains(from));
    let from = from.ok_or_else(|| {
        ApiError::invalid_field("/from", "a position that the log has reached, from 1")
    })?;
    there(&state, &id)?;
    let command = Command::Webhook {
        id: id.clone(),
        command: WebhookCommand::Redeliver {
            from: Position(from),
        },
    };
    let answer = move |_: &Committed| kept(StatusCode::ACCEPTED, &Redelivered { from });
    let response = state.execute_once(command, origin, answer).await?;
    // Also when it was answered before: whoever asks again may do so because the first answer, or what was
    // to follow from it, got lost.
    let redelivered = state.delivery.redeliver(&id, Position(from)).await;
    redelivered.map_err(|_| ApiError::busy())?;
    Ok(response)
}

fn there(state: &ApiState, id: &str) -> Result<WebhookView, ApiError> {
    let view = state.read_models.webhooks.get(id);
    view.ok_or_else(ApiError::webhook_not_found)
}

fn types(body: &mut Fields) -> Result<Vec<String>, ApiError> {
    const NAME: &str = "types";
    let words = body.array(NAME, WEBHOOK_TYPES_MAX)?;
    let mut types = Vec::with_capacity(words.len());
    for (place, word) in words.iter().enumerate() {
        let word = word.as_str().filter(|word| word.len() <= NAME_BYTES_MAX);
        let known = word.filter(|word| Topics::is_known(word));
        types.push(known.map(str::to_owned).ok_or_else(|| {
            let expected = "a type of events, audiences:user:matched or audiences:user:unmatched, \
                            or the beginning of one and `*`";
            ApiError::invalid_field(&format!("/{NAME}/{place}"), expected)
        })?);
    }
    if types.is_empty() {
        return Err(ApiError::invalid_field("/types", "at least one type"));
    }
    Ok(types)
}

fn place_of(text: &str) -> Option<StepPlace> {
    let (position, part) = text.split_once('.')?;
    Some(StepPlace {
        position: Position(position.parse().ok()?),
        part: part.parse().ok()?,
    })
}
