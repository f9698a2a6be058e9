use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use domain::limits::INBOX_MARKS_MAX;
use engine::{Command, Committed, InboxSelection, Outcome};
use events::{Event, InboxEvent};
use projections::{InboxFilter, InboxMessage};
use serde::Serialize;
use serde_json::{Value, json as value};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use types::{InboxMark, MessageId, Position, SubjectId, TenantId, Timestamp, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, Ids, MessageRef};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::events::stream::{Pieces, credential_ended};
use crate::routes::{Paging, json, kept};
use crate::state::ApiState;

const COLLECTION: &str = "inbox";
/// So often something is sent, whether anything happened or not.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Messages that are sent in one go.
const AT_ONCE: usize = 100;

/// A message in the inbox.
#[derive(Serialize, ToSchema)]
pub(crate) struct Item {
    message_id: String,
    tenant_id: Option<String>,
    title: Option<String>,
    body: Option<String>,
    image: Option<String>,
    /// Each with `content` and `href`.
    #[schema(value_type = Vec<Object>)]
    actions: Vec<Value>,
    #[schema(value_type = Object)]
    data: Value,
    received_at: String,
    opened_at: Option<String>,
    read_at: Option<String>,
    archived_at: Option<String>,
    clicked_at: Option<String>,
    /// Of the event by which it came.
    position: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct InboxPage {
    items: Vec<Item>,
    /// Messages that are neither read nor archived.
    unread: usize,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Unread {
    unread: usize,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Marked {
    /// How many messages it changed.
    changed: usize,
}

/// The tenant whose messages are meant; of all unless given, which a restricted key may not mean.
fn tenant_of(parameters: &Parameters, reach: &Reach) -> Result<Option<TenantId>, ApiError> {
    let tenant: Option<TenantId> = parameters.id("tenant_id")?;
    if tenant.is_none() && reach.tenant().is_some() {
        return Err(ApiError::key_restricted());
    }
    Ok(tenant)
}

fn subject_of(state: &ApiState, user_id: &UserId) -> Option<SubjectId> {
    state.read_models.subjects.number(user_id.as_str())
}

/// The request of a message, by the id that is shown of the message to this person, or by its own.
fn request_of(state: &ApiState, subject: SubjectId, id: &str) -> String {
    let messages = &state.read_models.messages;
    let shared = id.strip_suffix(&format!("-{subject}"));
    let shared = shared.filter(|it| messages.to_person(it, subject).is_some());
    shared.unwrap_or(id).to_owned()
}

fn item(
    state: &ApiState,
    subject: SubjectId,
    position: Position,
    held: InboxMessage,
) -> Result<Item, ApiError> {
    let message = state
        .read_models
        .messages
        .to_person(held.message.as_str(), subject);
    let envelope = state.history.envelope(position)?;
    let content = match envelope.map(|it| it.event) {
        Some(Event::Inbox(InboxEvent::Received(received))) => received.content.known().cloned(),
        Some(_) | None => None,
    };
    let content = content.map(|it| it.to_value()).unwrap_or_default();
    let text = |name: &str| content.get(name)?.as_str().map(str::to_owned);
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339_millis);
    let actions = content.get("actions").and_then(Value::as_array);
    Ok(Item {
        message_id: message.map_or_else(|| held.message.into(), |it| it.shown_id()),
        tenant_id: held.tenant.map(Into::into),
        title: text("title"),
        body: text("body"),
        image: text("image"),
        actions: actions.cloned().unwrap_or_default(),
        data: content.get("data").cloned().unwrap_or_else(|| value!({})),
        received_at: held.received_at.to_rfc3339_millis(),
        opened_at: time(held.opened_at),
        read_at: time(held.read_at),
        archived_at: time(held.archived_at),
        clicked_at: time(held.clicked_at),
        position: position.0,
    })
}

/// `GET /v1/users/{user_id}/inbox`: newest first; without those that are archived unless asked for.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?.rows();
    let before = parameters.place_checked(COLLECTION)?;
    let before = before.map(|it| it.parse().map(Position));
    let before = before.transpose().map_err(|_| ApiError::invalid_cursor())?;
    let tenant = tenant_of(&parameters, &reach)?;
    let filter = InboxFilter {
        tenant: tenant.clone(),
        read: parameters.parsed("read", "true or false")?,
        archived: Some(
            parameters
                .parsed("archived", "true or false")?
                .unwrap_or(false),
        ),
    };
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let subject = subject_of(state, &user_id);
        let inboxes = &state.read_models.inboxes;
        let found = subject.map(|it| (it, inboxes.page(it, &filter, before, limit)));
        let (who, (found, more)) = found.unwrap_or_default();
        let last = found.last().map(|(position, _)| *position);
        let items = found
            .into_iter()
            .map(|(at, held)| item(state, who, at, held));
        Ok(json(&InboxPage {
            items: items.collect::<Result<_, ApiError>>()?,
            unread: subject.map_or(0, |it| inboxes.unread_count(it, tenant.as_ref())),
            paging: Paging::new(more, || {
                Some(cursor::encode(COLLECTION, &last?.to_string()))
            }),
        }))
    };
    state.scan(answer).await?
}

