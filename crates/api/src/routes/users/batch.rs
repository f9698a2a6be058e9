use std::collections::HashMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::limits::{LISTS_MAX, USER_CHOICES_MAX, USER_TENANTS_MAX, USER_TOKENS_MAX, USERS_MAX};
use engine::{Command, Committed, Outcome, PersonalChoice, UserUpsert};
use projections::{ExportElement, ExportPlace, ExportRow};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use types::{
    Clock as _, DeviceToken, JsonDocument, ListId, SystemClock, TenantId, Timestamp, TopicId,
    UserId,
};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::{ApiError, ItemError};
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::query::Parameters;
use crate::routes::preferences::ShownQuietHours;
use crate::routes::tenants::{membership_profile, names};
use crate::routes::{Paging, json, kept, tokens};
use crate::state::ApiState;

const ROWS: &str = "rows of users";
/// What one command of a batch holds at most: what it writes and what it writes into.
const PIECE_BYTES: usize = 1024 * 1024;
/// What it takes to look at a list that somebody is on already, about.
const LIST_BYTES: usize = 64;
/// What a row takes besides its profile, and each thing in it that is an event of its own, about.
const USER_BYTES: usize = 512;

/// Everything that was written about one person, in the form in which it is taken in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Row {
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    profile: Option<JsonDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<ListRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tenants: Vec<TenantRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    preferences: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    recipient_preferences: Option<JsonDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<ShownQuietHours>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    tokens: Vec<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ListRow {
    list_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    preferences: Option<JsonDocument>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TenantRow {
    tenant_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    profile: Option<JsonDocument>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct RowsPage {
    items: Vec<Row>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Written {
    accepted: usize,
    errors: Vec<ItemError>,
}

impl From<ExportRow> for Row {
    fn from(row: ExportRow) -> Self {
        let lists = row.lists.into_iter();
        let lists = lists.map(|(list, preferences)| ListRow {
            list_id: list.into(),
            preferences,
        });
        let tenants = row.tenants.into_iter();
        let tenants = tenants.map(|(tenant, profile)| TenantRow {
            tenant_id: tenant.into(),
            profile,
        });
        let tokens = row.tokens.iter().map(|token| {
            let mut token = tokens::shown(token);
            token.retain(|name, _| !["created_at", "updated_at"].contains(&name.as_str()));
            token
        });
        let choices = row.choices.iter();
        Self {
            user_id: row.user_id.into(),
            profile: row.profile,
            lists: lists.collect(),
            tenants: tenants.collect(),
            preferences: choices.map(|(key, it)| chosen((key, it))).collect(),
            recipient_preferences: row.recipient_preferences,
            quiet_hours: row.quiet_hours.as_ref().map(Into::into),
            tokens: tokens.collect(),
        }
    }
}

/// What a person chose for a topic, in the form in which it is taken in.
pub(super) fn chosen((key, chosen): (&(Option<TenantId>, TopicId), &PersonalChoice)) -> Value {
    let (tenant, topic) = key;
    let mut choice = value!({
        "topic_id": topic.as_str(),
        "status": chosen.choice.status.name(),
    });
    if let Some(tenant) = tenant {
        choice["tenant_id"] = tenant.as_str().into();
    }
    if let Some(channels) = &chosen.choice.routing {
        choice["has_custom_routing"] = true.into();
        choice["custom_routing"] = names(Some(channels)).into();
    }
    if let Some(schedule) = &chosen.digest_schedule_id {
        choice["digest_schedule_id"] = schedule.as_str().into();
    }
    if !chosen.snoozes.is_empty() {
        let rules = chosen.snoozes.iter().map(|snooze| {
            let mut rule = value!({"until": snooze.until.to_string()});
            if let Some(start) = snooze.start {
                rule["start"] = start.to_string().into();
            }
            rule
        });
        choice["rules"] = rules.collect();
    }
    choice
}

/// `POST /v1/users:batch`: many people, each written as a whole or not at all.
pub(crate) async fn write(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let now = SystemClock.now();
    let restore = body.boolean("restore")?.unwrap_or_default();
    let rows = body.array("users", USERS_MAX)?;
    let mut users = Vec::with_capacity(rows.len());
    let mut places = Vec::with_capacity(rows.len());
    let mut errors = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        let fields = Fields::of(row, format!("/users/{index}"));
        match fields.and_then(|mut fields| user(&mut fields, now, restore)) {
            Ok(user) => {
                users.push(user);
                places.push(index);
            }
            Err(error) => errors.push((index, error)),
        }
    }
    let mut accepted = users.len();
    let mut pieces = in_pieces(&state, users);
    let last = pieces.pop().unwrap_or_default();
    let mut places = places.into_iter();
    for users in pieces {
        let places: Vec<usize> = places.by_ref().take(users.len()).collect();
        let command = Command::UpsertUsers(users);
        let committed = state.execute(command, origin.clone()).await?;
        accepted -= note_refused(&committed, &places, &mut errors);
    }
    // A batch that is sent again is answered by what is kept with its last piece.
    let places: Vec<usize> = places.collect();
    let answer = move |committed: &Committed| {
        accepted -= note_refused(committed, &places, &mut errors);
        errors.sort_by_key(|(index, _)| *index);
        let errors = errors.into_iter();
        let errors = errors.map(|(index, error)| error.about_item(index));
        let written = Written {
            accepted,
            errors: errors.collect(),
        };
        kept(StatusCode::OK, &written)
    };
    let command = Command::UpsertUsers(last);
    Ok(state.execute_once(command, origin, answer).await?)
}

/// Takes note of who was not written, by place in the request; how many they are.
fn note_refused(
    committed: &Committed,
    places: &[usize],
    errors: &mut Vec<(usize, ApiError)>,
) -> usize {
    let Outcome::Users(refused) = &committed.outcome else {
        return 0;
    };
    for (place, refusal) in refused {
        let index = places[*place];
        let error = ApiError::from(refusal.clone()).below(&format!("/users/{index}"));
        errors.push((index, error));
    }
    refused.len()
}

/// The people in pieces, each of which is decided at once: nobody else can write meanwhile, and merging
/// into a profile takes as long as the profile is large. Each is durable by itself; whoever sends the
/// whole again after a failure between two of them changes nothing about the first.
fn in_pieces(state: &ApiState, users: Vec<UserUpsert>) -> Vec<Vec<UserUpsert>> {
    let mut profiles: HashMap<UserId, usize> = HashMap::new();
    let mut lists: HashMap<UserId, usize> = HashMap::new();
    let mut pieces: Vec<Vec<UserUpsert>> = Vec::new();
    let mut left = 0;
    for user in users {
        let parts = user.lists.len() + user.tenants.len() + user.choices.len() + user.tokens.len();
        let mut bytes = USER_BYTES * (1 + parts);
        if let Some(changes) = &user.profile {
            let models = &state.read_models;
            let stored = || {
                let subject = models.subjects.number(user.user_id.as_str());
                let profile = subject.and_then(|subject| models.profiles.document(subject));
                profile.map_or(0, |profile| profile.as_str().len())
            };
            // What earlier rows make of the profile is merged into as well.
            let profile = profiles.entry(user.user_id.clone()).or_insert_with(stored);
            *profile += text_bytes(changes);
            bytes += *profile;
        }
        if !user.lists.is_empty() {
            let stored = || {
                let models = &state.read_models;
                let subject = models.subjects.number(user.user_id.as_str());
                subject.map_or(0, |subject| models.lists.count_of_subject(subject))
            };
            // Whether there are too many is found out by looking at all.
            let held = lists.entry(user.user_id.clone()).or_insert_with(stored);
            *held += user.lists.len();
            bytes += *held * LIST_BYTES;
        }
        match pieces.last_mut() {
            Some(piece) if bytes <= left => piece.push(user),
            Some(_) | None => {
                pieces.push(vec![user]);
                left = PIECE_BYTES;
            }
        }
        left = left.saturating_sub(bytes);
    }
    pieces
}

/// About how long the object is as JSON text.
fn text_bytes(object: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(of).sum(),
            Value::Object(object) => text_bytes(object),
        }
    }
    object
        .iter()
        .map(|(key, value)| key.len() + of(value))
        .sum()
}

