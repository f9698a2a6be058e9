use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::MessageRefusal;
use engine::{Command, Committed, ExecuteError, NewMessage, NewTarget, Recipient, Refusal};
use events::{Event, MessageEvent, MessageOutcome, MessageTarget};
use projections::{Given, MessageFilter, MessagePlace, MessageView, RequestView, WantedRecipient};
use sending::{Asked, CancelError, Evaluation, Evaluator, Spec};
use serde::Serialize;
use serde_json::{Value, json as value};
use types::filter::Moment;
use types::{
    Clock as _, MessageId, MessageReason, MessageStatus, Position, SubjectId, SystemClock,
    Timestamp, UserId,
};
use utoipa::ToSchema;

use crate::as_of::AsOf;
use crate::cursor;
use crate::error::ApiError;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::{Id, MessageRef};
use crate::extract::query::Parameters;
use crate::routes::resolve::{ChannelUse, Problem, problem_name};
use crate::routes::send::new_id;
use crate::routes::{Paging, json, kept};
use crate::state::ApiState;

const COLLECTION: &str = "messages";

/// Courier's `MessageDetails`, and a little more. Times are milliseconds since 1970.
#[derive(Serialize, ToSchema)]
pub(crate) struct Message {
    id: String,
    status: &'static str,
    enqueued: u64,
    event: String,
    notification: String,
    /// The user id; empty where a request leads to nobody.
    recipient: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clicked: Option<u64>,
    #[serde(rename = "canceledAt", skip_serializing_if = "Option::is_none")]
    canceled_at: Option<u64>,
    #[serde(rename = "delayedUntil", skip_serializing_if = "Option::is_none")]
    delayed_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// What decided it, in one word or so; of one message only.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(rename = "requestId")]
    request_id: String,
    #[serde(rename = "accountId", skip_serializing_if = "Option::is_none")]
    account_id: Option<String>,
    #[serde(rename = "listId", skip_serializing_if = "Option::is_none")]
    list_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(rename = "traceId", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    providers: Option<Vec<Value>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MessagesPage {
    results: Vec<Message>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    #[schema(value_type = Vec<Object>)]
    results: Vec<Value>,
}

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Resent {
    #[serde(rename = "messageId")]
    message_id: String,
}

/// A call to send.
#[derive(Serialize, ToSchema)]
pub(crate) struct RequestDetails {
    request_id: String,
    accepted_at: String,
    delayed_until: Option<String>,
    expires_at: Option<String>,
    canceled_at: Option<String>,
    archived: bool,
    /// Whether it is known whom it is for.
    resolved: bool,
    /// Whether it is known for everybody what became of it.
    done: bool,
    people: u64,
    settled: u64,
    counts: Vec<StatusCount>,
    problems: Vec<Problem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct StatusCount {
    status: &'static str,
    reason: Option<&'static str>,
    count: u64,
}

/// Why a message reached a person, or did not.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageExplanation {
    message_id: String,
    user_id: String,
    /// Whether the message is for the person at all.
    addressed: bool,
    /// Place in `to` of the recipient through which the person is reached, from 0.
    recipient: Option<u32>,
    status: Option<&'static str>,
    reason: Option<&'static str>,
    /// What decided it, in one word or so.
    because: Option<String>,
    tenant_id: Option<String>,
    channels: Vec<ChannelUse>,
    /// The state that decided: as of this position, at this time. Ask with `as_of` for more.
    as_of: Option<u64>,
    decided_at: Option<String>,
    delayed_until: Option<String>,
}

fn milliseconds(at: Timestamp) -> u64 {
    at.0 / 1_000_000
}

impl Message {
    fn of(state: &ApiState, view: MessageView) -> Self {
        let settled_at = view.settled.map(|(_, at)| milliseconds(at));
        let has_gone = matches!(
            view.status,
            MessageStatus::Sent
                | MessageStatus::Delivered
                | MessageStatus::Opened
                | MessageStatus::Clicked
        );
        let has_arrived = has_gone && view.status != MessageStatus::Sent;
        let subjects = &state.read_models.subjects;
        let template = view.template.clone().unwrap_or_default();
        Self {
            id: view.shown_id(),
            status: view.status.name(),
            enqueued: milliseconds(view.enqueued_at),
            event: view.event.unwrap_or_else(|| template.clone()),
            notification: template,
            recipient: view
                .subject
                .map(|it| subjects.shown(it))
                .unwrap_or_default(),
            sent: settled_at.filter(|_| has_gone),
            delivered: settled_at.filter(|_| has_arrived),
            opened: view.opened_at.map(milliseconds),
            clicked: view.clicked_at.map(milliseconds),
            canceled_at: view.canceled_at.map(milliseconds),
            delayed_until: view
                .delayed_until
                .filter(|_| view.status == MessageStatus::Delayed)
                .map(milliseconds),
            reason: view.reason.map(MessageReason::name),
            error: None,
            request_id: view.request.into(),
            account_id: view.tenant.map(Into::into),
            list_id: view.list.map(Into::into),
            channel: view.channel.map(types::Channel::name),
            tags: view.tags,
            trace_id: view.trace_id,
            providers: None,
        }
    }

    /// With what the log says of how it went.
    fn with_outcome(mut self, outcome: Option<(MessageOutcome, Option<String>)>) -> Self {
        let Some((outcome, receipt)) = outcome else {
            return self;
        };
        let has_failed = outcome.reason.is_some() || outcome.status == MessageStatus::Unmapped;
        let providers = outcome.channels.iter().filter_map(|channel| {
            let provider = channel.provider.as_deref()?;
            Some(value!({
                "channel": {"name": channel.channel},
                "provider": provider,
                "status": if channel.used { "SENT" } else { "UNDELIVERABLE" },
                "error": (!channel.used).then_some(&channel.because),
                "attempts": channel.attempts,
                "reference": channel.used.then_some(&receipt),
            }))
        });
        self.providers = Some(providers.collect());
        self.error = has_failed.then_some(outcome.because);
        self
    }
}

/// What became of a message for somebody, as the log has it, and by what the provider knows it.
fn outcome(
    state: &ApiState,
    at: Position,
    subject: SubjectId,
) -> Result<Option<(MessageOutcome, Option<String>)>, ApiError> {
    let Some(envelope) = state.history.envelope(at)? else {
        return Ok(None);
    };
    // The event by which somebody was erased says what became of whatever was still to be told to them.
    if matches!(envelope.event, Event::Subject(_)) {
        let at = (envelope.position, envelope.recorded_at);
        return Ok(Some((erased(at), None)));
    }
    let Event::Message(MessageEvent::Settled(settled)) = envelope.event else {
        return Ok(None);
    };
    let place = envelope.subjects.iter().position(|it| *it == subject);
    let Some(place) = place else { return Ok(None) };
    let mut end = 0;
    let outcome = settled.outcomes.into_iter().find(|(_, count)| {
        end += *count as usize;
        place < end
    });
    let receipt = settled
        .receipts
        .iter()
        .find(|it| it.place as usize == place);
    let receipt = receipt.and_then(|it| it.value.known().cloned());
    Ok(outcome.map(|(outcome, _)| (outcome, receipt)))
}

fn erased((planned, planned_at): (Position, Timestamp)) -> MessageOutcome {
    MessageOutcome {
        status: MessageStatus::Undeliverable,
        reason: Some(MessageReason::Failed),
        because: "erased".to_owned(),
        tenant: None,
        channels: vec![],
        planned,
        planned_at,
        delayed_until: None,
    }
}

fn outcome_of(
    state: &ApiState,
    view: &MessageView,
) -> Result<Option<(MessageOutcome, Option<String>)>, ApiError> {
    let at = view.settled.map(|(position, _)| position);
    match (at.or(view.delayed_by), view.subject) {
        (Some(position), Some(subject)) => outcome(state, position, subject),
        _ => Ok(None),
    }
}

fn there(state: &ApiState, id: &str) -> Result<MessageView, ApiError> {
    let view = state.read_models.messages.message(id);
    view.ok_or_else(ApiError::message_not_found)
}

/// `GET /messages`: newest first. What cannot be understood narrows nothing.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit_clamped().rows();
    let after = parameters.place(COLLECTION).and_then(|it| place_of(&it));
    let filter = filter(&state, &parameters);
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let (views, next) = state.read_models.messages.page(&filter, after, limit);
        let results = views.into_iter().map(|view| Message::of(state, view));
        json(&MessagesPage {
            results: results.collect(),
            paging: Paging::new(next.is_some(), || {
                let next = next?;
                let place = format!("{}.{}", next.accepted, next.subject);
                Some(cursor::encode(COLLECTION, &place))
            }),
        })
    };
    state.scan(answer).await
}

