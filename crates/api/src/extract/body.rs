use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use domain::Change;
use domain::limits::{BODY_BYTES_MAX, PREFERENCES_BYTES_MAX, RULE_LIMITS, SAMPLE_MAX};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use types::filter::{Group, GroupOperator};
use types::{JsonDocument, parse_json};

use crate::error::ApiError;
use crate::state::{ApiState, SMALL_BODY_BYTES_MAX};

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The object that is the body of a request; an empty body is an empty object. Members that are not
/// asked for are ignored. Knows where in the body it stands, so that errors can say it.
pub(crate) struct Fields {
    object: Map<String, Value>,
    pointer: String,
    /// A large body counts until its request has been answered.
    _room: Option<OwnedSemaphorePermit>,
}

impl FromRequest<ApiState> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let announced = announced_bytes(request.headers());
        let room = match announced {
            Some(bytes) if bytes > BODY_BYTES_MAX => return Err(ApiError::body_too_large()),
            Some(bytes) if bytes <= SMALL_BODY_BYTES_MAX => None,
            Some(bytes) => Some(state.room_for_body(bytes)?),
            None if request.body().is_end_stream() => None,
            None => Some(state.room_for_body(BODY_BYTES_MAX)?),
        };
        let read = request.extensions().get::<BodyRead>().cloned();
        let bytes = read_body(request.into_body(), BODY_BYTES_MAX).await?;
        if let Some(read) = read {
            read.note();
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self {
                object: Map::new(),
                pointer: String::new(),
                _room: room,
            });
        }
        let value = parse_json(&bytes)
            .map_err(|error| ApiError::malformed_json(format!("the body is not JSON: {error}")))?;
        match value {
            Value::Object(object) => Ok(Self {
                object,
                pointer: String::new(),
                _room: room,
            }),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(ApiError::invalid_body("the body must be an object")),
        }
    }
}

/// What the headers say of the body's length; `None` if they do not say it.
pub(crate) fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body, if it arrives in time and is not larger than allowed.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let too_large = error
                .source()
                .is_some_and(<dyn Error>::is::<LengthLimitError>);
            Err(if too_large {
                ApiError::body_too_large()
            } else {
                ApiError::malformed_body()
            })
        }
        Err(_) => Err(ApiError::body_timeout()),
    }
}

/// Whether a body was read to its end: where one is left unread, the connection cannot go on.
#[derive(Clone, Default)]
pub(crate) struct BodyRead(Arc<AtomicBool>);

