use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use domain::limits::{
    FILTERS_MAX, LISTS_MAX, USER_CHOICES_MAX, USER_TENANTS_MAX, USER_TOKENS_MAX, USERS_MAX,
};
use engine::{Command, Outcome, Removed, UserUpsert};
use projections::{AttributeFilter, ProfileSource, UserCounts, UserFilter, UserSummary, UserView};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use types::{
    AttributePath, Clock as _, JsonDocument, ListId, PageLimit, SystemClock, TenantId, Timestamp,
    TopicId, UserId,
};

use crate::cursor;
use crate::error::{ApiError, ItemError};
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::routes::preferences::{ShownQuietHours, context};
use crate::routes::tenants::{membership_profile, names};
use crate::routes::{Paging, at, json, tokens};
use crate::state::ApiState;

const COLLECTION: &str = "users";
const ROWS: &str = "rows of users";

#[derive(Serialize)]
struct UsersPage {
    items: Vec<UserRow>,
    paging: Paging,
    count: u64,
}

#[derive(Serialize)]
struct UserRow {
    user_id: String,
    profile: Option<JsonDocument>,
    created: Option<String>,
    updated: Option<String>,
}

#[derive(Serialize)]
struct User {
    #[serde(rename = "user_id")]
    id: String,
    profile: Option<JsonDocument>,
    created: Option<String>,
    updated: Option<String>,
    tokens: Vec<Map<String, Value>>,
    lists: Vec<Value>,
    audiences: Vec<Value>,
    tenants: Vec<Value>,
    preferences: Vec<Value>,
    recipient_preferences: Option<JsonDocument>,
    quiet_hours: Option<ShownQuietHours>,
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    tokens: usize,
    lists: usize,
    audiences: usize,
    tenants: usize,
    preferences: usize,
}

/// Everything that was written about one person, in the form in which it is taken in.
#[derive(Serialize)]
struct Row {
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<JsonDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tenants: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    preferences: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_preferences: Option<JsonDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quiet_hours: Option<ShownQuietHours>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Map<String, Value>>,
}

#[derive(Serialize)]
struct RowsPage {
    items: Vec<Row>,
    paging: Paging,
}

#[derive(Serialize)]
struct Written {
    accepted: usize,
    errors: Vec<ItemError>,
}

#[derive(Serialize)]
struct EffectiveProfile {
    user_id: String,
    tenant_id: Option<String>,
    /// The tenant was not named: it is the only one of which the person is a member.
    tenant_inferred: bool,
    profile: Map<String, Value>,
    /// By JSON pointer, for whatever in the profile is no object.
    sources: BTreeMap<String, Source>,
    brand_id: Option<String>,
    /// The tenant that has the brand.
    brand_from: Option<String>,
    properties: Map<String, Value>,
    property_sources: BTreeMap<String, Source>,
}

#[derive(Serialize)]
struct Source {
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
}

impl From<ProfileSource> for Source {
    fn from(source: ProfileSource) -> Self {
        let (layer, tenant) = match source {
            ProfileSource::Tenant(tenant) => ("tenant", Some(tenant)),
            ProfileSource::Profile => ("profile", None),
            ProfileSource::Membership(tenant) => ("membership", Some(tenant)),
        };
        Self {
            layer,
            tenant_id: tenant.map(Into::into),
        }
    }
}

impl From<UserSummary> for UserRow {
    fn from(user: UserSummary) -> Self {
        let profile = user.profile;
        let time = |at: Timestamp| at.to_rfc3339_millis();
        Self {
            user_id: user.user_id.into(),
            created: profile.as_ref().map(|profile| time(profile.created_at)),
            updated: profile.as_ref().map(|profile| time(profile.updated_at)),
            profile: profile.map(|profile| profile.document),
        }
    }
}