fn filter(state: &ApiState, parameters: &Parameters) -> MessageFilter {
    let text = |name: &str| parameters.get(name).map(str::to_owned);
    let several = |name: &str| {
        let given = parameters.all(name).flat_map(|it| it.split(','));
        let given = given.filter(|it| !it.is_empty()).map(str::to_owned);
        given.collect::<Vec<_>>()
    };
    let recipient = parameters.get("recipient").map(|user| {
        let subject = state.read_models.subjects.named(user);
        subject.map_or(WantedRecipient::Nobody, WantedRecipient::Person)
    });
    let after = parameters.get("enqueued_after");
    let after = after.and_then(|it| match it.parse::<u64>() {
        Ok(milliseconds) => Some(Timestamp(milliseconds.saturating_mul(1_000_000))),
        Err(_) => Moment::parse_or_utc(it).map(Moment::to_timestamp),
    });
    MessageFilter {
        archived: parameters.get("archived").and_then(|it| it.parse().ok()),
        enqueued_after: after,
        event: text("event"),
        list: text("list"),
        message: text("messageId"),
        template: text("notification"),
        providers: several("provider"),
        recipient,
        statuses: several("status"),
        tags: [several("tag"), several("tags")].concat(),
        tenant: text("tenant_id"),
        trace_id: text("traceId"),
    }
}

