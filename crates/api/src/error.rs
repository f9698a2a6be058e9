use axum::http::header::{ETAG, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::limits::BODY_BYTES_MAX;
use domain::{
    AudienceRefusal, BrandRefusal, BulkRefusal, InvalidMember, KeyRefusal, ListRefusal,
    MessageRefusal, PreferenceRefusal, ProfileRefusal, SectionRefusal, TemplateRefusal,
    TenantRefusal, TokenRefusal, TopicRefusal, WebhookRefusal,
};
use engine::{ExecuteError, HistoryError, Refusal};
use serde::Serialize;
use serde_json::Value;
use transparency::ProveError;
use types::filter::InvalidRule;
use types::{AudienceId, InvalidId, InvalidPatch, InvalidPath, InvalidPattern, StreamVersion};
use utoipa::ToSchema;

use crate::request::entity_tag;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// A request that does not get what it asks for. Becomes a body where the request's id is known.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// JSON pointer to the field at fault.
    path: Option<String>,
    /// The audience about which a rule must not ask.
    through: Option<AudienceId>,
    /// Seconds after which it is worth to ask again.
    retry_after: Option<u64>,
    /// The version that is there instead of the one that was expected.
    current: Option<StreamVersion>,
    /// What it is about, as it is.
    record: Option<Box<Value>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Body<'a> {
    #[serde(rename = "type")]
    error_type: &'static str,
    message: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(flatten)]
    #[schema(ignore)]
    record: Option<&'a Value>,
}

/// One of several things that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ItemError {
    index: usize,
    code: &'static str,
    message: String,
    path: Option<String>,
}

macro_rules! codes {
    ($($constant:ident = $code:literal, $status:ident;)+) => {
        $(const $constant: (&str, StatusCode) = ($code, StatusCode::$status);)+

        /// Every stable code that an error body can carry; each has a page under `docs/errors`.
        pub const CODES: &[&str] = &[$($code),+];
    };
}