impl BodyRead {
    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Fields {
    /// The element of an array at this pointer.
    pub(crate) fn of(value: Value, pointer: String) -> Result<Self, ApiError> {
        match value {
            Value::Object(object) => Ok(Self {
                object,
                pointer,
                _room: None,
            }),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(ApiError::invalid_field(&pointer, "an object")),
        }
    }

    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Map<String, Value>, ApiError> {
        match self.required(name)? {
            Value::Object(object) => Ok(object),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(ApiError::invalid_field(&self.pointer(name), "an object")),
        }
    }

    pub(crate) fn array(&mut self, name: &str, at_most: usize) -> Result<Vec<Value>, ApiError> {
        match self.required(name)? {
            Value::Array(items) if items.len() <= at_most => Ok(items),
            Value::Array(_) => Err(ApiError::too_many_items(&self.pointer(name), at_most)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Err(ApiError::invalid_field(&self.pointer(name), "an array")),
        }
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<String, ApiError> {
        match self.required(name)? {
            Value::String(text) => Ok(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => Err(ApiError::invalid_field(&self.pointer(name), "a string")),
        }
    }

    /// The member as it came; `None` if it is not there, which `null` is not.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name)
    }

    /// A copy of the member as it came; `null` if it is not there.
    pub(crate) fn peek(&self, name: &str) -> Value {
        self.object.get(name).cloned().unwrap_or_default()
    }

    /// All members as they came.
    pub(crate) fn take_all(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.object)
    }

    /// A text that is kept when it is left out and cleared when it is `null`.
    pub(crate) fn text_change(
        &mut self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Change<String>, ApiError> {
        match self.take(name) {
            None => Ok(Change::Keep),
            Some(Value::Null) => Ok(Change::Clear),
            Some(Value::String(text)) if text.len() <= bytes_max => Ok(Change::Set(text)),
            Some(
                Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
            ) => {
                let expected = format!("a string of at most {bytes_max} bytes, or null");
                Err(ApiError::invalid_field(&self.pointer(name), expected))
            }
        }
    }

    /// The top operator of a rule, given beside it.
    pub(crate) fn operator(&mut self) -> Result<Option<GroupOperator>, ApiError> {
        const NAME: &str = "operator";
        match self.take(NAME) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(GroupOperator::parse)
                .map(Some)
                .ok_or_else(|| {
                    let expected = format!("one of {}", GroupOperator::NAMES.join(", "));
                    ApiError::invalid_field(&self.pointer(NAME), expected)
                }),
        }
    }

    /// The rule under `filter`: kept when left out, cleared when `null`.
    pub(crate) fn rule(
        &mut self,
        operator: Option<GroupOperator>,
    ) -> Result<Change<Group>, ApiError> {
        const NAME: &str = "filter";
        match self.take(NAME) {
            None => Ok(Change::Keep),
            Some(Value::Null) => Ok(Change::Clear),
            Some(rule) => Group::parse(&rule, operator, RULE_LIMITS)
                .map(Change::Set)
                .map_err(|error| ApiError::invalid_rule(&error, &self.pointer(NAME))),
        }
    }

    /// As [`Fields::rule`], where nothing can be done without a rule.
    pub(crate) fn required_rule(&mut self) -> Result<Group, ApiError> {
        let operator = self.operator()?;
        match self.rule(operator)? {
            Change::Set(rule) => Ok(rule),
            Change::Keep | Change::Clear => Err(ApiError::missing_field(&self.pointer("filter"))),
        }
    }

    /// How many people to name, at most.
    pub(crate) fn sample(&mut self) -> Result<usize, ApiError> {
        const NAME: &str = "sample";
        const BY_DEFAULT: usize = 10;
        match self.take(NAME) {
            None | Some(Value::Null) => Ok(BY_DEFAULT),
            Some(value) => value
                .as_u64()
                .and_then(|sample| usize::try_from(sample).ok())
                .filter(|sample| *sample <= SAMPLE_MAX)
                .ok_or_else(|| {
                    let expected = format!("a whole number from 0 to {SAMPLE_MAX}");
                    ApiError::invalid_field(&self.pointer(NAME), expected)
                }),
        }
    }

    /// Courier's `RecipientPreferences`; `null` is as if not given.
    pub(crate) fn preferences(&mut self) -> Result<Option<JsonDocument>, ApiError> {
        const NAME: &str = "preferences";
        let Some(value) = self.object.remove(NAME).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let pointer = self.pointer(NAME);
        check_preferences(&value, &pointer)?;
        let document = JsonDocument::from_value(&value);
        if document.as_str().len() > PREFERENCES_BYTES_MAX {
            let expected = format!("at most {PREFERENCES_BYTES_MAX} bytes of JSON");
            return Err(ApiError::invalid_field(&pointer, expected));
        }
        Ok(Some(document))
    }

    fn required(&mut self, name: &str) -> Result<Value, ApiError> {
        let value = self.object.remove(name).filter(|value| !value.is_null());
        value.ok_or_else(|| ApiError::missing_field(&self.pointer(name)))
    }
}

/// What Courier requires of preferences, and no more: dates in rules are not looked at.
fn check_preferences(value: &Value, pointer: &str) -> Result<(), ApiError> {
    const STATUSES: [&str; 3] = ["OPTED_IN", "OPTED_OUT", "REQUIRED"];
    const CHANNELS: [&str; 6] = ["direct_message", "email", "push", "sms", "webhook", "inbox"];
    let groups = object(value, pointer)?;
    for group in ["notifications", "categories"] {
        let pointer = format!("{pointer}/{group}");
        let Some(choices) = groups.get(group).filter(|choices| !choices.is_null()) else {
            continue;
        };
        for (id, choice) in object(choices, &pointer)? {
            let escaped = id.replace('~', "~0").replace('/', "~1");
            let pointer = format!("{pointer}/{escaped}");
            let choice = object(choice, &pointer)?;
            one_of(
                choice.get("status"),
                &STATUSES,
                &format!("{pointer}/status"),
            )?;
            let pointer = format!("{pointer}/channel_preferences");
            for (place, channel) in items(choice.get("channel_preferences"), &pointer)?.enumerate()
            {
                let pointer = format!("{pointer}/{place}");
                let channel = object(channel, &pointer)?.get("channel");
                one_of(channel, &CHANNELS, &format!("{pointer}/channel"))?;
            }
        }
    }
    Ok(())
}

fn object<'a>(value: &'a Value, pointer: &str) -> Result<&'a Map<String, Value>, ApiError> {
    value
        .as_object()
        .ok_or_else(|| ApiError::invalid_field(pointer, "an object"))
}

fn items<'a>(
    value: Option<&'a Value>,
    pointer: &str,
) -> Result<impl Iterator<Item = &'a Value>, ApiError> {
    let items = match value {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(items)) => items,
        Some(_) => return Err(ApiError::invalid_field(pointer, "an array")),
    };
    Ok(items.iter())
}

fn one_of(value: Option<&Value>, allowed: &[&str], pointer: &str) -> Result<(), ApiError> {
    let Some(value) = value else {
        return Err(ApiError::missing_field(pointer));
    };
    if value.as_str().is_some_and(|text| allowed.contains(&text)) {
        return Ok(());
    }
    Err(ApiError::invalid_field(
        pointer,
        format!("one of {}", allowed.join(", ")),
    ))
}