fn place_of(text: &str) -> Option<MessagePlace> {
    let (accepted, subject) = text.split_once('.')?;
    Some(MessagePlace {
        accepted: Position(accepted.parse().ok()?),
        subject: SubjectId(subject.parse().ok()?),
    })
}

/// `GET /messages/{message_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let view = there(&state, &id)?;
    let outcome = outcome_of(&state, &view)?;
    Ok(json(&Message::of(&state, view).with_outcome(outcome)))
}

/// `GET /messages/{message_id}/history`: what happened to it, oldest first.
pub(crate) async fn history(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(MessageRef(id)): Id<MessageRef>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let view = there(&state, &id)?;
    let outcome = outcome_of(&state, &view)?;
    let entry = |kind: &str, at: Timestamp| value!({"type": kind, "ts": milliseconds(at)});
    let mut results = vec![entry("ENQUEUED", view.enqueued_at)];
    if let Some((outcome, receipt)) = outcome {
        let at = view.settled.map_or(outcome.planned_at, |(_, at)| at);
        let mut mapped = entry("MAPPED", outcome.planned_at);
        mapped["notification_id"] = view.template.clone().unwrap_or_default().into();
        results.push(mapped);
        results.push(entry("PROFILE_LOADED", outcome.planned_at));
        for channel in &outcome.channels {
            let Some(provider) = &channel.provider else {
                continue;
            };
            let kind = if channel.used {
                "SENT"
            } else {
                "UNDELIVERABLE"
            };
            let mut entry = entry(kind, at);
            entry["channel"] = channel.channel.as_str().into();
            entry["provider"] = provider.as_str().into();
            entry["attempts"] = channel.attempts.into();
            if channel.used {
                entry["reference"] = value!(receipt);
            } else {
                entry["error"] = channel.because.as_str().into();
            }
            results.push(entry);
        }
        let mut last = entry(outcome.status.name(), at);
        last["reason"] = value!(outcome.reason.map(MessageReason::name));
        last["because"] = outcome.because.into();
        let is_told = outcome.status == MessageStatus::Sent;
        results.extend((!is_told).then_some(last));
    }
    let later = [
        ("CANCELED", view.canceled_at),
        ("OPENED", view.opened_at),
        ("CLICKED", view.clicked_at),
    ];
    results.extend(
        later
            .into_iter()
            .filter_map(|(kind, at)| Some(entry(kind, at?))),
    );
    if let Some(kind) = parameters.get("type") {
        results.retain(|it| it["type"] == kind);
    }
    Ok(json(&HistoryPage { results }))
}