codes! {
    MALFORMED_BODY = "malformed_body", BAD_REQUEST;
    MALFORMED_JSON = "malformed_json", BAD_REQUEST;
    INVALID_BODY = "invalid_body", BAD_REQUEST;
    MISSING_FIELD = "missing_field", BAD_REQUEST;
    INVALID_FIELD = "invalid_field", BAD_REQUEST;
    INVALID_ID = "invalid_id", BAD_REQUEST;
    INVALID_PATTERN = "invalid_pattern", BAD_REQUEST;
    INVALID_PARAMETER = "invalid_parameter", BAD_REQUEST;
    INVALID_HEADER = "invalid_header", BAD_REQUEST;
    INVALID_CURSOR = "invalid_cursor", BAD_REQUEST;
    INVALID_RULE = "invalid_rule", BAD_REQUEST;
    INVALID_CONTENT = "invalid_content", BAD_REQUEST;
    AUDIENCE_CYCLE = "audience_cycle", BAD_REQUEST;
    TENANT_CYCLE = "tenant_cycle", BAD_REQUEST;
    TENANT_TOO_DEEP = "tenant_too_deep", BAD_REQUEST;
    TOPIC_REQUIRED = "topic_required", BAD_REQUEST;
    UNKNOWN_SCHEDULE = "unknown_schedule", BAD_REQUEST;
    LIMIT_REACHED = "limit_reached", BAD_REQUEST;
    PATCH_FAILED = "patch_failed", BAD_REQUEST;
    PROFILE_TOO_DEEP = "profile_too_deep", BAD_REQUEST;
    TOO_MANY_ITEMS = "too_many_items", BAD_REQUEST;
    CREDENTIAL_MISSING = "credential_missing", UNAUTHORIZED;
    CREDENTIAL_INVALID = "credential_invalid", UNAUTHORIZED;
    SCOPE_MISSING = "scope_missing", FORBIDDEN;
    KEY_RESTRICTED = "key_restricted", FORBIDDEN;
    TOKEN_INSUFFICIENT = "token_insufficient", FORBIDDEN;
    PROFILE_NOT_FOUND = "profile_not_found", NOT_FOUND;
    LIST_NOT_FOUND = "list_not_found", NOT_FOUND;
    AUDIENCE_NOT_FOUND = "audience_not_found", NOT_FOUND;
    TENANT_NOT_FOUND = "tenant_not_found", NOT_FOUND;
    MEMBERSHIP_NOT_FOUND = "membership_not_found", NOT_FOUND;
    SECTION_NOT_FOUND = "section_not_found", NOT_FOUND;
    TOPIC_NOT_FOUND = "topic_not_found", NOT_FOUND;
    TOKEN_NOT_FOUND = "token_not_found", NOT_FOUND;
    BRAND_NOT_FOUND = "brand_not_found", NOT_FOUND;
    USER_NOT_FOUND = "user_not_found", NOT_FOUND;
    KEY_NOT_FOUND = "key_not_found", NOT_FOUND;
    WEBHOOK_NOT_FOUND = "webhook_not_found", NOT_FOUND;
    AUDIT_EVENT_NOT_FOUND = "audit_event_not_found", NOT_FOUND;
    MESSAGE_NOT_FOUND = "message_not_found", NOT_FOUND;
    TEMPLATE_NOT_FOUND = "template_not_found", NOT_FOUND;
    BULK_JOB_NOT_FOUND = "bulk_job_not_found", NOT_FOUND;
    EVENT_NOT_FOUND = "event_not_found", NOT_FOUND;
    SIZE_NOT_FOUND = "size_not_found", NOT_FOUND;
    TILE_NOT_FOUND = "tile_not_found", NOT_FOUND;
    ROUTE_NOT_FOUND = "route_not_found", NOT_FOUND;
    METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED;
    ID_TAKEN = "id_taken", CONFLICT;
    SECTION_NOT_EMPTY = "section_not_empty", CONFLICT;
    BRAND_IN_USE = "brand_in_use", CONFLICT;
    MESSAGE_NOT_CANCELABLE = "message_not_cancelable", CONFLICT;
    BULK_JOB_STARTED = "bulk_job_started", CONFLICT;
    DUPLICATE_MESSAGE = "duplicate_message", CONFLICT;
    BODY_TIMEOUT = "body_timeout", REQUEST_TIMEOUT;
    BODY_TOO_LARGE = "body_too_large", PAYLOAD_TOO_LARGE;
    PROFILE_TOO_LARGE = "profile_too_large", PAYLOAD_TOO_LARGE;
    PRECONDITION_FAILED = "precondition_failed", PRECONDITION_FAILED;
    RATE_LIMITED = "rate_limited", TOO_MANY_REQUESTS;
    BUSY = "busy", SERVICE_UNAVAILABLE;
    STARTING = "starting", SERVICE_UNAVAILABLE;
    STOPPING = "stopping", SERVICE_UNAVAILABLE;
    CAPACITY_EXHAUSTED = "capacity_exhausted", INSUFFICIENT_STORAGE;
    INTERNAL = "internal_error", INTERNAL_SERVER_ERROR;
}

impl ApiError {
    fn new((code, status): (&'static str, StatusCode), message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            path: None,
            through: None,
            retry_after: None,
            current: None,
            record: None,
        }
    }

    /// With what it is about, as it is, beside the members of the error. Of those `request_id` is of the
    /// call, so a record that is a request has its own as `id`.
    pub(crate) fn with_record(mut self, record: &impl Serialize) -> Self {
        if let Ok(Value::Object(mut record)) = serde_json::to_value(record) {
            if let Some(id) = record.remove("request_id") {
                record.entry("id").or_insert(id);
            }
            self.record = Some(Box::new(Value::Object(record)));
        }
        self
    }

    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Points to where in the rule, as the caller wrote it, the audience is asked about.
    pub(crate) fn at_audience_in(mut self, filter: &Value) -> Self {
        let through = self.through.as_ref();
        if let Some(pointer) = through.and_then(|it| pointer_to(filter, it.as_str())) {
            self.path = Some(format!("/filter{pointer}"));
        }
        self
    }