impl From<UserCounts> for Counts {
    fn from(counts: UserCounts) -> Self {
        Self {
            tokens: counts.tokens,
            lists: counts.lists,
            audiences: counts.audiences,
            tenants: counts.tenants,
            preferences: counts.preferences,
        }
    }
}

impl From<UserView> for User {
    fn from(view: UserView) -> Self {
        let time = |at: Timestamp| at.to_rfc3339_millis();
        let lists = view.lists.iter().map(|subscription| {
            let list = &subscription.list;
            with_some(
                value!({"id": list.id.as_str(), "name": list.name}),
                "preferences",
                subscription.preferences.as_ref(),
            )
        });
        let tenants = view.memberships.iter().map(|membership| {
            value!({
                "tenant_id": membership.tenant.as_str(),
                "profile": membership.profile,
                "created_at": time(membership.created_at),
            })
        });
        let audiences = view.audiences.iter().map(|audience| {
            value!({
                "audience_id": audience.id.as_str(),
                "name": audience.name,
                "added_at": time(audience.member.joined.at),
                "reason": audience.reason,
            })
        });
        let profile = view.profile.as_ref();
        Self {
            id: view.user_id.into(),
            created: profile.map(|profile| time(profile.created_at)),
            updated: profile.map(|profile| time(profile.updated_at)),
            tokens: view.tokens.iter().map(tokens::shown).collect(),
            lists: lists.collect(),
            audiences: audiences.collect(),
            tenants: tenants.collect(),
            preferences: choices(&view.preferences),
            recipient_preferences: view.preferences.recipient,
            quiet_hours: view.preferences.quiet_hours.as_ref().map(Into::into),
            counts: view.counts.into(),
            profile: view.profile.map(|profile| profile.document),
        }
    }
}

impl From<UserView> for Row {
    fn from(view: UserView) -> Self {
        let lists = view.lists.iter().map(|subscription| {
            let list = value!({"list_id": subscription.list.id.as_str()});
            with_some(list, "preferences", subscription.preferences.as_ref())
        });
        let tenants = view.memberships.iter().map(|membership| {
            let tenant = value!({"tenant_id": membership.tenant.as_str()});
            with_some(tenant, "profile", membership.profile.as_ref())
        });
        let tokens = view.tokens.iter().map(|token| {
            let mut token = tokens::shown(token);
            token.retain(|name, _| !["created_at", "updated_at"].contains(&name.as_str()));
            token
        });
        Self {
            user_id: view.user_id.into(),
            lists: lists.collect(),
            tenants: tenants.collect(),
            preferences: choices(&view.preferences),
            recipient_preferences: view.preferences.recipient,
            quiet_hours: view.preferences.quiet_hours.as_ref().map(Into::into),
            tokens: tokens.collect(),
            profile: view.profile.map(|profile| profile.document),
        }
    }
}

/// Lists and tenants of one row: what is more follows in further rows of the same person, so that each
/// can be taken in.
const ROW_SETS_MAX: usize = 500;
const ROW_SETS_BYTES_MAX: usize = 1024 * 1024;

impl Row {
    fn all(view: UserView) -> Vec<Self> {
        let mut first = Self::from(view);
        let parts = |values: Vec<Value>| {
            let mut parts: Vec<Vec<Value>> = vec![Vec::new()];
            let mut bytes = 0;
            for value in values {
                let size = value.to_string().len();
                let full = parts.last().is_some_and(|part| part.len() == ROW_SETS_MAX);
                if full || bytes > 0 && bytes + size > ROW_SETS_BYTES_MAX {
                    parts.push(Vec::new());
                    bytes = 0;
                }
                bytes += size;
                if let Some(part) = parts.last_mut() {
                    part.push(value);
                }
            }
            parts.into_iter()
        };
        let mut lists = parts(std::mem::take(&mut first.lists));
        let mut tenants = parts(std::mem::take(&mut first.tenants));
        first.lists = lists.next().unwrap_or_default();
        first.tenants = tenants.next().unwrap_or_default();
        let user_id = first.user_id.clone();
        let empty = || Self {
            user_id: user_id.clone(),
            profile: None,
            lists: vec![],
            tenants: vec![],
            preferences: vec![],
            recipient_preferences: None,
            quiet_hours: None,
            tokens: vec![],
        };
        let lists = lists.map(|lists| Self { lists, ..empty() });
        let tenants = tenants.map(|tenants| Self { tenants, ..empty() });
        let more: Vec<Self> = lists.chain(tenants).collect();
        std::iter::once(first).chain(more).collect()
    }
}