/// `GET /v1/users/{user_id}/inbox/unread`: how many messages are neither read nor archived.
pub(crate) async fn unread(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&parameters, &reach)?;
    let subject = subject_of(&state, &user_id);
    let inboxes = &state.read_models.inboxes;
    let unread = subject.map_or(0, |it| inboxes.unread_count(it, tenant.as_ref()));
    Ok(json(&Unread { unread }))
}

/// `POST /v1/users/{user_id}/inbox/marks`: what the person did with messages, or with all of them.
pub(crate) async fn mark_many(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    reach: Reach,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&parameters, &reach)?;
    let mark = body.named("mark", InboxMark::parse, InboxMark::NAMES)?;
    let mark = mark.ok_or_else(|| ApiError::missing_field("/mark"))?;
    let subject = subject_of(&state, &user_id);
    let all = body.boolean("all")?.unwrap_or_default();
    let messages = if body.is_given("message_ids") {
        let pointer = body.pointer("message_ids");
        let ids = body.array("message_ids", INBOX_MARKS_MAX)?;
        let id = |(place, id): (usize, &Value)| {
            let id = id.as_str().and_then(|it| {
                let request =
                    subject.map_or_else(|| it.to_owned(), |who| request_of(&state, who, it));
                MessageId::parse(&request).ok()
            });
            id.ok_or_else(|| ApiError::invalid_field(&format!("{pointer}/{place}"), "a message id"))
        };
        let ids = ids.iter().enumerate().map(id).collect::<Result<_, _>>()?;
        InboxSelection::These { ids, tenant }
    } else if all {
        InboxSelection::All { tenant }
    } else {
        return Err(ApiError::missing_field("/message_ids"));
    };
    let command = Command::MarkInbox {
        user_id,
        mark,
        messages,
    };
    let answer = |committed: &Committed| {
        let changed = changed(&committed.outcome);
        kept(StatusCode::OK, &Marked { changed })
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

fn changed(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Marked(changed) => *changed,
        Outcome::Done
        | Outcome::Choices(_)
        | Outcome::Users(_)
        | Outcome::Removed(_)
        | Outcome::Duplicates(_) => 0,
    }
}

/// `GET /v1/users/{user_id}/inbox/messages/{message_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(user_id, MessageRef(id)): Ids<UserId, MessageRef>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&parameters, &reach)?;
    let subject = subject_of(&state, &user_id);
    let subject = subject.ok_or_else(ApiError::message_not_found)?;
    let id = request_of(&state, subject, &id);
    let found = state.read_models.inboxes.get(subject, &id);
    let found = found.filter(|(_, held)| tenant.is_none() || held.tenant == tenant);
    let (position, held) = found.ok_or_else(ApiError::message_not_found)?;
    Ok(json(&item(&state, subject, position, held)?))
}