    /// Says which one is meant, where the path does not.
    pub(crate) fn about(mut self, id: &str) -> Self {
        self.message = format!("{}: {id}", self.message);
        self
    }

    pub(crate) fn malformed_body() -> Self {
        Self::new(
            MALFORMED_BODY,
            "the body did not arrive as its headers announced it",
        )
    }

    pub(crate) fn busy() -> Self {
        Self::new(BUSY, "the server is busy with other requests of this kind")
    }

    pub(crate) fn starting() -> Self {
        Self::new(
            STARTING,
            "the server is starting; /readyz says how far it is",
        )
    }

    pub(crate) fn malformed_json(reason: impl Into<String>) -> Self {
        Self::new(MALFORMED_JSON, reason)
    }

    pub(crate) fn invalid_body(message: &'static str) -> Self {
        Self::new(INVALID_BODY, message).at("")
    }

    pub(crate) fn missing_field(path: &str) -> Self {
        Self::new(MISSING_FIELD, format!("{path} is required")).at(path)
    }

    pub(crate) fn invalid_field(path: &str, expected: impl std::fmt::Display) -> Self {
        Self::new(INVALID_FIELD, format!("{} must be {expected}", named(path))).at(path)
    }

    pub(crate) fn invalid_id(error: InvalidId, path: &str) -> Self {
        Self::new(INVALID_ID, error.to_string()).at(path)
    }

    pub(crate) fn invalid_path_segment() -> Self {
        Self::new(INVALID_ID, "an id in the path is not UTF-8")
    }

    pub(crate) fn invalid_pattern(error: InvalidPattern) -> Self {
        Self::new(INVALID_PATTERN, error.to_string()).at("/pattern")
    }

    pub(crate) fn invalid_parameter(name: &str, expected: &str) -> Self {
        Self::new(
            INVALID_PARAMETER,
            format!("the parameter {name} must be {expected}"),
        )
        .at(format!("/{name}"))
    }

    pub(crate) fn invalid_attribute(path: &str, error: InvalidPath) -> Self {
        Self::new(INVALID_PARAMETER, error.to_string()).at(format!("/attribute.{path}"))
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::new(MISSING_FIELD, format!("the parameter {name} is required")).at(format!("/{name}"))
    }

    /// An operation of the `patch` in the body that is none.
    pub(crate) fn invalid_patch(invalid: &InvalidPatch) -> Self {
        let operation = format!("/patch/{}", invalid.operation);
        let pointer = match invalid.member {
            "" => operation,
            member => format!("{operation}/{member}"),
        };
        Self::invalid_field(&pointer, format!("valid: {}", invalid.reason))
    }

    pub(crate) fn invalid_cursor() -> Self {
        Self::new(INVALID_CURSOR, "Invalid cursor format").at("/cursor")
    }

    pub(crate) fn too_many_items(path: &str, at_most: usize) -> Self {
        Self::new(
            TOO_MANY_ITEMS,
            format!("{} must hold at most {at_most} items", named(path)),
        )
        .at(path)
    }

    pub(crate) fn body_too_large() -> Self {
        Self::new(
            BODY_TOO_LARGE,
            format!("the body is larger than {BODY_BYTES_MAX} bytes"),
        )
    }

    pub(crate) fn body_timeout() -> Self {
        Self::new(BODY_TIMEOUT, "the body did not arrive in time")
    }

    pub(crate) fn credential_missing() -> Self {
        let message = "credentials are missing: send `Authorization: Bearer <API key>`";
        Self::new(CREDENTIAL_MISSING, message)
    }

    pub(crate) fn credential_invalid() -> Self {
        Self::new(CREDENTIAL_INVALID, "the credentials are invalid")
    }

