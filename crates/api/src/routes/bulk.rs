use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::limits::{BULK_USERS_MAX, NAME_BYTES_MAX};
use engine::{Command, Committed, Outcome, Recipient};
use events::MessageTarget;
use projections::{BulkJobView, message_id_of};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use types::{Clock as _, MessageId, MessageStatus, SubjectId, SystemClock, Timestamp, new_type_id};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::routes::send::{message, message_of, new_id, person};
use crate::routes::{Paging, json, kept, kept_no_content};
use crate::state::ApiState;

const COLLECTION: &str = "users of a bulk job";
/// People whom one command gathers.
const PIECE: usize = 1_000;

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Created {
    #[serde(rename = "jobId")]
    job_id: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Ingested {
    /// How many joined.
    total: usize,
    /// Who did not, and why.
    errors: Vec<NotIngested>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct NotIngested {
    error: String,
    #[schema(value_type = Object)]
    user: Value,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    job: Job,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Job {
    #[schema(value_type = Object)]
    definition: Value,
    /// How many people were gathered.
    received: u64,
    /// To how many a message was made.
    enqueued: u64,
    /// To how many it did not get.
    failures: u64,
    /// CREATED, PROCESSING or COMPLETED.
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct UsersPage {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    paging: Paging,
}

/// `POST /bulk`: people can be gathered for a message.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let mut given = message_of(&mut body)?;
    let event = given.text("event", NAME_BYTES_MAX)?;
    let mut definition = given.take_all();
    // Courier's older SDKs put the message as it is sent into the message.
    let nested = definition.get("message").and_then(Value::as_object);
    let (mut inner, pointer) = if let Some(nested) = nested {
        (nested.clone(), "/message/message")
    } else {
        let mut inner = definition.clone();
        if let Some(brand) = inner.remove("brand") {
            inner.insert("brand_id".to_owned(), brand);
        }
        (inner, "/message")
    };
    for name in ["to", "delay", "expiry"] {
        inner.remove(name);
    }
    let template = inner.get("template").filter(|it| !it.is_null());
    let named = template.and_then(Value::as_str).map(str::to_owned);
    let event = event.or(named);
    let is_written_out = inner.get("content").is_some_and(Value::is_object);
    if template.is_none() && !is_written_out {
        let event = event.clone();
        let event = event.ok_or_else(|| ApiError::missing_field("/message/event"))?;
        inner.insert("template".to_owned(), event.into());
    }
    let event = event.unwrap_or_default();
    let metadata = inner.entry("metadata").or_insert_with(|| value!({}));
    if let Value::Object(metadata) = metadata
        && !event.is_empty()
    {
        metadata
            .entry("event")
            .or_insert_with(|| event.as_str().into());
    }
    let (document, _) = message(inner, pointer)?;
    definition.insert("event".to_owned(), event.into());
    let job = new_id(SystemClock.now());
    let job_id = job.as_str().to_owned();
    let command = Command::CreateBulkJob {
        job,
        message: document,
        definition: definition.into(),
    };
    let answer = move |_: &Committed| kept(StatusCode::CREATED, &Created { job_id });
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `POST /bulk/{job_id}`: people join, until it runs.
pub(crate) async fn ingest(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(job): Id<MessageId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let now = SystemClock.now();
    there(&state, &job)?;
    let rows = body.array("users", BULK_USERS_MAX)?;
    let mut users = Vec::with_capacity(rows.len());
    let mut places = Vec::with_capacity(rows.len());
    let mut errors = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        let fields = Fields::of(row.clone(), format!("/users/{place}"));
        match fields.and_then(|fields| user(fields, now)) {
            Ok(user) => {
                users.push(user);
                places.push(place);
            }
            Err(error) => errors.push((place, error.message().to_owned())),
        }
    }
    let mut total = users.len();
    let note = move |committed: &Committed, places: &[usize]| {
        let Outcome::Duplicates(duplicates) = &committed.outcome else {
            return Vec::new();
        };
        let duplicates = duplicates.iter().filter_map(|it| places.get(*it).copied());
        let errors = duplicates.map(|it| (it, "Duplicate user".to_owned()));
        errors.collect::<Vec<_>>()
    };
    let mut left = users.into_iter();
    let mut places = places
        .chunks(PIECE)
        .map(<[usize]>::to_vec)
        .collect::<Vec<_>>();
    let last = places.pop().unwrap_or_default();
    for places in places {
        let command = Command::IngestUsers {
            job: job.clone(),
            users: left.by_ref().take(PIECE).collect(),
        };
        let committed = state.execute(command, origin.clone()).await?;
        let found = note(&committed, &places);
        total -= found.len();
        errors.extend(found);
    }
    let command = Command::IngestUsers {
        job,
        users: left.collect(),
    };
    let answer = move |committed: &Committed| {
        let found = note(committed, &last);
        total -= found.len();
        errors.extend(found);
        errors.sort_unstable();
        let errors = errors.into_iter().map(|(place, error)| NotIngested {
            error,
            user: rows[place].clone(),
        });
        let errors = errors.collect();
        kept(StatusCode::OK, &Ingested { total, errors })
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// One person of a bulk job: Courier's `InboundBulkMessageUser`.
fn user(mut fields: Fields, now: Timestamp) -> Result<Recipient, ApiError> {
    let mut members = fields.take_all();
    let pointer = fields.pointer("");
    let mut to = match members.remove("to") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(to)) => to,
        Some(_) => {
            return Err(ApiError::invalid_field(
                &format!("{pointer}to"),
                "an object",
            ));
        }
    };
    let recipient = members.remove("recipient").filter(|it| !it.is_null());
    if let Some(recipient) = recipient {
        to.insert("user_id".to_owned(), recipient);
    }
    if to.get("user_id").is_none_or(Value::is_null) {
        let id = members.remove("user_id").filter(|it| !it.is_null());
        let id = id.unwrap_or_else(|| new_type_id("anon", now).into());
        to.insert("user_id".to_owned(), id);
    }
    for name in ["profile", "data", "preferences"] {
        match (members.remove(name), to.get_mut(name)) {
            (None | Some(Value::Null), _) => {}
            (Some(Value::Object(given)), Some(Value::Object(held))) => {
                types::merge_patch(held, given);
            }
            (Some(given), _) => drop(to.insert(name.to_owned(), given)),
        }
    }
    let pointer = pointer.trim_end_matches('/').to_owned();
    let mut recipient = person(Fields::of(Value::Object(to), pointer)?, now)?;
    if recipient.user_id.as_str().starts_with("anon_") {
        recipient.profile = None;
    }
    Ok(recipient)
}

/// `POST /bulk/{job_id}/run`: everybody who was gathered is told, once.
pub(crate) async fn run(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(job): Id<MessageId>,
) -> Result<Response, ApiError> {
    let command = Command::RunBulkJob { job };
    Ok(state.execute_once(command, origin, kept_no_content).await?)
}

fn there(state: &ApiState, job: &MessageId) -> Result<BulkJobView, ApiError> {
    let job = state.read_models.bulk_jobs.get(job);
    job.ok_or_else(ApiError::bulk_job_not_found)
}

/// `GET /bulk/{job_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(job): Id<MessageId>,
) -> Result<Response, ApiError> {
    let view = there(&state, &job)?;
    let request = state.read_models.messages.request(job.as_str());
    let progress = request.as_ref().map(|it| &it.progress);
    let settled = progress.map_or(0, |it| it.done);
    let sent = progress.into_iter().flat_map(|it| &it.by_status);
    let sent = sent.filter(|((status, _), _)| has_gone(*status));
    let sent: u64 = sent.map(|(_, count)| count).sum();
    Ok(json(&JobAnswer {
        job: Job {
            definition: view.definition.to_value(),
            received: view.people,
            enqueued: request.as_ref().map_or(0, |it| it.progress.people),
            failures: settled - sent.min(settled),
            status: match request {
                None => "CREATED",
                Some(request) if request.is_active => "PROCESSING",
                Some(_) => "COMPLETED",
            },
        },
    }))
}

/// `GET /bulk/{job_id}/users`: in the order of their numbers.
pub(crate) async fn users(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(job): Id<MessageId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    there(&state, &job)?;
    let limit = parameters.limit_clamped().rows();
    let after = parameters.place(COLLECTION);
    let after = after.and_then(|it| it.parse().ok()).map(SubjectId);
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let jobs = &state.read_models.bulk_jobs;
        let (subjects, more) = jobs.page(&job, after, limit);
        let last = subjects.last().copied();
        let items = subjects.into_iter().map(|it| shown(state, &job, it));
        let items = items.collect::<Result<Vec<_>, ApiError>>()?;
        let paging = Paging::new(more, || {
            Some(cursor::encode(COLLECTION, &last?.to_string()))
        });
        Ok(json(&UsersPage { items, paging }))
    };
    state.scan(answer).await?
}

fn shown(state: &ApiState, job: &MessageId, subject: SubjectId) -> Result<Value, ApiError> {
    let models = &state.read_models;
    let target = MessageTarget::Bulk { job: job.clone() };
    let given = sending::given_in_bulk(&state.history, models, &target, subject)?;
    let mut shown = given.to_document().to_object();
    shown.insert(
        "recipient".to_owned(),
        models.subjects.shown(subject).into(),
    );
    let message = models.messages.to_person(job.as_str(), subject);
    let status = match &message {
        None => "PENDING",
        Some(view) if view.settled.is_some() && !has_gone(view.status) => "ERROR",
        Some(_) => "ENQUEUED",
    };
    shown.insert("status".to_owned(), status.into());
    if message.is_some() {
        let id = message_id_of(job, subject);
        shown.insert("messageId".to_owned(), id.into());
    }
    Ok(shown.into())
}

fn has_gone(status: MessageStatus) -> bool {
    matches!(
        status,
        MessageStatus::Sent
            | MessageStatus::Delivered
            | MessageStatus::Opened
            | MessageStatus::Clicked
    )
}