fn with_some(mut object: Value, name: &str, document: Option<&JsonDocument>) -> Value {
    if let Some(document) = document {
        object[name] = document.to_value();
    }
    object
}

/// What a person chose, in the form in which it is taken in.
fn choices(preferences: &projections::PersonPreferences) -> Vec<Value> {
    let choices = preferences.choices.iter();
    let choices = choices.map(|((tenant, topic), chosen)| {
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
    });
    choices.collect()
}

/// `GET /v1/users`: everybody of whom anything is known, by user id.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let filter = UserFilter {
        prefix: parameters.get("q").map(str::to_owned),
        attributes: attribute_filters(&parameters)?,
    };
    let limit = parameters.limit()?;
    let after = user_place(&parameters, COLLECTION)?;
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let page = state
            .read_models
            .users(&filter, after.as_ref(), limit, still_wanted);
        let last = page.items.last();
        let cursor = last.map(|last| cursor::encode(COLLECTION, last.user_id.as_str()));
        json(&UsersPage {
            items: page.items.into_iter().map(UserRow::from).collect(),
            paging: Paging::new(page.more, || cursor),
            count: page.count,
        })
    };
    state.scan(answer).await
}

/// All `attribute.<path>=value`.
pub(crate) fn attribute_filters(parameters: &Parameters) -> Result<Vec<AttributeFilter>, ApiError> {
    let filters = parameters.attributes().map(|(path, operand)| {
        let parsed = AttributePath::parse(path);
        Ok(AttributeFilter {
            path: parsed.map_err(|error| ApiError::invalid_attribute(path, error))?,
            operand: operand.to_owned(),
        })
    });
    let filters = filters.collect::<Result<Vec<AttributeFilter>, ApiError>>()?;
    if filters.len() > FILTERS_MAX {
        return Err(ApiError::too_many_items("/attribute", FILTERS_MAX));
    }
    Ok(filters)
}

fn user_place(parameters: &Parameters, collection: &str) -> Result<Option<UserId>, ApiError> {
    let place = parameters.place_checked(collection)?;
    let place = place.map(|place| UserId::parse(&place)).transpose();
    place.map_err(|_| ApiError::invalid_cursor())
}

/// `GET /v1/users/{user_id}`: everything about one person; of lists, tenants and audiences the first
/// thousand each, with how many there are.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let subject = models.subjects.number(user_id.as_str());
        let user = subject.and_then(|subject| models.user(subject, PageLimit::MOST));
        let user = user.ok_or_else(ApiError::user_not_found)?;
        Ok(json(&User::from(user)))
    };
    state.scan(answer).await?
}

