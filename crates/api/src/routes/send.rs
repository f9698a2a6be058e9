use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::limits::{DELAY_MAX, GIVEN_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_TARGETS_MAX};
use engine::{Command, Committed, NewMessage, NewTarget, Recipient};
use events::MessageTarget;
use projections::Given;
use rendering::Content;
use serde::Serialize;
use serde_json::{Map, Value};
use types::filter::{Moment, Window};
use types::{
    AudienceId, Clock as _, CommandId, JsonDocument, ListId, ListPattern, Message, MessageId,
    SystemClock, TenantId, Timestamp, UserId, new_type_id, without_nulls,
};
use utoipa::ToSchema;

use crate::duration;
use crate::error::ApiError;
use crate::extract::body::{Fields, bounded};
use crate::extract::origin::Origin;
use crate::routes::kept;
use crate::state::ApiState;

#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// The id of the message, if it is to one person; else of the request.
    #[serde(rename = "requestId")]
    request_id: String,
}

/// `POST /send`: it is sent once it is written down, which it is when this is answered.
pub(crate) async fn send(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let now = SystemClock.now();
    let mut given = message_of(&mut body)?;
    let times = Times::take(&mut given, now)?;
    let targets = targets(&state, given.take("to"), &given.pointer("to"), now)?;
    let (message, _) = message(given.take_all(), "/message")?;
    let id = new_id(now);
    let request_id = id.as_str().to_owned();
    let command = Command::Send(Box::new(NewMessage {
        id,
        message,
        targets,
        delayed_until: times.delayed_until,
        expires_at: times.expires_at,
        resends: None,
    }));
    let answer = move |_: &Committed| kept(StatusCode::ACCEPTED, &Accepted { request_id });
    Ok(state.execute_once(command, origin, answer).await?)
}

pub(crate) fn message_of(body: &mut Fields) -> Result<Fields, ApiError> {
    let message = body.object("message")?;
    Fields::of(message.into(), body.pointer("message"))
}

/// An id as Courier's are: the time and a random number in hexadecimal, with dashes.
pub(crate) fn new_id(now: Timestamp) -> MessageId {
    let seconds = now.0 / 1_000_000_000;
    let random = CommandId::generate(now).0 & ((1 << 96) - 1);
    MessageId::parse(&format!("1-{seconds:08x}-{random:024x}"))
        .expect("digits and dashes are an id")
}