/// `GET /messages/{message_id}/output`: what it said, written once more from the state as of which it was
/// decided; nothing of somebody who is erased, and nothing before anything was told.
pub(crate) async fn output(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let view = there(&state, &id)?;
    let (Some(subject), Some((outcome, _))) = (view.subject, outcome_of(&state, &view)?) else {
        return Ok(json(&HistoryPage { results: vec![] }));
    };
    let Ok(spec) = state.sending.spec(view.accepted).await else {
        return Ok(json(&HistoryPage { results: vec![] }));
    };
    let moment = state.moment(AsOf::Position(outcome.planned)).await?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let results = written(state, &moment.state, &spec, &view, subject, &outcome);
        results.map(|results| json(&HistoryPage { results }))
    };
    state.scan(answer).await?
}

/// What was given for somebody in the message, or in the bulk job.
fn given(state: &ApiState, target: &MessageTarget, subject: SubjectId) -> Result<Given, ApiError> {
    let in_bulk = || {
        let (history, models) = (&state.history, &state.read_models);
        sending::given_in_bulk(history, models, target, subject).map_err(ApiError::from)
    };
    Spec::given_by(target).map_or_else(in_bulk, Ok)
}

fn written(
    state: &ApiState,
    past: &ApiState,
    spec: &Spec,
    view: &MessageView,
    subject: SubjectId,
    outcome: &MessageOutcome,
) -> Result<Vec<Value>, ApiError> {
    let reached = state.read_models.messages.reached(view.accepted, subject);
    let target = reached
        .as_ref()
        .and_then(|it| spec.targets.get(it.target as usize));
    let (Some(reached), Some(target)) = (&reached, target) else {
        return Ok(vec![]);
    };
    let given = given(state, target, subject)?;
    let evaluator = Evaluator {
        spec,
        read_models: &past.read_models,
        tenant_levels: state.tenant_levels,
        at: outcome.planned_at,
        writing: state.sending.writing(),
        providers: state.sending.providers(),
    };
    let message_id = view.shown_id();
    let evaluation = evaluator.evaluate(Asked {
        subject: Some(subject),
        target,
        tenant: reached.tenant.as_ref(),
        given: &given,
        message_id: &message_id,
    });
    let Evaluation::Send(prepared) = evaluation else {
        return Ok(vec![]);
    };
    let told = |name: &str| {
        let mut channels = outcome.channels.iter();
        channels.any(|it| it.channel == name && it.used)
    };
    let mut results = Vec::new();
    for channel in prepared.route.channels() {
        let name = channel.plan.name.as_str();
        let Ok(content) = &channel.content else {
            continue;
        };
        if !told(name) {
            continue;
        }
        let mut blocks = vec![value!({"type": "text", "text": content.text})];
        blocks.extend(
            content.actions.iter().map(
                |action| value!({"type": "action", "text": action.label, "href": action.href}),
            ),
        );
        let title = content.title.clone().unwrap_or_default();
        let kind = channel.plan.channel.map(types::Channel::name);
        let kind: &str = kind.unwrap_or(name);
        results.push(value!({
            "channel": kind,
            "channel_id": name,
            "content": {
                "blocks": blocks,
                "body": content.text,
                "html": content.html.clone().unwrap_or_default(),
                "subject": title,
                "text": content.text,
                "title": title,
            },
        }));
    }
    Ok(results)
}