    pub(crate) fn scope_missing(scope: &str) -> Self {
        let message = format!("the key has not the scope {scope}");
        Self::new(SCOPE_MISSING, message)
    }

    pub(crate) fn key_restricted() -> Self {
        let message = "a key that is restricted to a tenant cannot do this";
        Self::new(KEY_RESTRICTED, message)
    }

    pub(crate) fn token_insufficient() -> Self {
        let message = "the token does not allow this, or not for this user";
        Self::new(TOKEN_INSUFFICIENT, message)
    }

    /// A key can give away no more than it has.
    pub(crate) fn scope_too_wide() -> Self {
        let message = "the key has not all of these scopes itself";
        Self::new(SCOPE_MISSING, message).at("/scopes")
    }

    pub(crate) fn past_not_written() -> Self {
        Self::invalid_parameter(
            "as_of",
            "left out: only what is read can be read as of a moment",
        )
    }

    pub(crate) fn invalid_header(name: &str, expected: &str) -> Self {
        let message = format!("the header {name} must be {expected}");
        Self::new(INVALID_HEADER, message).at(format!("/{name}"))
    }

    pub(crate) fn rate_limited(seconds: u64) -> Self {
        let message = format!("too many requests: try again in {seconds} s");
        let mut error = Self::new(RATE_LIMITED, message);
        error.retry_after = Some(seconds);
        error
    }

    pub(crate) fn key_not_found() -> Self {
        Self::new(KEY_NOT_FOUND, "there is no such key")
    }

    pub(crate) fn webhook_not_found() -> Self {
        Self::new(WEBHOOK_NOT_FOUND, "there is no such webhook")
    }

    pub(crate) fn message_not_found() -> Self {
        Self::new(MESSAGE_NOT_FOUND, "Message not found")
    }

    pub(crate) fn message_not_cancelable() -> Self {
        Self::new(
            MESSAGE_NOT_CANCELABLE,
            "the message has gone out, is on its way, or was canceled before",
        )
    }

    pub(crate) fn duplicate_message() -> Self {
        Self::new(DUPLICATE_MESSAGE, "this was told before, with the same id")
    }

    pub(crate) fn template_not_found() -> Self {
        Self::new(TEMPLATE_NOT_FOUND, "Template not found")
    }

    pub(crate) fn template_taken() -> Self {
        Self::new(ID_TAKEN, "there is a template with this id already").at("/id")
    }

    pub(crate) fn bulk_job_not_found() -> Self {
        Self::new(BULK_JOB_NOT_FOUND, "Bulk job not found")
    }

    /// Content of which nothing can be told.
    pub(crate) fn invalid_content(message: &str) -> Self {
        Self::new(INVALID_CONTENT, message)
    }

    pub(crate) fn audit_event_not_found() -> Self {
        Self::new(AUDIT_EVENT_NOT_FOUND, "there is no such audit event")
    }

    pub(crate) fn profile_not_found() -> Self {
        Self::new(PROFILE_NOT_FOUND, "Profile not found")
    }

    pub(crate) fn list_not_found() -> Self {
        Self::new(LIST_NOT_FOUND, "List not found")
    }

    pub(crate) fn audience_not_found() -> Self {
        Self::new(AUDIENCE_NOT_FOUND, "Audience not found")
    }

    pub(crate) fn tenant_not_found() -> Self {
        Self::new(TENANT_NOT_FOUND, "Tenant not found")
    }

    pub(crate) fn membership_not_found() -> Self {
        Self::new(
            MEMBERSHIP_NOT_FOUND,
            "the user is not a member of this tenant",
        )
    }

    pub(crate) fn section_not_found() -> Self {
        Self::new(SECTION_NOT_FOUND, "Section not found")
    }

    pub(crate) fn topic_not_found() -> Self {
        Self::new(TOPIC_NOT_FOUND, "Topic not found")
    }

    pub(crate) fn token_not_found() -> Self {
        Self::new(TOKEN_NOT_FOUND, "Token not found")
    }