/// When a message is sent, and until when.
pub(crate) struct Times {
    pub(crate) delayed_until: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Times {
    /// Takes `delay` and `expiry` out of a message.
    pub(crate) fn take(message: &mut Fields, now: Timestamp) -> Result<Self, ApiError> {
        let delayed_until = match message.below("delay")? {
            None => None,
            Some(mut delay) => {
                let pointer = delay.pointer("duration");
                let until = delay.moment("until")?;
                let duration = delay.take("duration").filter(|it| !it.is_null());
                let duration = duration.map(|duration| {
                    let milliseconds = duration.as_u64();
                    let expected = "a whole number of milliseconds";
                    milliseconds.ok_or_else(|| ApiError::invalid_field(&pointer, expected))
                });
                let duration = duration.transpose()?.map(|milliseconds| {
                    Timestamp(now.0.saturating_add(milliseconds.saturating_mul(1_000_000)))
                });
                until.max(duration)
            }
        };
        if delayed_until.is_some_and(|until| until.0.saturating_sub(now.0) > DELAY_MAX) {
            let expected = "no longer than 366 days";
            return Err(ApiError::invalid_field(&message.pointer("delay"), expected));
        }
        let begins = delayed_until.map_or(now, |until| until.max(now));
        let expires_at = match message.below("expiry")? {
            None => None,
            Some(mut expiry) => {
                let at = expiry.moment("expires_at")?;
                let pointer = expiry.pointer("expires_in");
                let within = expiry.take("expires_in").filter(|it| !it.is_null());
                let within = within.map(|within| {
                    ends_after(&within, begins).ok_or_else(|| {
                        let expected = "milliseconds, or a duration such as `2 hours` or `PT2H`";
                        ApiError::invalid_field(&pointer, expected)
                    })
                });
                let within = within.transpose()?;
                match (at, within) {
                    (Some(at), Some(within)) => Some(at.min(within)),
                    (at, within) => at.or(within),
                }
            }
        };
        Ok(Self {
            delayed_until: delayed_until.filter(|until| *until > now),
            expires_at,
        })
    }
}

/// The end of Courier's `expires_in`: milliseconds as a number; as text an ISO 8601 duration, or one as
/// people write it.
fn ends_after(value: &Value, begins: Timestamp) -> Option<Timestamp> {
    if let Some(window) = value.as_str().filter(|it| it.starts_with('P')) {
        let window = Window::parse(window).ok()?;
        return Some(window.after(Moment::from(begins)).to_timestamp());
    }
    let milliseconds = if let Value::Number(number) = value {
        number.as_u64()?
    } else {
        duration::seconds(value)?.checked_mul(1_000)?
    };
    Some(Timestamp(
        begins
            .0
            .saturating_add(milliseconds.saturating_mul(1_000_000)),
    ))
}

/// What is told, without whom; read, and as it is written down.
pub(crate) fn message(
    message: Map<String, Value>,
    pointer: &str,
) -> Result<(JsonDocument, Message), ApiError> {
    let value = without_nulls(Value::Object(message));
    let document = bounded(&value, MESSAGE_BYTES_MAX, pointer)?;
    let empty = Map::new();
    let read = Message::parse(value.as_object().unwrap_or(&empty)).map_err(|error| {
        ApiError::invalid_field(&format!("{pointer}{}", error.pointer), error.expected)
    })?;
    if let Some(content) = &read.content {
        check_content(content, &format!("{pointer}/content"))?;
    } else if read.template.is_none() {
        let error = ApiError::missing_field(&format!("{pointer}/template"));
        return Err(error);
    }
    Ok((document, read))
}

/// Refuses what could never be told.
pub(crate) fn check_content(content: &Value, pointer: &str) -> Result<(), ApiError> {
    let parsed = Content::parse(content);
    parsed.map(drop).map_err(|error| {
        ApiError::invalid_content(&error.message).at(format!("{pointer}{}", error.pointer))
    })
}

/// Whom a message is for: one recipient or several of any kind.
pub(crate) fn targets(
    state: &ApiState,
    to: Option<Value>,
    pointer: &str,
    now: Timestamp,
) -> Result<Vec<NewTarget>, ApiError> {
    let to = to.filter(|it| !it.is_null());
    let to = to.ok_or_else(|| ApiError::missing_field(pointer))?;
    let recipients = if let Value::Array(recipients) = to {
        if recipients.is_empty() {
            return Err(ApiError::invalid_field(pointer, "at least one recipient"));
        }
        if recipients.len() > MESSAGE_TARGETS_MAX {
            return Err(ApiError::too_many_items(pointer, MESSAGE_TARGETS_MAX));
        }
        let placed = recipients.into_iter().enumerate();
        placed
            .map(|(place, it)| (format!("{pointer}/{place}"), it))
            .collect()
    } else {
        vec![(pointer.to_owned(), to)]
    };
    recipients
        .into_iter()
        .map(|(pointer, value)| target(state, Fields::of(value, pointer)?, now))
        .collect()
}

/// The members of a recipient that are texts, whomever it is.
const TEXTS: [&str; 8] = [
    "user_id",
    "email",
    "phone_number",
    "list_id",
    "list_pattern",
    "audience_id",
    "tenant_id",
    "locale",
];

fn target(state: &ApiState, mut fields: Fields, now: Timestamp) -> Result<NewTarget, ApiError> {
    let models = &state.read_models;
    for name in TEXTS {
        if fields.is_given(name) && !fields.peek(name).is_string() {
            return Err(ApiError::invalid_field(&fields.pointer(name), "a string"));
        }
    }
    if fields.is_given("preferences") && !fields.peek("preferences").is_object() {
        let pointer = fields.pointer("preferences");
        return Err(ApiError::invalid_field(&pointer, "an object"));
    }
    // Ids that do not matter for whom it is have to be ids, too.
    fields.check_id::<UserId>("user_id")?;
    fields.check_id::<AudienceId>("audience_id")?;
    fields.check_id::<TenantId>("tenant_id")?;
    let names_person = ["user_id", "email", "phone_number"]
        .iter()
        .any(|name| fields.is_given(name));
    if fields.is_given("list_pattern") {
        let pattern = fields.string("list_pattern")?;
        let parsed = ListPattern::parse(&pattern);
        parsed
            .map_err(|error| ApiError::invalid_pattern(error).at(fields.pointer("list_pattern")))?;
        let data = data(&mut fields)?;
        return Ok(NewTarget::Many(MessageTarget::ListPattern {
            pattern,
            data,
        }));
    }
    if fields.is_given("list_id") && !names_person {
        let pointer = fields.pointer("list_id");
        let list: ListId = fields.required_id("list_id")?;
        if models.lists.live(&list).is_none() {
            return Err(ApiError::list_not_found().at(pointer));
        }
        return Ok(NewTarget::Many(MessageTarget::List {
            list,
            data: data(&mut fields)?,
            members_of: members_of(&mut fields)?,
        }));
    }
    if fields.is_given("audience_id") {
        let pointer = fields.pointer("audience_id");
        let audience: AudienceId = fields.required_id("audience_id")?;
        if models.audiences.definition(&audience).is_none() {
            return Err(ApiError::audience_not_found().at(pointer));
        }
        return Ok(NewTarget::Many(MessageTarget::Audience {
            audience,
            data: data(&mut fields)?,
            members_of: members_of(&mut fields)?,
        }));
    }
    let is_direct = ["slack", "ms_teams", "discord", "pagerduty", "webhook"]
        .iter()
        .any(|name| fields.is_given(name));
    if fields.is_given("tenant_id") && !names_person && !is_direct {
        let pointer = fields.pointer("tenant_id");
        let tenant: TenantId = fields.required_id("tenant_id")?;
        if !models.tenants.is_known(&tenant) {
            return Err(ApiError::tenant_not_found().at(pointer));
        }
        return Ok(NewTarget::Many(MessageTarget::Tenant {
            tenant,
            data: data(&mut fields)?,
            include_children: fields.boolean("include_children")?.unwrap_or_default(),
            include_parent: fields.boolean("include_parent")?.unwrap_or_default(),
        }));
    }
    if !names_person && !is_direct {
        let pointer = fields.pointer("");
        let expected = "a recipient: a user, a list, a list pattern, an audience or a tenant";
        return Err(ApiError::invalid_field(
            pointer.trim_end_matches('/'),
            expected,
        ));
    }
    Ok(NewTarget::Person(person(fields, now)?))
}

/// One person with what is given for them: Courier's `UserRecipient`, of which whatever is not known
/// belongs to the profile.
pub(crate) fn person(mut fields: Fields, now: Timestamp) -> Result<Recipient, ApiError> {
    let pointer = fields.pointer("");
    let pointer = pointer.trim_end_matches('/').to_owned();
    let user_id: Option<UserId> = fields.id("user_id")?;
    let tenant: Option<TenantId> = fields.id("tenant_id")?;
    let account: Option<TenantId> = fields.id("account_id")?;
    let context = fields.below("context")?;
    let context = context.map(|mut it| it.id("tenant_id")).transpose()?;
    let context: Option<TenantId> = context.flatten();
    let locale = fields.text("locale", domain::limits::NAME_BYTES_MAX)?;
    let preferences = fields.preferences()?;
    let data = object_of(&mut fields, "data")?;
    let mut profile = object_of(&mut fields, "profile")?;
    // Which list somebody was reached by elsewhere says nothing about the person.
    fields.take("list_id");
    let rest = without_nulls(Value::Object(fields.take_all()));
    if let Value::Object(rest) = rest {
        types::merge_patch(&mut profile, rest);
    }
    let given = Given {
        data,
        locale,
        tenant: context.or(tenant).or(account),
        preferences: preferences.map(|it| it.to_value()),
        profile,
    };
    let document = given.to_document();
    bounded(&document.to_value(), GIVEN_BYTES_MAX, &pointer)?;
    let is_named = user_id.is_some();
    let anonymous = || UserId::parse(&new_type_id("anon", now)).expect("it is an id");
    Ok(Recipient {
        user_id: user_id.unwrap_or_else(anonymous),
        // Whoever is told once and never named stays without a profile.
        profile: (is_named && given.has_contact()).then_some(given.profile),
        given: document,
    })
}

fn object_of(fields: &mut Fields, name: &str) -> Result<Map<String, Value>, ApiError> {
    match fields.take(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(ApiError::invalid_field(&fields.pointer(name), "an object"))
        }
    }
}