/// `POST /messages/{message_id}/cancel`: it does not go out any more, if it has not.
pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let (request, accepted, person) =
        match (models.messages.message(&id), models.messages.request(&id)) {
            (Some(view), _) => (view.request, view.accepted, view.subject),
            (None, Some(request)) => (request.id, request.accepted, None),
            (None, None) => return Err(ApiError::message_not_found()),
        };
    let shown = |state: &ApiState| match models.messages.message(&id) {
        Some(view) => Ok(Shown::Message(Box::new(Message::of(state, view)))),
        // Of several people the request as a whole is told.
        None => models
            .messages
            .request(&id)
            .map(|view| Shown::Request(Box::new(view.into())))
            .ok_or_else(ApiError::message_not_found),
    };
    let record = shown(&state)?;
    let answer = |committed: &Committed| kept(StatusCode::OK, &record.canceled(committed));
    let execute = async |command| state.execute_once(command, origin, answer).await;
    let canceled = state.sending.cancel(&request, accepted, person, execute);
    let response = canceled.await.map_err(|error| match error {
        CancelError::TooLate => not_cancelable(&state, &id),
        CancelError::Execute(ExecuteError::Refused(Refusal::Message(MessageRefusal::TooLate))) => {
            not_cancelable(&state, &id)
        }
        CancelError::Execute(error) => error.into(),
    })?;
    Ok(response)
}

/// What is told of what was canceled.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Message(Box<Message>),
    Request(Box<RequestDetails>),
}

impl Shown {
    /// As it is once that has taken effect.
    fn canceled(mut self, committed: &Committed) -> Self {
        let canceled = MessageStatus::Canceled.name();
        match &mut self {
            Self::Message(message) => {
                message.status = canceled;
                message.canceled_at = Some(milliseconds(committed.decided_at));
                message.delayed_until = None;
            }
            Self::Request(request) => {
                request.canceled_at = Some(committed.decided_at.to_rfc3339_millis());
                request.done = true;
                let left = request.people - request.settled;
                request.settled = request.people;
                let waiting = [
                    MessageStatus::Enqueued.name(),
                    MessageStatus::Delayed.name(),
                ];
                request.counts.retain(|it| !waiting.contains(&it.status));
                request.counts.extend((left > 0).then_some(StatusCount {
                    status: canceled,
                    reason: None,
                    count: left,
                }));
            }
        }
        self
    }
}

/// As Courier answers it: with the message as it is.
fn not_cancelable(state: &ApiState, id: &str) -> ApiError {
    let error = ApiError::message_not_cancelable();
    let models = &state.read_models;
    match (models.messages.message(id), models.messages.request(id)) {
        (Some(view), _) => error.with_record(&Message::of(state, view)),
        (None, Some(view)) => error.with_record(&RequestDetails::from(view)),
        (None, None) => error,
    }
}

/// `POST /messages/{message_id}/resend`: the same to the same person, as a message of its own.
pub(crate) async fn resend(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let view = there(&state, &id)?;
    let subject = view.subject.ok_or_else(ApiError::message_not_found)?;
    let user_id: UserId = state
        .read_models
        .subjects
        .user_id(subject)
        .ok_or_else(ApiError::user_not_found)?;
    let spec = state.sending.spec(view.accepted).await;
    let spec = spec.map_err(|_| ApiError::message_not_found())?;
    let reached = state.read_models.messages.reached(view.accepted, subject);
    let reached = reached.ok_or_else(ApiError::message_not_found)?;
    let target = spec.targets.get(reached.target as usize);
    let target = target.ok_or_else(ApiError::message_not_found)?;
    let mut given = given(&state, target, subject)?;
    // What the set through which the person was reached added goes with it.
    let mut data = Spec::target_data(target);
    types::merge_patch(&mut data, std::mem::take(&mut given.data));
    given = Given {
        data,
        tenant: given.tenant.or(reached.tenant),
        ..given
    };
    let message = sending::text_of(&state.history, view.accepted)?;
    let message = message.ok_or_else(ApiError::message_not_found)?;
    let new = new_id(SystemClock.now());
    let message_id = new.as_str().to_owned();
    let command = Command::Send(Box::new(NewMessage {
        id: new,
        message,
        targets: vec![NewTarget::Person(Recipient {
            user_id,
            given: given.to_document(),
            profile: None,
        })],
        delayed_until: None,
        expires_at: None,
        resends: Some(view.request),
    }));
    let answer = move |_: &Committed| kept(StatusCode::OK, &Resent { message_id });
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `PUT /requests/{request_id}/archive`: it is listed no more unless asked for.
pub(crate) async fn archive(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let request = state.read_models.messages.request(&id);
    let id: MessageId = request.ok_or_else(ApiError::message_not_found)?.id;
    let command = Command::ArchiveMessage { id };
    let committed = state.execute(command, origin).await?;
    Ok(crate::routes::no_content(&committed))
}

/// `GET /v1/requests/{request_id}`: how far a call to send is.
pub(crate) async fn request(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(MessageRef(id)): Id<MessageRef>,
) -> Result<Response, ApiError> {
    let request = state.read_models.messages.request(&id);
    let request = request.ok_or_else(ApiError::message_not_found)?;
    Ok(json(&RequestDetails::from(request)))
}

impl From<RequestView> for RequestDetails {
    fn from(view: RequestView) -> Self {
        let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339_millis);
        let counts = view.progress.by_status.into_iter();
        Self {
            request_id: view.id.into(),
            accepted_at: view.accepted_at.to_rfc3339_millis(),
            delayed_until: time(view.delayed_until),
            expires_at: time(view.expires_at),
            canceled_at: time(view.canceled_at),
            archived: view.archived,
            resolved: view.is_resolved,
            done: !view.is_active,
            people: view.progress.people,
            settled: view.progress.done,
            counts: counts
                .map(|((status, reason), count)| StatusCount {
                    status: status.name(),
                    reason: reason.map(MessageReason::name),
                    count,
                })
                .collect(),
            problems: view
                .problems
                .iter()
                .map(|it| Problem {
                    recipient: it.target,
                    problem: problem_name(it.problem),
                })
                .collect(),
        }
    }
}

