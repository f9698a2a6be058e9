use axum::extract::State;
use axum::response::Response;
use domain::limits::{DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX};
use domain::{AudienceCommand, AudiencePut, Change};
use engine::Command;
use projections::{AudienceView, MemberWithReason, ReadModels};
use serde::Serialize;
use types::filter::{GroupOperator, Set};
use types::{AudienceId, JsonDocument, SubjectId};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Origin};
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::routes::{Paging, at, json, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "audiences";
const MEMBERS: &str = "members of audience";

#[derive(Serialize, ToSchema)]
pub(crate) struct Audience {
    id: String,
    name: String,
    description: String,
    created_at: String,
    updated_at: String,
    #[schema(value_type = Option<Object>)]
    filter: Option<JsonDocument>,
    operator: Option<&'static str>,
    #[serde(rename = "audience_version")]
    version: u32,
    member_count: u64,
    /// Sets that the rule asks about and that do not exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_references: Vec<Reference>,
    /// Values that an operator of the rule cannot read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<Unreadable>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Reference {
    path: &'static str,
    value: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Unreadable {
    path: String,
    operator: &'static str,
    count: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Defined {
    audience: Audience,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct AudiencesPage {
    items: Vec<Audience>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    #[serde(rename = "member_id")]
    user_id: String,
    audience_id: String,
    added_at: String,
    audience_version: u32,
    reason: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MembersPage {
    items: Vec<Member>,
    paging: Paging,
}

impl From<AudienceView> for Audience {
    fn from(view: AudienceView) -> Self {
        let reference = |set: Set| Reference {
            path: set.kind(),
            value: set.id(),
        };
        let unreadable = |it: projections::Unreadable| Unreadable {
            path: it.path,
            operator: it.operator,
            count: it.count,
        };
        Self {
            id: view.id.into(),
            name: view.name,
            description: view.description,
            created_at: view.created_at.to_rfc3339_millis(),
            updated_at: view.updated_at.to_rfc3339_millis(),
            filter: view.filter,
            operator: view.operator.map(GroupOperator::name),
            version: view.version,
            member_count: view.member_count,
            unknown_references: view.unknown_sets.into_iter().map(reference).collect(),
            unreadable: view.unreadable.into_iter().map(unreadable).collect(),
        }
    }
}

/// `GET /audiences`: by id.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters
        .place(COLLECTION)
        .and_then(|id| AudienceId::parse(&id).ok());
    let limit = parameters.limit_clamped();
    let models = &state.read_models;
    let (views, more) = models.audiences.page(after.as_ref(), limit);
    let last = views
        .last()
        .map(|last| cursor::encode(COLLECTION, last.id.as_str()));
    let items = views.into_iter().map(Audience::from).collect();
    Ok(json(&AudiencesPage {
        items,
        paging: Paging::new(more, || last),
    }))
}

/// `GET /audiences/{audience_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(audience): Id<AudienceId>,
) -> Result<Response, ApiError> {
    Ok(json(&view(&state.read_models, &audience)?))
}

fn view(models: &ReadModels, audience: &AudienceId) -> Result<Audience, ApiError> {
    let view = models.audiences.get(audience);
    view.map(Audience::from)
        .ok_or_else(ApiError::audience_not_found)
}

/// `PUT /audiences/{audience_id}`: create or change; what is left out stays, `null` clears.
pub(crate) async fn put(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(audience): Id<AudienceId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let given = body.peek("filter");
    let operator = body.operator()?;
    let put = AudiencePut {
        name: body.text_change("name", NAME_BYTES_MAX)?,
        description: body.text_change("description", DESCRIPTION_BYTES_MAX)?,
        filter: body.rule(operator)?,
        operator,
    };
    // Whatever the rule needs of the index is made here, and held until the command is answered, so
    // that the writer need not wait for it.
    let _prepared = match &put.filter {
        Change::Set(rule) => {
            let rule = rule.clone();
            let prepare = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
                state.read_models.prepare(&rule, still_wanted)
            };
            Some(state.scan(prepare).await?)
        }
        Change::Keep | Change::Clear => None,
    };
    let command = Command::Audience {
        audience: audience.clone(),
        command: AudienceCommand::Put(put),
    };
    let executed = state.execute(command, origin).await;
    let committed = executed.map_err(|error| ApiError::from(error).at_audience_in(&given))?;
    let audience = view(&state.read_models, &audience)?;
    Ok(at(&committed, json(&Defined { audience })))
}

/// `DELETE /audiences/{audience_id}`.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(audience): Id<AudienceId>,
) -> Result<Response, ApiError> {
    let command = Command::Audience {
        audience,
        command: AudienceCommand::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `GET /audiences/{audience_id}/members`: in the order in which people first appeared.
pub(crate) async fn members(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(audience): Id<AudienceId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters
        .place(MEMBERS)
        .and_then(|place| place.parse().ok().map(SubjectId));
    let limit = parameters.limit_clamped();
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let (members, more) = models
            .members(&audience, after, limit)
            .ok_or_else(ApiError::audience_not_found)?;
        let last = members.last().map(|last| last.member.subject.to_string());
        let cursor = last.map(|last| cursor::encode(MEMBERS, &last));
        let items = members
            .into_iter()
            .map(|MemberWithReason { member, reason }| Member {
                user_id: models.subjects.shown(member.subject),
                audience_id: audience.as_str().to_owned(),
                added_at: member.joined.at.to_rfc3339_millis(),
                audience_version: member.version,
                reason,
            });
        Ok(json(&MembersPage {
            items: items.collect(),
            paging: Paging::new(more, || cursor),
        }))
    };
    state.scan(answer).await?
}