/// One person of a batch. With `restore` the row is an export: what has expired since is left out.
fn user(fields: &mut Fields, now: Timestamp, restore: bool) -> Result<UserUpsert, ApiError> {
    let user_id = fields.required_id("user_id")?;
    let profile = if fields.is_given("profile") {
        Some(fields.object("profile")?)
    } else {
        None
    };
    let lists = each(fields, "lists", LISTS_MAX, |entry| {
        let id: ListId = match entry {
            Entry::Id(id, pointer) => {
                ListId::parse(&id).map_err(|error| ApiError::invalid_id(error, &pointer))?
            }
            Entry::Fields(mut fields) => {
                let id = fields.required_id("list_id")?;
                return Ok((id, fields.preferences()?));
            }
        };
        Ok((id, None))
    })?;
    let tenants = each(fields, "tenants", USER_TENANTS_MAX, |entry| {
        let id: TenantId = match entry {
            Entry::Id(id, pointer) => {
                TenantId::parse(&id).map_err(|error| ApiError::invalid_id(error, &pointer))?
            }
            Entry::Fields(mut fields) => {
                let id = fields.required_id("tenant_id")?;
                return Ok((id, membership_profile(&mut fields)?));
            }
        };
        Ok((id, domain::Change::Keep))
    })?;
    let choices = each(fields, "preferences", USER_CHOICES_MAX, |entry| {
        let mut fields = entry.fields()?;
        let topic: TopicId = fields.required_id("topic_id")?;
        let tenant: Option<TenantId> = fields.id("tenant_id")?;
        Ok(((tenant, topic), fields.choice_request()?))
    })?;
    let tokens = each(fields, "tokens", USER_TOKENS_MAX, |entry| {
        let mut fields = entry.fields()?;
        let token = fields.required_id("token")?;
        if restore && fields.is_expired_token(now) {
            return Ok(None);
        }
        fields.token(token, now).map(Some)
    })?;
    let quiet_hours = match fields.take("quiet_hours") {
        None | Some(Value::Null) => None,
        Some(hours) => {
            let mut hours = Fields::of(hours, fields.pointer("quiet_hours"))?;
            Some(hours.quiet_hours()?)
        }
    };
    Ok(UserUpsert {
        user_id,
        profile,
        lists,
        tenants,
        choices,
        recipient_preferences: fields.preferences_at("recipient_preferences")?,
        quiet_hours,
        tokens: tokens.into_iter().flatten().collect(),
        restore,
    })
}

