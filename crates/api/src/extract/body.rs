use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Bytes, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use domain::limits::{
    BODY_BYTES_MAX, ID_BYTES_MAX, PREFERENCES_BYTES_MAX, PROFILE_LEVELS_MAX, RULE_LIMITS,
    SAMPLE_MAX, SNOOZES_MAX,
};
use domain::{Change, ChoiceRequest, RECIPIENT_PREFERENCES, Shape, is_expired, parse_token};
use engine::TokenDetails;
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;
use types::filter::{Group, GroupOperator, Moment};
use types::{
    Channel, Choice, DeviceToken, JsonDocument, MinuteOfDay, PreferenceStatus, QuietHours, Snooze,
    Timestamp, Weekday, depth_within, parse_json, without_nulls,
};

use crate::error::ApiError;
use crate::extract::path::PathId;
use crate::state::{ApiState, SMALL_BODY_BYTES_MAX};

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// The JSON that is the body of a request; nothing if it is empty.
pub(crate) struct Body {
    pub(crate) value: Option<Value>,
    /// A large body counts until its request has been answered.
    room: Option<OwnedSemaphorePermit>,
}

/// The object that is the body of a request; an empty body is an empty object. Members that are not
/// asked for are ignored. Knows where in the body it stands, so that errors can say it.
pub(crate) struct Fields {
    object: Map<String, Value>,
    pointer: String,
    _room: Option<OwnedSemaphorePermit>,
}

impl FromRequest<ApiState> for Body {
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
            return Ok(Self { value: None, room });
        }
        let value = parse_json(&bytes)
            .map_err(|error| ApiError::malformed_json(format!("the body is not JSON: {error}")))?;
        Ok(Self {
            value: Some(value),
            room,
        })
    }
}