/// `DELETE /v1/users/{user_id}`: everything that is known about a person, in one go; who is not known
/// need not be.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(user_id): Id<UserId>,
) -> Result<Response, ApiError> {
    let command = Command::DeleteUser { user_id };
    let committed = state.engine.execute(command, origin).await?;
    let removed = match &committed.outcome {
        Outcome::Removed(removed) => removed.clone(),
        Outcome::Done | Outcome::Choices(_) | Outcome::Users(_) => Removed::default(),
    };
    let choices = removed.choices.iter().map(|(tenant, topic)| {
        let tenant = tenant.as_ref().map(TenantId::as_str);
        value!({"topic_id": topic.as_str(), "tenant_id": tenant})
    });
    let answer = value!({"removed": {
        "profile": removed.profile,
        "tokens": removed.tokens.iter().map(types::DeviceToken::as_str).collect::<Vec<_>>(),
        "lists": removed.lists.iter().map(ListId::as_str).collect::<Vec<_>>(),
        "audiences": removed.audiences.iter().map(types::AudienceId::as_str).collect::<Vec<_>>(),
        "tenants": removed.tenants.iter().map(TenantId::as_str).collect::<Vec<_>>(),
        "preferences": choices.collect::<Vec<_>>(),
        "recipient_preferences": removed.recipient_preferences,
        "quiet_hours": removed.quiet_hours,
    }});
    Ok(at(&committed, json(&answer)))
}

/// `POST /v1/users:batch`: many people, each written as a whole or not at all.
pub(crate) async fn batch(
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
    let committed = state
        .engine
        .execute(Command::UpsertUsers(users), origin)
        .await?;
    if let Outcome::Users(refused) = &committed.outcome {
        accepted -= refused.len();
        for (place, refusal) in refused {
            let index = places[*place];
            let error = ApiError::from(refusal.clone()).below(&format!("/users/{index}"));
            errors.push((index, error));
        }
    }
    errors.sort_by_key(|(index, _)| *index);
    let errors = errors.into_iter();
    let errors = errors.map(|(index, error)| error.about_item(index));
    let written = Written {
        accepted,
        errors: errors.collect(),
    };
    Ok(at(&committed, json(&written)))
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
    // Of a choice that is made twice the last counts.
    let last: BTreeMap<_, usize> = choices.iter().map(|it| it.0.clone()).zip(0..).collect();
    let choices = choices.into_iter().enumerate();
    let choices = choices.filter(|(place, (key, _))| last.get(key) == Some(place));
    let choices = choices.map(|(_, ((tenant, topic), request))| (tenant, topic, request));
    let choices = choices.collect();
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

/// `GET /v1/users:batch`: everybody, in the form in which `POST` takes them.
pub(crate) async fn rows(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?;
    let after = user_place(&parameters, ROWS)?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let (views, more) = state.read_models.users_for_export(after.as_ref(), limit);
        let last = views.last();
        let cursor = last.map(|last| cursor::encode(ROWS, last.user_id.as_str()));
        json(&RowsPage {
            items: views.into_iter().flat_map(Row::all).collect(),
            paging: Paging::new(more, || cursor),
        })
    };
    state.scan(answer).await
}

/// `GET /v1/users/{user_id}/effective-profile`: with what a person is reached in a tenant, and which
/// layer each part comes from.
pub(crate) async fn effective_profile(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let named: Option<TenantId> = parameters.id("tenant_id")?;
    let answer =
        move |state: &ApiState, _: &dyn Fn() -> bool| json(&shown_profile(state, user_id, named));
    state.scan(answer).await
}

fn shown_profile(state: &ApiState, user_id: UserId, named: Option<TenantId>) -> EffectiveProfile {
    let models = &state.read_models;
    let subject = models.subjects.number(user_id.as_str());
    let (tenant, tenant_inferred) = context(state, subject, named);
    let effective = models.effective_profile(subject, tenant.as_ref(), state.tenant_levels);
    let sources = |sources: BTreeMap<String, ProfileSource>| {
        let sources = sources.into_iter();
        sources
            .map(|(pointer, source)| (pointer, source.into()))
            .collect()
    };
    let (brand_id, brand_from) = effective.brand.unzip();
    EffectiveProfile {
        user_id: user_id.into(),
        tenant_id: tenant.map(Into::into),
        tenant_inferred,
        profile: effective.profile,
        sources: sources(effective.sources),
        brand_id: brand_id.map(Into::into),
        brand_from: brand_from.map(Into::into),
        properties: effective.properties,
        property_sources: sources(effective.property_sources),
    }
}