fn data(fields: &mut Fields) -> Result<Option<JsonDocument>, ApiError> {
    let pointer = fields.pointer("data");
    let data = object_of(fields, "data")?;
    let data = (!data.is_empty()).then_some(Value::Object(data));
    data.map(|data| bounded(&data, GIVEN_BYTES_MAX, &pointer))
        .transpose()
}

/// Courier's `filters` of a list or an audience: only those who are members of a tenant.
fn members_of(fields: &mut Fields) -> Result<Vec<TenantId>, ApiError> {
    const EXPECTED: &str =
        "an object with operator MEMBER_OF, path account_id and the id of a tenant as value";
    if !fields.is_given("filters") {
        return Ok(Vec::new());
    }
    let pointer = fields.pointer("filters");
    let filters = fields.array("filters", domain::limits::FILTERS_MAX)?;
    let tenant = |(place, filter): (usize, &Value)| {
        let text = |name: &str| filter.get(name).and_then(Value::as_str);
        let is_known = text("operator") == Some("MEMBER_OF")
            && matches!(text("path"), Some("account_id" | "tenant_id" | "tenant"));
        let tenant = text("value").filter(|_| is_known);
        let tenant = tenant.and_then(|it| TenantId::parse(it).ok());
        tenant.ok_or_else(|| ApiError::invalid_field(&format!("{pointer}/{place}"), EXPECTED))
    };
    filters.iter().enumerate().map(tenant).collect()
}