impl FromRequest<ApiState> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let Body { value, room } = Body::from_request(request, state).await?;
        match value.unwrap_or_else(|| Value::Object(Map::new())) {
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
pub(crate) async fn read_body(body: axum::body::Body, bytes_max: usize) -> Result<Bytes, ApiError> {
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

    /// The object that a member is, to be read by itself; `null` is as if not given.
    pub(crate) fn below(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let given = self.take(name).filter(|value| !value.is_null());
        given
            .map(|value| Self::of(value, self.pointer(name)))
            .transpose()
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

    /// Whether the member is there and not `null`.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
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

    /// A string that is not too long; `null` is as if not given.
    pub(crate) fn text(
        &mut self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Option<String>, ApiError> {
        match self.text_change(name, bytes_max)? {
            Change::Set(text) => Ok(Some(text)),
            Change::Keep | Change::Clear => Ok(None),
        }
    }

    /// As [`Fields::text`], of what cannot be left out.
    pub(crate) fn required_text(
        &mut self,
        name: &str,
        bytes_max: usize,
    ) -> Result<String, ApiError> {
        let text = self.string(name)?;
        if text.len() > bytes_max {
            let expected = format!("at most {bytes_max} bytes long");
            return Err(ApiError::invalid_field(&self.pointer(name), expected));
        }
        Ok(text)
    }

    /// `null` is as if not given.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
                Err(ApiError::invalid_field(&self.pointer(name), "a boolean"))
            }
        }
    }

    /// An id; `null` is as if not given.
    pub(crate) fn id<A: PathId>(&mut self, name: &str) -> Result<Option<A>, ApiError> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let pointer = self.pointer(name);
        let raw = value
            .as_str()
            .ok_or_else(|| ApiError::invalid_field(&pointer, "a string"))?;
        let id = A::read(raw).map_err(|error| ApiError::invalid_id(error, &pointer))?;
        Ok(Some(id))
    }

    /// Refuses what is given and no id, and leaves it where it is.
    pub(crate) fn check_id<A: PathId>(&self, name: &str) -> Result<(), ApiError> {
        let Some(value) = self.object.get(name).filter(|value| !value.is_null()) else {
            return Ok(());
        };
        let pointer = self.pointer(name);
        let raw = value.as_str();
        let raw = raw.ok_or_else(|| ApiError::invalid_field(&pointer, "a string"))?;
        A::read(raw)
            .map(drop)
            .map_err(|error| ApiError::invalid_id(error, &pointer))
    }

    pub(crate) fn required_id<A: PathId>(&mut self, name: &str) -> Result<A, ApiError> {
        self.id(name)?
            .ok_or_else(|| ApiError::missing_field(&self.pointer(name)))
    }

    /// As [`Fields::document`], of a certain shape.
    pub(crate) fn shaped(
        &mut self,
        name: &str,
        bytes_max: usize,
        shape: Shape,
    ) -> Result<Change<JsonDocument>, ApiError> {
        let document = self.document(name, bytes_max)?;
        if let Change::Set(document) = &document {
            let checked = shape.check(&document.to_value());
            let pointer = self.pointer(name);
            checked.map_err(|error| ApiError::invalid_member(&error, &pointer))?;
        }
        Ok(document)
    }

    /// An object that is not too large, without its nulls; kept when left out, cleared when `null`.
    pub(crate) fn document(
        &mut self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Change<JsonDocument>, ApiError> {
        let value = match self.take(name) {
            None => return Ok(Change::Keep),
            Some(Value::Null) => return Ok(Change::Clear),
            Some(value) => value,
        };
        let pointer = self.pointer(name);
        let value = without_nulls(value);
        if !value.is_object() {
            return Err(ApiError::invalid_field(&pointer, "an object"));
        }
        bounded(&value, bytes_max, &pointer).map(Change::Set)
    }

    /// One of the names of an enum; `null` is as if not given.
    pub(crate) fn named<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        names: &[&str],
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        value.as_str().and_then(parse).map(Some).ok_or_else(|| {
            let expected = format!("one of {}", names.join(", "));
            ApiError::invalid_field(&self.pointer(name), expected)
        })
    }

    /// Several of the names of an enum, each once; `null` is as if not given.
    pub(crate) fn all_named<T: PartialEq>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        names: &[&str],
    ) -> Result<Option<Vec<T>>, ApiError> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let pointer = self.pointer(name);
        let items = value
            .as_array()
            .ok_or_else(|| ApiError::invalid_field(&pointer, "an array"))?;
        let mut found = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let item = item.as_str().and_then(&parse).ok_or_else(|| {
                let expected = format!("one of {}", names.join(", "));
                ApiError::invalid_field(&format!("{pointer}/{place}"), expected)
            })?;
            if !found.contains(&item) {
                found.push(item);
            }
        }
        Ok(Some(found))
    }

    pub(crate) fn status(&mut self) -> Result<PreferenceStatus, ApiError> {
        const NAME: &str = "status";
        self.named(NAME, PreferenceStatus::parse, PreferenceStatus::NAMES)?
            .ok_or_else(|| ApiError::missing_field(&self.pointer(NAME)))
    }

    /// `has_custom_routing` and `custom_routing`: channels, if some are to be used only.
    pub(crate) fn routing(&mut self) -> Result<Option<Vec<Channel>>, ApiError> {
        const NAME: &str = "custom_routing";
        let wanted = self.boolean("has_custom_routing")?;
        let channels = self.all_named(NAME, Channel::parse, Channel::NAMES)?;
        let channels = channels.unwrap_or_default();
        match (wanted, channels.is_empty()) {
            (Some(false), _) | (None, true) => Ok(None),
            (Some(true), true) => {
                let expected = "at least one channel where has_custom_routing is true";
                Err(ApiError::invalid_field(&self.pointer(NAME), expected))
            }
            (Some(true) | None, false) => Ok(Some(channels)),
        }
    }

    /// A status with channels.
    pub(crate) fn choice(&mut self) -> Result<Choice, ApiError> {
        Ok(Choice {
            status: self.status()?,
            routing: self.routing()?,
        })
    }

    /// What somebody chooses for a topic.
    pub(crate) fn choice_request(&mut self) -> Result<ChoiceRequest, ApiError> {
        let Choice { status, routing } = self.choice()?;
        Ok(ChoiceRequest {
            status,
            routing,
            digest_schedule_id: self.text_change("digest_schedule_id", ID_BYTES_MAX)?,
            snoozes: self.snoozes()?,
        })
    }

    fn snoozes(&mut self) -> Result<Change<Vec<Snooze>>, ApiError> {
        const NAME: &str = "rules";
        let rules = match self.peek_given(NAME) {
            None => return Ok(Change::Keep),
            Some(Value::Null) => return Ok(Change::Clear),
            Some(_) => self.array(NAME, SNOOZES_MAX)?,
        };
        let pointer = self.pointer(NAME);
        let snoozes = rules.into_iter().enumerate().map(|(place, rule)| {
            let mut rule = Self::of(rule, format!("{pointer}/{place}"))?;
            let until = rule.moment("until")?;
            Ok(Snooze {
                until: until.ok_or_else(|| ApiError::missing_field(&rule.pointer("until")))?,
                start: rule.moment("start")?,
            })
        });
        snoozes.collect::<Result<_, ApiError>>().map(Change::Set)
    }

    /// A time; `null` is as if not given.
    pub(crate) fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let moment = value.as_str().and_then(Moment::parse_or_utc);
        let time = moment.and_then(Moment::timestamp);
        time.map(Some).ok_or_else(|| {
            ApiError::invalid_field(&self.pointer(name), "a date or a time (ISO 8601)")
        })
    }

    /// The member as it is, where `null` is told from what is not there.
    fn peek_given(&self, name: &str) -> Option<&Value> {
        self.object.get(name)
    }

    /// Whether the token of which this speaks has expired already.
    pub(crate) fn is_expired_token(&self, now: Timestamp) -> bool {
        is_expired(&self.object, now)
    }

    /// A device token with what is known about it.
    pub(crate) fn token(
        &mut self,
        token: DeviceToken,
        now: Timestamp,
    ) -> Result<(DeviceToken, TokenDetails), ApiError> {
        let details = parse_token(&mut self.object, now);
        let details = details.map_err(|error| ApiError::invalid_member(&error, &self.pointer))?;
        Ok((token, details))
    }

    pub(crate) fn quiet_hours(&mut self) -> Result<QuietHours, ApiError> {
        let time_zone = self.string("time_zone")?;
        let days = self.all_named("days", Weekday::parse, Weekday::NAMES)?;
        let days = days.unwrap_or_else(|| Weekday::ALL.to_vec());
        if days.is_empty() {
            let expected = "at least one day; left out, every day is meant";
            return Err(ApiError::invalid_field(&self.pointer("days"), expected));
        }
        let mut time = |name: &str| {
            let text = self.string(name)?;
            MinuteOfDay::parse(&text)
                .ok_or_else(|| ApiError::invalid_field(&self.pointer(name), "a time as HH:MM"))
        };
        let (from, to) = (time("from")?, time("to")?);
        QuietHours::new(&time_zone, days, from, to).ok_or_else(|| {
            let expected = "the name of a time zone, such as Europe/Berlin";
            ApiError::invalid_field(&self.pointer("time_zone"), expected)
        })
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
        self.preferences_at("preferences")
    }

    pub(crate) fn preferences_at(&mut self, name: &str) -> Result<Option<JsonDocument>, ApiError> {
        let Some(value) = self.object.remove(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        preferences(&value, &self.pointer(name)).map(Some)
    }

    /// Courier's `RecipientPreferences` that are the body itself.
    pub(crate) fn as_preferences(&mut self) -> Result<JsonDocument, ApiError> {
        let body = Value::Object(self.take_all());
        preferences(&body, &self.pointer)
    }

    /// What is to be merged into Courier's `RecipientPreferences`, and is no larger than they can be.
    pub(crate) fn preference_changes(&mut self) -> Result<JsonDocument, ApiError> {
        let changes = Value::Object(self.take_all());
        bounded(&changes, PREFERENCES_BYTES_MAX, &self.pointer)
    }

    fn required(&mut self, name: &str) -> Result<Value, ApiError> {
        let value = self.object.remove(name).filter(|value| !value.is_null());
        value.ok_or_else(|| ApiError::missing_field(&self.pointer(name)))
    }
}

fn preferences(value: &Value, pointer: &str) -> Result<JsonDocument, ApiError> {
    RECIPIENT_PREFERENCES
        .check(value)
        .map_err(|error| ApiError::invalid_member(&error, pointer))?;
    bounded(value, PREFERENCES_BYTES_MAX, pointer)
}

/// The value as a document, if it is not too large and not too deep.
pub(crate) fn bounded(
    value: &Value,
    bytes_max: usize,
    pointer: &str,
) -> Result<JsonDocument, ApiError> {
    let document = JsonDocument::from_value(value);
    if document.as_str().len() > bytes_max || !depth_within(value, PROFILE_LEVELS_MAX) {
        let expected =
            format!("at most {bytes_max} bytes of JSON, {PROFILE_LEVELS_MAX} levels deep");
        return Err(ApiError::invalid_field(pointer, expected));
    }
    Ok(document)
}
