use axum::extract::State;
use axum::response::Response;
use domain::limits::{QUERY_LEVELS_MAX, QUERY_SETS_MAX};
use projections::{Combination, UnknownSet};
use serde::Serialize;
use serde_json::{Map, Value};
use types::filter::Set;
use types::{AudienceId, ListPattern, SubjectId, TenantId, UserId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Authenticated;
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::reach::Reach;
use crate::routes::{Paging, json};
use crate::state::ApiState;

/// What a pattern of lists weighs among the sets of a query.
const PATTERN_SETS: usize = 8;
const QUERY: &str = "members query";
const AUDIENCES_OF_USER: &str = "audiences of user";

#[derive(Serialize, ToSchema)]
pub(crate) struct Person {
    user_id: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct QueryAnswer {
    count: u64,
    items: Vec<Person>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AudienceOfUser {
    audience_id: String,
    name: String,
    added_at: String,
    since: u64,
    audience_version: u32,
    reason: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AudiencesOfUser {
    items: Vec<AudienceOfUser>,
    paging: Paging,
}

/// `POST /v1/members/query`: lists, tenants and audiences combined.
pub(crate) async fn query(
    State(state): State<ApiState>,
    reach: Reach,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?;
    let after = parameters.place_checked(QUERY)?;
    let after = after
        .map(|place| place.parse().map(SubjectId))
        .transpose()
        .map_err(|_| ApiError::invalid_cursor())?;
    let mut sets_left = QUERY_SETS_MAX;
    let query = body.take_all();
    let mut combination = combination(&query, "", QUERY_LEVELS_MAX, &mut sets_left)?;
    if let Some(root) = reach.tenant() {
        check_sets(&combination, &reach, &state)?;
        let within = Combination::Set(Set::TenantTree(root.clone()));
        combination = Combination::Intersect(vec![combination, within]);
    }
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let page = models.combine(&combination, after, limit);
        let page = page.map_err(|UnknownSet(set)| not_found(&set))?;
        let last = page.items.last().map(SubjectId::to_string);
        let cursor = last.map(|last| cursor::encode(QUERY, &last));
        let person = |subject| Person {
            user_id: models.subjects.shown(subject),
        };
        Ok(json(&QueryAnswer {
            count: page.count,
            items: page.items.into_iter().map(person).collect(),
            paging: Paging::new(page.more, || cursor),
        }))
    };
    state.scan(answer).await?
}

/// A restricted key asks about sets of its own: to it no others are there.
fn check_sets(asked: &Combination, reach: &Reach, state: &ApiState) -> Result<(), ApiError> {
    let models = &state.read_models;
    match asked {
        Combination::Union(parts) | Combination::Intersect(parts) | Combination::Except(parts) => {
            parts.iter().try_for_each(|it| check_sets(it, reach, state))
        }
        Combination::Set(set) => {
            let seen = match set {
                // What stands before a wildcard has to say whose lists they are.
                Set::List(pattern) => {
                    let text = pattern.to_string();
                    let beginning = text.split('*').next().unwrap_or_default();
                    reach.sees_lists(models, beginning)
                }
                Set::Tenant(tenant) | Set::TenantTree(tenant) => reach.sees_tenant(models, tenant),
                Set::Audience(_) => false,
            };
            if seen { Ok(()) } else { Err(not_found(set)) }
        }
    }
}

fn not_found(set: &Set) -> ApiError {
    let error = match set {
        Set::List(_) => ApiError::list_not_found(),
        Set::Audience(_) => ApiError::audience_not_found(),
        Set::Tenant(_) | Set::TenantTree(_) => ApiError::tenant_not_found(),
    };
    error.about(&set.id())
}

/// Reads `{"union" | "intersect" | "except": […]}`, or a set by name.
fn combination(
    query: &Map<String, Value>,
    pointer: &str,
    levels_left: usize,
    sets_left: &mut usize,
) -> Result<Combination, ApiError> {
    const NAMES: &str = "an object with one of union, intersect, except, list, audience or tenant";
    let mut named = query
        .iter()
        .filter(|(name, value)| *name != "descendants" && !value.is_null());
    let (Some((name, value)), None) = (named.next(), named.next()) else {
        return Err(ApiError::invalid_field(pointer, NAMES));
    };
    let place = format!("{pointer}/{name}");
    match name.as_str() {
        "union" => parts(value, &place, levels_left, sets_left).map(Combination::Union),
        "intersect" => parts(value, &place, levels_left, sets_left).map(Combination::Intersect),
        "except" => parts(value, &place, levels_left, sets_left).map(Combination::Except),
        "list" | "audience" | "tenant" => {
            // A pattern looks at every list.
            let weight = if value.as_str().is_some_and(|id| id.contains('*')) {
                PATTERN_SETS
            } else {
                1
            };
            *sets_left = sets_left
                .checked_sub(weight)
                .ok_or_else(|| ApiError::too_many_items("", QUERY_SETS_MAX))?;
            let descendants = match query.get("descendants") {
                None | Some(Value::Null) => false,
                Some(Value::Bool(descendants)) if name == "tenant" => *descendants,
                Some(_) => {
                    let place = format!("{pointer}/descendants");
                    return Err(ApiError::invalid_field(
                        &place,
                        "a boolean, beside a tenant",
                    ));
                }
            };
            set(name, value, &place, descendants).map(Combination::Set)
        }
        _ => Err(ApiError::invalid_field(pointer, NAMES)),
    }
}

fn parts(
    value: &Value,
    pointer: &str,
    levels_left: usize,
    sets_left: &mut usize,
) -> Result<Vec<Combination>, ApiError> {
    let levels_left = levels_left.checked_sub(1).ok_or_else(|| {
        let expected = format!("nested at most {QUERY_LEVELS_MAX} levels deep");
        ApiError::invalid_field(pointer, expected)
    })?;
    let parts = value
        .as_array()
        .filter(|parts| !parts.is_empty())
        .ok_or_else(|| ApiError::invalid_field(pointer, "an array of at least one set"))?;
    parts
        .iter()
        .enumerate()
        .map(|(place, part)| {
            let pointer = format!("{pointer}/{place}");
            let part = part
                .as_object()
                .ok_or_else(|| ApiError::invalid_field(&pointer, "an object"))?;
            combination(part, &pointer, levels_left, sets_left)
        })
        .collect()
}

fn set(kind: &str, value: &Value, pointer: &str, descendants: bool) -> Result<Set, ApiError> {
    let id = value
        .as_str()
        .ok_or_else(|| ApiError::invalid_field(pointer, "a string"))?;
    let invalid = |error| ApiError::invalid_id(error, pointer);
    match kind {
        "list" => ListPattern::parse(id)
            .map(Set::List)
            .map_err(|error| ApiError::invalid_field(pointer, format!("valid: {error}"))),
        "audience" => AudienceId::parse(id).map(Set::Audience).map_err(invalid),
        _ => {
            let tenant = TenantId::parse(id).map_err(invalid)?;
            Ok(if descendants {
                Set::TenantTree(tenant)
            } else {
                Set::Tenant(tenant)
            })
        }
    }
}

/// `GET /v1/users/{user_id}/audiences`: the audiences of a person, by id.
pub(crate) async fn audiences(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(user_id): Id<UserId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?;
    let after = parameters.place_checked(AUDIENCES_OF_USER)?;
    let after = after
        .map(|place| AudienceId::parse(&place))
        .transpose()
        .map_err(|_| ApiError::invalid_cursor())?;
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let (held, more) = match models.subjects.number(user_id.as_str()) {
            Some(subject) => models.audiences_of(subject, after.as_ref(), limit),
            None => (Vec::new(), false),
        };
        let last = held
            .last()
            .map(|last| cursor::encode(AUDIENCES_OF_USER, last.id.as_str()));
        let items = held.into_iter().map(|held| AudienceOfUser {
            audience_id: held.id.into(),
            name: held.name,
            added_at: held.member.joined.at.to_rfc3339_millis(),
            since: held.member.joined.position.0,
            audience_version: held.member.version,
            reason: held.reason,
        });
        json(&AudiencesOfUser {
            items: items.collect(),
            paging: Paging::new(more, || last),
        })
    };
    state.scan(answer).await
}