/// `GET /v1/users/{user_id}/inbox/stream`: messages as they come, and how many are not read, as
/// Server-Sent Events.
pub(crate) async fn follow(
    State(state): State<ApiState>,
    axum::Extension(principal): axum::Extension<auth::Principal>,
    headers: axum::http::HeaderMap,
    Id(user_id): Id<UserId>,
    reach: Reach,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    for name in ["read", "archived", "limit", "cursor"] {
        if parameters.get(name).is_some() {
            let expected = "left out: a stream goes on for ever, oldest first";
            return Err(ApiError::invalid_parameter(name, expected));
        }
    }
    let tenant = tenant_of(&parameters, &reach)?;
    let head = state.read_models.checkpoint();
    let last = headers.get("last-event-id");
    let last = last.and_then(|it| it.to_str().ok()?.parse().ok());
    let room = Arc::clone(&state.streams).try_acquire_owned();
    let room = room.map_err(|_| ApiError::busy())?;
    let (sender, pieces) = mpsc::channel(1);
    let following = Following {
        after: last.map_or(head, Position).min(head),
        state: state.clone(),
        sender,
        user_id,
        tenant,
        unread: None,
        seen: None,
    };
    tokio::spawn(async move {
        let _room = room;
        let mut stopping = state.stopping.clone();
        let gone = following.sender.clone();
        tokio::select! {
            () = gone.closed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = credential_ended(&state, &headers, &principal) => {}
            () = following.run() => {}
        }
    });
    let headers = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    )];
    Ok((headers, Body::new(Pieces(pieces))).into_response())
}

struct Following {
    state: ApiState,
    sender: mpsc::Sender<Bytes>,
    user_id: UserId,
    tenant: Option<TenantId>,
    /// Everything that came up to here was told.
    after: Position,
    /// As it was told last.
    unread: Option<usize>,
    /// Of which everything was told.
    seen: Option<Revision>,
}

/// Whose inbox it is, and how often it has changed; nothing as long as nobody is known by the id.
type Revision = Option<(SubjectId, u64)>;

impl Following {
    async fn run(mut self) {
        let mut progress = self.state.engine.progress();
        let begin = Bytes::from_static(b"retry: 1000\n\n");
        if self.sender.send(begin).await.is_err() {
            return;
        }
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        loop {
            progress.mark_unchanged();
            // Most of what happens is of others, and there may be many who listen.
            if let Some(revision) = self.news() {
                let Ok(turn) = Arc::clone(&self.state.stream_turns).acquire_owned().await else {
                    return;
                };
                // The log is read for what a message says.
                let reading = tokio::task::spawn_blocking(move || {
                    let piece = self.piece();
                    drop(turn);
                    (self, piece)
                });
                let Ok((following, Ok((piece, is_full)))) = reading.await else {
                    return;
                };
                self = following;
                if !piece.is_empty() {
                    if self.sender.send(piece.into()).await.is_err() {
                        return;
                    }
                    heartbeat.reset();
                }
                if is_full {
                    continue;
                }
                self.seen = Some(revision);
            }
            tokio::select! {
                changed = progress.changed() => if changed.is_err() {
                    return;
                },
                _ = heartbeat.tick() => {
                    let beat = Bytes::from_static(b": heartbeat\n\n");
                    if self.sender.send(beat).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What the inbox is like now, where that is not what was told.
    fn news(&self) -> Option<Revision> {
        let subject = subject_of(&self.state, &self.user_id);
        let inboxes = &self.state.read_models.inboxes;
        let revision = subject.map(|it| (it, inboxes.revision(it)));
        (self.seen != Some(revision)).then_some(revision)
    }

    /// What came since, oldest first, and how many are unread if that has changed; and whether there may be
    /// more.
    fn piece(&mut self) -> Result<(String, bool), ApiError> {
        let Some(subject) = subject_of(&self.state, &self.user_id) else {
            return Ok((String::new(), false));
        };
        let inboxes = &self.state.read_models.inboxes;
        let filter = InboxFilter {
            tenant: self.tenant.clone(),
            ..InboxFilter::default()
        };
        let mut piece = String::new();
        let new = inboxes.since(subject, &filter, self.after, AT_ONCE);
        let is_full = new.len() == AT_ONCE;
        for (position, held) in new {
            self.after = position;
            let item = item(&self.state, subject, position, held)?;
            let item = serde_json::to_string(&item).expect("an answer is plain data");
            let _ = write!(piece, "id: {position}\nevent: message\ndata: {item}\n\n");
        }
        let unread = inboxes.unread_count(subject, self.tenant.as_ref());
        if self.unread != Some(unread) {
            self.unread = Some(unread);
            let data = value!({"unread": unread});
            let _ = write!(piece, "event: unread\ndata: {data}\n\n");
        }
        Ok((piece, is_full))
    }
}