/// `GET /v1/messages/{message_id}/explain?user_id=`: why a message reached somebody, or why it did not, as
/// of the moment at which that was decided.
pub(crate) async fn explain(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(MessageRef(id)): Id<MessageRef>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let view = models.messages.message(&id);
    let request = match (&view, models.messages.request(&id)) {
        (Some(view), _) => view.request.clone(),
        (None, Some(request)) => request.id,
        (None, None) => return Err(ApiError::message_not_found()),
    };
    let of_view = view.and_then(|it| it.subject);
    let subject = match parameters.get("user_id") {
        Some(user) => Some(
            models
                .subjects
                .named(user)
                .ok_or_else(ApiError::user_not_found)?,
        ),
        None => of_view,
    };
    let subject = subject.ok_or_else(|| ApiError::invalid_parameter("user_id", "given"))?;
    let user_id = models.subjects.shown(subject);
    let Some(view) = models.messages.to_person(request.as_str(), subject) else {
        return Ok(json(&MessageExplanation {
            message_id: request.into(),
            user_id,
            addressed: false,
            recipient: None,
            status: None,
            reason: None,
            because: Some("not_addressed".to_owned()),
            tenant_id: None,
            channels: vec![],
            as_of: None,
            decided_at: None,
            delayed_until: None,
        }));
    };
    let outcome = outcome_of(&state, &view)?.map(|(outcome, _)| outcome);
    let reached = models.messages.reached(view.accepted, subject);
    let channels = outcome.iter().flat_map(|it| &it.channels);
    Ok(json(&MessageExplanation {
        message_id: view.shown_id(),
        user_id,
        addressed: true,
        recipient: reached.map(|it| it.target),
        status: Some(view.status.name()),
        reason: view.reason.map(MessageReason::name),
        because: match (view.status, &outcome) {
            (MessageStatus::Canceled, _) => Some("canceled".to_owned()),
            (_, outcome) => outcome.as_ref().map(|it| it.because.clone()),
        },
        tenant_id: view.tenant.clone().map(Into::into),
        channels: channels
            .map(|it| ChannelUse {
                name: it.channel.clone(),
                used: it.used,
                because: it.because.clone(),
            })
            .collect(),
        as_of: outcome.as_ref().map(|it| it.planned.0),
        decided_at: outcome.as_ref().map(|it| it.planned_at.to_rfc3339_millis()),
        delayed_until: view.delayed_until.map(Timestamp::to_rfc3339_millis),
    }))
}