    pub(crate) fn brand_not_found() -> Self {
        Self::new(BRAND_NOT_FOUND, "Brand not found")
    }

    pub(crate) fn user_not_found() -> Self {
        Self::new(USER_NOT_FOUND, "User not found")
    }

    /// A member of a document that is not as it must be; `document` is where in the body that stands.
    pub(crate) fn invalid_member(error: &InvalidMember, document: &str) -> Self {
        let pointer = format!("{document}{}", error.pointer);
        if error.missing {
            Self::missing_field(&pointer)
        } else {
            Self::invalid_field(&pointer, &error.expected)
        }
    }

    /// What is answered about one of several things, each of which is refused by itself.
    pub(crate) fn about_item(self, index: usize) -> ItemError {
        ItemError {
            index,
            code: self.code,
            message: self.message,
            path: self.path,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Moves the pointer below another one, if there is any.
    pub(crate) fn below_if_placed(self, pointer: &str) -> Self {
        if self.path.is_some() {
            self.below(pointer)
        } else {
            self
        }
    }

    /// Moves the pointer below another one.
    pub(crate) fn below(mut self, pointer: &str) -> Self {
        self.path = Some(match self.path {
            Some(path) => format!("{pointer}{path}"),
            None => pointer.to_owned(),
        });
        self
    }

    /// A rule that is none; `field` is where in the body it stands.
    pub(crate) fn invalid_rule(error: &InvalidRule, field: &str) -> Self {
        let pointer = format!("{field}{}", error.pointer);
        let message = format!("{pointer} must be {}", error.expected);
        Self::new(INVALID_RULE, message).at(pointer)
    }

    pub(crate) fn event_not_found() -> Self {
        Self::new(EVENT_NOT_FOUND, "there is no event at this position")
    }

    pub(crate) fn tile_not_found() -> Self {
        Self::new(TILE_NOT_FOUND, "the log has no such tile")
    }

    pub(crate) fn route_not_found() -> Self {
        Self::new(ROUTE_NOT_FOUND, "Not Found")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(METHOD_NOT_ALLOWED, "this path does not have that method")
    }

    /// The response with its body, for the request with this id.
    pub(crate) fn into_response_for(self, request_id: &str) -> Response {
        let error_type = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "authorization_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        };
        let body = Body {
            error_type,
            message: &self.message,
            code: self.code,
            request_id,
            path: self.path.as_deref(),
            record: self.record.as_deref(),
        };
        let mut response = crate::routes::json(&body);
        *response.status_mut() = self.status;
        let busy = self.status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.retry_after.or_else(|| busy.then_some(1)) {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(current) = self.current
            && let Ok(tag) = HeaderValue::from_str(&entity_tag(current))
        {
            response.headers_mut().insert(ETAG, tag);
        }
        // Asking again gets the same answer, and the SDKs would.
        if matches!(
            self.status,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
        ) {
            let never = HeaderValue::from_static("false");
            response.headers_mut().insert(SHOULD_RETRY, never);
        }
        response
    }
}

/// A field by its pointer; the whole body has an empty one.
fn named(pointer: &str) -> &str {
    if pointer.is_empty() {
        "the body"
    } else {
        pointer
    }
}

/// Where in a rule of any shape `MEMBER_OF` asks about this audience.
fn pointer_to(rule: &Value, audience: &str) -> Option<String> {
    let asks = ["MEMBER_OF", "audience", audience];
    let has = ["operator", "path", "value"].map(|member| rule.get(member).and_then(Value::as_str));
    if has == asks.map(Some) {
        return Some("/value".to_owned());
    }
    ["filters", "rules"].into_iter().find_map(|member| {
        let rules = rule.get(member)?.as_array()?.iter().enumerate();
        rules.into_iter().find_map(|(place, rule)| {
            let inner = pointer_to(rule, audience)?;
            Some(format!("/{member}/{place}{inner}"))
        })
    })
}

/// The error travels as an extension, and becomes a body in the one place that knows the request.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ExecuteError> for ApiError {
    fn from(error: ExecuteError) -> Self {
        let message = error.to_string();
        match error {
            ExecuteError::Busy => Self::new(BUSY, message),
            ExecuteError::Stopped => Self::new(STOPPING, message),
            ExecuteError::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::SubjectsExhausted => Self::new(CAPACITY_EXHAUSTED, message),
            Refusal::List(ListRefusal::NotFound) => Self::list_not_found(),
            Refusal::UserNotFound => Self::user_not_found(),
            Refusal::Audience(refusal) => refusal.into(),
            Refusal::Profile(refusal) => match refusal {
                ProfileRefusal::Patch(refused) => {
                    Self::new(PATCH_FAILED, message).at(format!("/patch/{}", refused.operation))
                }
                ProfileRefusal::NotAnObject => Self::new(PATCH_FAILED, message).at("/patch"),
                ProfileRefusal::TooLarge => Self::new(PROFILE_TOO_LARGE, message).at("/profile"),
                ProfileRefusal::TooDeep => Self::new(PROFILE_TOO_DEEP, message).at("/profile"),
            },
            Refusal::Tenant(refusal) => match refusal {
                TenantRefusal::NotFound => Self::tenant_not_found(),
                TenantRefusal::Cycle => Self::new(TENANT_CYCLE, message).at("/parent_tenant_id"),
                TenantRefusal::TooDeep => {
                    Self::new(TENANT_TOO_DEEP, message).at("/parent_tenant_id")
                }
                TenantRefusal::TooManyDefaults => Self::new(LIMIT_REACHED, message),
            },
            Refusal::Section(refusal) => match refusal {
                SectionRefusal::NotFound => Self::section_not_found(),
                SectionRefusal::Taken => Self::new(ID_TAKEN, message).at("/id"),
                SectionRefusal::NotEmpty => Self::new(SECTION_NOT_EMPTY, message),
            },
            Refusal::TooManySections
            | Refusal::TooManyTenants
            | Refusal::TooManyLists
            | Refusal::TooManyBulkJobs
            | Refusal::TooManyTrackedEvents => Self::new(LIMIT_REACHED, message),
            Refusal::Topic(refusal) => match refusal {
                TopicRefusal::NotFound => Self::topic_not_found(),
                TopicRefusal::Taken => Self::new(ID_TAKEN, message).at("/id"),
                TopicRefusal::NoSchedules => {
                    Self::new(MISSING_FIELD, message).at("/digest/schedules")
                }
                TopicRefusal::TooMany | TopicRefusal::TooLarge => Self::new(LIMIT_REACHED, message),
            },
            Refusal::Brand(refusal) => match refusal {
                BrandRefusal::NotFound => Self::brand_not_found(),
                BrandRefusal::Taken => Self::new(ID_TAKEN, message).at("/id"),
                BrandRefusal::InUse => Self::new(BRAND_IN_USE, message),
            },
            Refusal::Key(refusal) => match refusal {
                KeyRefusal::NotFound => Self::key_not_found(),
                KeyRefusal::Taken => Self::new(ID_TAKEN, message),
                KeyRefusal::TooMany => Self::new(LIMIT_REACHED, message),
            },
            Refusal::Webhook(refusal) => match refusal {
                WebhookRefusal::NotFound => Self::webhook_not_found(),
                WebhookRefusal::Taken => Self::new(ID_TAKEN, message),
                WebhookRefusal::TooMany => Self::new(LIMIT_REACHED, message),
            },
            Refusal::Message(refusal) => match refusal {
                MessageRefusal::NotFound => Self::message_not_found(),
                MessageRefusal::TooLate => Self::message_not_cancelable(),
                MessageRefusal::Taken | MessageRefusal::Resolved => Self::new(ID_TAKEN, message),
            },
            Refusal::Bulk(refusal) => match refusal {
                BulkRefusal::NotFound => Self::bulk_job_not_found(),
                BulkRefusal::Started => Self::new(BULK_JOB_STARTED, message),
                BulkRefusal::Taken => Self::new(ID_TAKEN, message),
            },
            Refusal::Template(refusal) => match refusal {
                TemplateRefusal::NotFound => Self::template_not_found(),
                TemplateRefusal::VersionNotFound => Self::template_not_found().at("/version"),
                TemplateRefusal::TooMany => Self::new(LIMIT_REACHED, message),
            },
            Refusal::CredentialEnded => Self::credential_invalid(),
            Refusal::PreconditionFailed(current) => {
                let mut error = Self::new(PRECONDITION_FAILED, message);
                error.current = current;
                error
            }
            Refusal::UnknownBrand => Self::brand_not_found().at("/brand_id"),
            Refusal::Preference(refusal) => refusal.into(),
            Refusal::Choice { place, refusal } => {
                Self::from(refusal).below(&format!("/preferences/{place}"))
            }
            Refusal::PreferencesTooLarge | Refusal::PreferencesTooDeep => {
                Self::new(INVALID_FIELD, message).at("")
            }
            Refusal::InvalidPreferences(invalid) => Self::invalid_member(&invalid, ""),
            Refusal::Token(refusal) => match refusal {
                TokenRefusal::NotFound => Self::token_not_found(),
                TokenRefusal::Patch(refused) => {
                    Self::new(PATCH_FAILED, message).at(format!("/patch/{}", refused.operation))
                }
                TokenRefusal::Invalid(_) | TokenRefusal::OtherToken => {
                    Self::new(PATCH_FAILED, message).at("/patch")
                }
                TokenRefusal::TooMany => Self::new(LIMIT_REACHED, message),
            },
        }
    }
}

impl From<PreferenceRefusal> for ApiError {
    fn from(refusal: PreferenceRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            PreferenceRefusal::UnknownTopic => Self::topic_not_found(),
            PreferenceRefusal::Required => Self::new(TOPIC_REQUIRED, message).at("/status"),
            PreferenceRefusal::NotAChoice => Self::new(INVALID_FIELD, message).at("/status"),
            PreferenceRefusal::UnknownSchedule => {
                Self::new(UNKNOWN_SCHEDULE, message).at("/digest_schedule_id")
            }
            PreferenceRefusal::TooMany => Self::new(LIMIT_REACHED, message),
        }
    }
}

impl From<AudienceRefusal> for ApiError {
    fn from(refusal: AudienceRefusal) -> Self {
        let message = refusal.to_string();
        let mut error = match &refusal {
            AudienceRefusal::NotFound => Self::audience_not_found(),
            AudienceRefusal::Cycle { .. } => Self::new(AUDIENCE_CYCLE, message).at("/filter"),
            AudienceRefusal::Chain { .. } => Self::new(INVALID_RULE, message).at("/filter"),
        };
        error.through = refusal.through().cloned();
        error
    }
}

impl From<ProveError> for ApiError {
    fn from(error: ProveError) -> Self {
        let message = error.to_string();
        match error {
            ProveError::NoSuchPosition { .. } => Self::event_not_found(),
            ProveError::NoSuchSize { .. } => Self::new(SIZE_NOT_FOUND, message),
            ProveError::NotInTree { .. } => Self::new(INVALID_PARAMETER, message).at("/size"),
            ProveError::Backwards { .. } => Self::new(INVALID_PARAMETER, message).at("/from"),
            ProveError::Rebuilding => Self::new(BUSY, message),
            ProveError::Log(_) | ProveError::Failed(_) => {
                tracing::error!(%error, "the log cannot be proven");
                Self::new(
                    INTERNAL,
                    "the event log cannot be read; the server's log says more",
                )
            }
        }
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        if matches!(error, HistoryError::Busy) {
            return Self::busy();
        }
        tracing::error!(%error, "the event log cannot be read");
        Self::new(
            INTERNAL,
            "the event log cannot be read; the server's log says more",
        )
    }
}
