use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::ChoiceRequest;
use domain::limits::CHOICES_MAX;
use engine::{
    Choices, ChoicesOutcome, Command, Committed, ExecuteError, Outcome, PreferenceChange,
    PreferenceLogQuery, Refusal,
};
use projections::{EffectivePreference, Layer, TopicPreference};
use serde::Serialize;
use types::filter::Moment;
use types::{Choice, Position, QuietHours, SubjectId, TenantId, Timestamp, TopicId, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::{Body, Fields};
use crate::extract::origin::{Authenticated, Caller, Origin};
use crate::extract::path::{Id, Ids};
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::tenants::names;
use crate::routes::{Paging, at, json, kept, no_content, success};
use crate::state::ApiState;

const LOGS: &str = "preference logs";
/// Rows of a page of the log when the caller does not say.
const LOG_ROWS_BY_DEFAULT: u64 = 25;
const TENANT: &str = "tenant_id";

#[derive(Serialize, ToSchema)]
pub(crate) struct Preference {
    topic_id: String,
    topic_name: String,
    default_status: &'static str,
    status: &'static str,
    has_custom_routing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_routing: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest_schedule_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snoozed_until: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Preferences {
    items: Vec<Preference>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OnePreference {
    topic: Preference,
}

/// One choice was stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stored {
    message: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QuietHoursAnswer {
    quiet_hours: Option<ShownQuietHours>,
}

/// What one request chose, as it is stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct Chosen {
    topic_id: String,
    status: &'static str,
    has_custom_routing: bool,
    custom_routing: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Refused {
    topic_id: String,
    reason: String,
    code: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ManyChosen {
    items: Vec<Chosen>,
    errors: Vec<Refused>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogEntry {
    id: String,
    timestamp: String,
    user_id: String,
    topic_id: String,
    topic_name: String,
    #[serde(flatten)]
    value: LogValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<LogValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct LogValue {
    status: &'static str,
    has_custom_routing: bool,
    custom_routing: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Log {
    items: Vec<LogEntry>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Effective {
    user_id: String,
    tenant_id: Option<String>,
    /// The tenant was not named: it is the only one of which the person is a member.
    tenant_inferred: bool,
    at: String,
    quiet_hours: Option<QuietHoursNow>,
    items: Vec<EffectiveTopic>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EffectiveTopic {
    topic_id: String,
    topic_name: String,
    section_id: Option<String>,
    default_status: &'static str,
    status: &'static str,
    status_from: Said,
    channels: Vec<Channel>,
    snoozed_until: Option<String>,
    digest_schedule_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Channel {
    #[serde(rename = "channel")]
    name: &'static str,
    used: bool,
    from: Said,
}

/// Who had the last word.
#[derive(Serialize, ToSchema)]
pub(crate) struct Said {
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
}

/// Quiet hours as they are given and shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownQuietHours {
    time_zone: String,
    days: Vec<&'static str>,
    from: String,
    to: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QuietHoursNow {
    #[serde(flatten)]
    hours: ShownQuietHours,
    active: bool,
    /// When those end that are now.
    until: Option<String>,
}

impl From<TopicPreference> for Preference {
    fn from(preference: TopicPreference) -> Self {
        let EffectivePreference {
            status,
            routing,
            snoozed_until,
            digest_schedule_id,
            ..
        } = preference.effective;
        let (section_id, section_name) = preference.section.unzip();
        Self {
            topic_id: preference.topic.into(),
            topic_name: preference.name,
            default_status: preference.default_status.name(),
            status: status.name(),
            has_custom_routing: routing.is_some(),
            custom_routing: routing.map(|channels| names(Some(&channels))),
            section_id: section_id.map(Into::into),
            section_name,
            digest_schedule_id,
            snoozed_until: snoozed_until.map(Timestamp::to_rfc3339_millis),
        }
    }
}

impl From<TopicPreference> for EffectiveTopic {
    fn from(preference: TopicPreference) -> Self {
        let effective = preference.effective;
        let channels = effective.channels.into_iter().map(|it| Channel {
            name: it.channel.name(),
            used: it.used,
            from: it.from.into(),
        });
        Self {
            topic_id: preference.topic.into(),
            topic_name: preference.name,
            section_id: preference.section.map(|(id, _)| id.into()),
            default_status: preference.default_status.name(),
            status: effective.status.name(),
            status_from: effective.status_from.into(),
            channels: channels.collect(),
            snoozed_until: effective.snoozed_until.map(Timestamp::to_rfc3339_millis),
            digest_schedule_id: effective.digest_schedule_id,
        }
    }
}

impl From<Layer> for Said {
    fn from(layer: Layer) -> Self {
        let name = layer.name();
        let tenant_id = match layer {
            Layer::TenantDefault(tenant) => Some(tenant.into()),
            Layer::InTenant
            | Layer::Everywhere
            | Layer::Older
            | Layer::Topic
            | Layer::Section
            | Layer::Unrestricted => None,
        };
        Self {
            layer: name,
            tenant_id,
        }
    }
}

impl From<Choice> for LogValue {
    fn from(Choice { status, routing }: Choice) -> Self {
        Self {
            status: status.name(),
            has_custom_routing: routing.is_some(),
            custom_routing: names(routing.as_deref()),
        }
    }
}

impl From<PreferenceChange> for LogEntry {
    fn from(change: PreferenceChange) -> Self {
        Self {
            id: change.position.to_string(),
            timestamp: change.at.to_rfc3339_millis(),
            user_id: change.user_id.into(),
            topic_id: change.topic.into(),
            topic_name: change.topic_name,
            value: change.choice.into(),
            previous: change.previous.map(LogValue::from),
            tenant_id: change.tenant.map(Into::into),
        }
    }
}

impl From<&QuietHours> for ShownQuietHours {
    fn from(hours: &QuietHours) -> Self {
        Self {
            time_zone: hours.time_zone().to_owned(),
            days: hours.days().iter().map(|day| day.name()).collect(),
            from: hours.from().to_string(),
            to: hours.to().to_string(),
        }
    }
}

/// `GET /users/{user_id}/preferences`: what holds of every topic; nobody needs to be known.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let tenant: Option<TenantId> = parameters.id(TENANT)?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let subject = models.subjects.number(user_id.as_str());
        let (tenant, levels) = (tenant.as_ref(), state.tenant_levels);
        let preferences = models.effective_preferences(subject, tenant, levels, state.now());
        json(&Preferences {
            items: preferences.into_iter().map(Preference::from).collect(),
            paging: Paging::new(false, || None),
        })
    };
    state.scan(answer).await
}

/// `GET /users/{user_id}/preferences/{topic_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(user_id, topic): Ids<UserId, TopicId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let tenant: Option<TenantId> = parameters.id(TENANT)?;
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let (tenant, levels) = (tenant.as_ref(), state.tenant_levels);
    let now = state.now();
    let preference = models.effective_preference(&topic, subject, tenant, levels, now);
    let preference = preference.ok_or_else(ApiError::topic_not_found)?;
    let topic = preference.into();
    Ok(json(&OnePreference { topic }))
}

/// `PUT /users/{user_id}/preferences/{topic_id}`.
pub(crate) async fn put(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, topic): Ids<UserId, TopicId>,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let chosen = body.object("topic")?;
    let mut chosen = Fields::of(chosen.into(), "/topic".to_owned())?;
    let command = Command::Choose {
        user_id,
        tenant: parameters.id(TENANT)?,
        choices: Choices::Set(topic, chosen.choice_request()?),
    };
    let executed = state.execute(command, origin).await;
    let committed = executed.map_err(|error| ApiError::from(error).below_if_placed("/topic"))?;
    Ok(at(&committed, json(&Stored { message: "success" })))
}

/// `DELETE /users/{user_id}/preferences/{topic_id}`: defaults hold again.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(user_id, topic): Ids<UserId, TopicId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let command = Command::Choose {
        user_id,
        tenant: parameters.id(TENANT)?,
        choices: Choices::Clear(topic),
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `POST /users/{user_id}/preferences`: these too; what is refused does not hold up the others.
pub(crate) async fn add_many(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let pointer = body.pointer("topics");
    let mut refused = Vec::new();
    let requests = requests(&mut body, &mut |topic, error| {
        refused.push(Refused::new(topic, &error));
        Ok(())
    })?;
    if requests.is_empty() && refused.is_empty() {
        return Err(ApiError::invalid_field(&pointer, "at least one topic"));
    }
    choose_many(
        &state,
        origin,
        user_id,
        &parameters,
        requests,
        refused,
        false,
    )
    .await
}

/// `PUT /users/{user_id}/preferences`: these, and no others in this context; all of it or nothing.
pub(crate) async fn replace_all(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let requests = requests(&mut body, &mut |_, error| Err(error))?;
    let none = Vec::new();
    choose_many(&state, origin, user_id, &parameters, requests, none, true).await
}

type Requests = Vec<(TopicId, ChoiceRequest)>;

/// The choices under `topics`; what cannot be read is told by itself.
fn requests(
    body: &mut Fields,
    bad: &mut dyn FnMut(TopicId, ApiError) -> Result<(), ApiError>,
) -> Result<Requests, ApiError> {
    let pointer = body.pointer("topics");
    let mut requests = Requests::new();
    for (place, topic) in body.array("topics", CHOICES_MAX)?.into_iter().enumerate() {
        let mut topic = Fields::of(topic, format!("{pointer}/{place}"))?;
        let id: TopicId = topic.required_id("topic_id")?;
        match topic.choice_request() {
            Ok(request) => requests.push((id, request)),
            Err(error) => bad(id, error)?,
        }
    }
    Ok(requests)
}

impl Refused {
    fn new(topic: TopicId, error: &ApiError) -> Self {
        Self {
            topic_id: topic.into(),
            reason: error.message().to_owned(),
            code: error.code(),
        }
    }
}

async fn choose_many(
    state: &ApiState,
    origin: Caller,
    user_id: UserId,
    parameters: &Parameters,
    requests: Requests,
    mut refused: Vec<Refused>,
    replace: bool,
) -> Result<Response, ApiError> {
    let choices = if replace {
        Choices::ReplaceAll(requests)
    } else {
        Choices::SetMany(requests)
    };
    let command = Command::Choose {
        user_id,
        tenant: parameters.id(TENANT)?,
        choices,
    };
    let answer = move |committed: &Committed| {
        let outcome = match &committed.outcome {
            Outcome::Choices(outcome) => outcome.clone(),
            Outcome::Done
            | Outcome::Users(_)
            | Outcome::Removed(_)
            | Outcome::Duplicates(_)
            | Outcome::Marked(_) => ChoicesOutcome::default(),
        };
        let of_topics = outcome.refused.into_iter();
        refused.extend(of_topics.map(|(topic, refusal)| Refused::new(topic, &refusal.into())));
        let items = outcome.stored.into_iter().map(|(topic, choice)| Chosen {
            topic_id: topic.into(),
            status: choice.status.name(),
            has_custom_routing: choice.routing.is_some(),
            custom_routing: names(choice.routing.as_deref()),
        });
        let deleted = outcome.cleared.into_iter().map(Into::into).collect();
        let answer = ManyChosen {
            items: items.collect(),
            errors: refused,
            deleted: replace.then_some(deleted),
        };
        kept(StatusCode::OK, &answer)
    };
    let executed = state.execute_once(command, origin, answer).await;
    executed.map_err(|error| {
        if let ExecuteError::Refused(Refusal::Choice { place, refusal }) = error {
            ApiError::from(refusal).below(&format!("/topics/{place}"))
        } else {
            error.into()
        }
    })
}

/// `GET /preferences/logs`: what people chose and gave up, newest first.
pub(crate) async fn logs(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let before = parameters.place(LOGS);
    let before = before.and_then(|place| place.parse().ok().map(Position));
    let query = PreferenceLogQuery {
        user: parameters.get("user_id").map(str::to_owned),
        tenant: parameters.id(TENANT)?,
        // What cannot be read is as if not given, as elsewhere on these routes.
        since: parameters
            .get("since")
            .and_then(Moment::parse)
            .map(Moment::to_timestamp),
        before,
        limit: parameters.limit_clamped_from(LOG_ROWS_BY_DEFAULT),
    };
    if query.tenant.is_some() && query.user.is_none() {
        return Err(ApiError::missing_parameter("user_id"));
    }
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.history.preference_changes(&query, still_wanted)?;
        let cursor = page
            .next
            .map(|next| cursor::encode(LOGS, &next.to_string()));
        Ok(json(&Log {
            items: page.items.into_iter().map(LogEntry::from).collect(),
            paging: Paging::new(cursor.is_some(), || cursor),
        }))
    };
    state.scan(answer).await?
}

/// `GET /preferences/{recipient_id}`: what a person chose in the older form.
pub(crate) async fn recipient(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let preferences = subject.and_then(|subject| models.preferences.recipient(subject));
    let nothing = || serde_json::Map::new().into();
    Ok(json(&preferences.unwrap_or_else(nothing)))
}

/// `PUT /preferences/{recipient_id}`: all of it.
pub(crate) async fn replace_recipient(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    body: Body,
) -> Result<Response, ApiError> {
    let command = Command::RecipientPreferences {
        user_id,
        preferences: Some(required(body)?.as_preferences()?),
    };
    Ok(success(&state.execute(command, origin).await?))
}

/// No body at all is more likely a mistake than the wish to forget everything.
fn required(body: Body) -> Result<Fields, ApiError> {
    Fields::of(body.value.unwrap_or_default(), String::new())
}

/// `PATCH /preferences/{recipient_id}`: merged into what is there (RFC 7396).
pub(crate) async fn merge_recipient(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    body: Body,
) -> Result<Response, ApiError> {
    let changes = required(body)?.preference_changes()?;
    let command = Command::MergeRecipientPreferences { user_id, changes };
    Ok(success(&state.execute(command, origin).await?))
}

/// The context in which a person is reached: the one that is named, or the only one there is.
pub(crate) fn context(
    state: &ApiState,
    reach: &Reach,
    subject: Option<SubjectId>,
    named: Option<TenantId>,
) -> (Option<TenantId>, bool) {
    if named.is_some() {
        return (named, false);
    }
    let models = &state.read_models;
    let inferred = subject.and_then(|it| models.inferred_tenant(it, reach.tenant()));
    let is_inferred = inferred.is_some();
    (inferred, is_inferred)
}

/// `GET /v1/users/{user_id}/effective-preferences`: what holds of every topic and channel, and who
/// says so.
pub(crate) async fn effective(
    State(state): State<ApiState>,
    reach: Reach,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let named: Option<TenantId> = parameters.id(TENANT)?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let now = state.now();
        let subject = models.subjects.number(user_id.as_str());
        let (tenant, tenant_inferred) = context(state, &reach, subject, named);
        let levels = state.tenant_levels;
        let items = models.effective_preferences(subject, tenant.as_ref(), levels, now);
        // What is inherited from beyond a key's reach holds, but not whose it is.
        let shown = items.into_iter().map(|item| {
            let mut topic = EffectiveTopic::from(item);
            let said = topic.channels.iter_mut().map(|channel| &mut channel.from);
            for said in said.chain([&mut topic.status_from]) {
                let tenant = said.tenant_id.as_deref().map(TenantId::parse);
                if !tenant.is_none_or(|it| it.is_ok_and(|it| reach.sees_tenant(models, &it))) {
                    said.tenant_id = None;
                }
            }
            topic
        });
        let hours = subject.and_then(|subject| models.preferences.quiet_hours(subject));
        let quiet_hours = hours.map(|hours| {
            let until = hours.end_of(now);
            QuietHoursNow {
                hours: (&hours).into(),
                active: until.is_some(),
                until: until.map(Timestamp::to_rfc3339_millis),
            }
        });
        json(&Effective {
            user_id: user_id.into(),
            tenant_id: tenant.map(Into::into),
            tenant_inferred,
            at: now.to_rfc3339_millis(),
            quiet_hours,
            items: shown.collect(),
            paging: Paging::new(false, || None),
        })
    };
    state.scan(answer).await
}

/// `GET /v1/users/{user_id}/quiet-hours`: `null` where there are none.
pub(crate) async fn quiet_hours(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let hours = subject.and_then(|subject| models.preferences.quiet_hours(subject));
    let quiet_hours = hours.as_ref().map(ShownQuietHours::from);
    Ok(json(&QuietHoursAnswer { quiet_hours }))
}

/// `PUT /v1/users/{user_id}/quiet-hours`.
pub(crate) async fn put_quiet_hours(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let quiet_hours = Some(body.quiet_hours()?);
    let command = Command::QuietHours {
        user_id,
        quiet_hours,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /v1/users/{user_id}/quiet-hours`.
pub(crate) async fn delete_quiet_hours(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::QuietHours {
        user_id,
        quiet_hours: None,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}