/// An element of an array: an id alone, or an object.
enum Entry {
    Id(String, String),
    Fields(Fields),
}

impl Entry {
    fn fields(self) -> Result<Fields, ApiError> {
        match self {
            Self::Fields(fields) => Ok(fields),
            Self::Id(_, pointer) => Err(ApiError::invalid_field(&pointer, "an object")),
        }
    }
}

/// Reads each element of an array that may be left out.
fn each<T>(
    fields: &mut Fields,
    name: &str,
    at_most: usize,
    read: impl Fn(Entry) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    if !fields.is_given(name) {
        return Ok(Vec::new());
    }
    let pointer = fields.pointer(name);
    let items = fields.array(name, at_most)?;
    let items = items.into_iter().enumerate().map(|(place, item)| {
        let pointer = format!("{pointer}/{place}");
        read(if let Value::String(id) = item {
            Entry::Id(id, pointer)
        } else {
            Entry::Fields(Fields::of(item, pointer)?)
        })
    });
    items.collect()
}

/// `GET /v1/users:batch`: everybody, in the form in which `POST` takes them. What is too much for one
/// row or one page goes on in the next.
pub(crate) async fn rows(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?;
    let after = parameters.place_checked(ROWS)?;
    let after = after.map(|place| read_place(&place).ok_or_else(ApiError::invalid_cursor));
    let after = after.transpose()?;
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state.read_models.export(after, limit, still_wanted);
        let next = page
            .next
            .map(|place| cursor::encode(ROWS, &place_text(&place)));
        json(&RowsPage {
            items: page.rows.into_iter().map(Row::from).collect(),
            paging: Paging::new(next.is_some(), || next),
        })
    };
    state.scan(answer).await
}

/// The place as an array of the user id, a kind and ids.
fn place_text(place: &ExportPlace) -> String {
    let user_id = place.user_id.as_str();
    let text = match &place.within {
        None => value!([user_id]),
        Some(ExportElement::Person) => value!([user_id, "person"]),
        Some(ExportElement::Token(token)) => value!([user_id, "token", token.as_str()]),
        Some(ExportElement::List(list)) => value!([user_id, "list", list.as_str()]),
        Some(ExportElement::Tenant(tenant)) => value!([user_id, "tenant", tenant.as_str()]),
        Some(ExportElement::Choice(None, topic)) => value!([user_id, "choice", topic.as_str()]),
        Some(ExportElement::Choice(Some(tenant), topic)) => {
            value!([user_id, "choice", topic.as_str(), tenant.as_str()])
        }
    };
    text.to_string()
}

fn read_place(text: &str) -> Option<ExportPlace> {
    let parts: Vec<String> = serde_json::from_str(text).ok()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let within = match parts.get(1..)? {
        [] => None,
        ["person"] => Some(ExportElement::Person),
        ["token", token] => Some(ExportElement::Token(DeviceToken::parse(token).ok()?)),
        ["list", list] => Some(ExportElement::List(ListId::parse(list).ok()?)),
        ["tenant", tenant] => Some(ExportElement::Tenant(TenantId::parse(tenant).ok()?)),
        ["choice", topic] => Some(ExportElement::Choice(None, TopicId::parse(topic).ok()?)),
        ["choice", topic, tenant] => {
            let tenant = TenantId::parse(tenant).ok()?;
            Some(ExportElement::Choice(
                Some(tenant),
                TopicId::parse(topic).ok()?,
            ))
        }
        _ => return None,
    };
    let user_id = UserId::parse(parts.first()?).ok()?;
    Some(ExportPlace { user_id, within })
}
