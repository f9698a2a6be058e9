use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use domain::limits::{
    DESCRIPTION_BYTES_MAX, ID_BYTES_MAX, NAME_BYTES_MAX, TOPIC_DOCUMENT_BYTES_MAX,
};
use domain::{Change, DIGEST, TopicPut};
use engine::{Command, Committed, Edit, PreferencePagePublished, SectionDetails, TopicDetails};
use projections::{SectionView, TopicView};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use types::{
    BrandId, Channel, Clock as _, JsonDocument, PreferenceControl, SectionId, SystemClock, TopicId,
    UserId, new_type_id,
};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Caller, Origin};
use crate::extract::path::{Id, Ids, PathId};
use crate::routes::tenants::names;
use crate::routes::{at, json, kept, no_content};
use crate::state::ApiState;

#[derive(Serialize, ToSchema)]
pub(crate) struct Section {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    has_custom_routing: bool,
    routing_options: Vec<&'static str>,
    topics: Vec<Topic>,
    created: String,
    updated: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Topic {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    default_status: &'static str,
    allowed_preferences: Vec<&'static str>,
    include_unsubscribe_header: bool,
    routing_options: Vec<&'static str>,
    #[serde(rename = "topic_data")]
    #[schema(value_type = Object)]
    data: JsonDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    digest: Option<JsonDocument>,
    created: String,
    updated: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Results<T> {
    results: Vec<T>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    page_id: String,
    #[serde(rename = "published_at")]
    at: String,
    #[serde(rename = "published_version")]
    version: u64,
}

impl From<SectionView> for Section {
    fn from(view: SectionView) -> Self {
        let SectionDetails {
            name,
            description,
            has_custom_routing,
            routing_options,
        } = view.details;
        Self {
            id: view.id.into(),
            name,
            description,
            has_custom_routing,
            routing_options: names(Some(&routing_options)),
            topics: view.topics.into_iter().map(Topic::from).collect(),
            created: view.created_at.to_rfc3339_millis(),
            updated: view.updated_at.to_rfc3339_millis(),
        }
    }
}

impl From<TopicView> for Topic {
    fn from(view: TopicView) -> Self {
        let TopicDetails {
            name,
            description,
            default_status,
            allowed_preferences,
            include_unsubscribe_header,
            routing_options,
            topic_data,
            digest,
        } = view.details;
        let allowed = allowed_preferences.iter().map(|control| control.name());
        Self {
            id: view.id.into(),
            name,
            description,
            default_status: default_status.name(),
            allowed_preferences: allowed.collect(),
            include_unsubscribe_header,
            routing_options: names(Some(&routing_options)),
            data: topic_data,
            digest,
            created: view.created_at.to_rfc3339_millis(),
            updated: view.updated_at.to_rfc3339_millis(),
        }
    }
}

/// The caller's id, or a new one of this kind.
fn id_or_new<A: PathId>(body: &mut Fields, kind: &str) -> Result<A, ApiError> {
    if let Some(id) = body.id("id")? {
        return Ok(id);
    }
    let id = new_type_id(kind, SystemClock.now());
    Ok(A::read(&id).expect("an id that is made here is one"))
}

/// `GET /preferences/sections`: all, with their topics, by id.
pub(crate) async fn sections(
    State(state): State<ApiState>,
    _: Authenticated,
) -> Result<Response, ApiError> {
    let answer = |state: &ApiState, _: &dyn Fn() -> bool| {
        let sections = state.read_models.topics.sections();
        let results = sections.into_iter().map(Section::from).collect();
        json(&Results { results })
    };
    state.scan(answer).await
}

/// `GET /preferences/sections/{section_id}`.
pub(crate) async fn section(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(section): Id<SectionId>,
) -> Result<Response, ApiError> {
    let answer =
        move |state: &ApiState, _: &dyn Fn() -> bool| Ok(json(&section_view(state, &section)?));
    state.scan(answer).await?
}

fn section_view(state: &ApiState, section: &SectionId) -> Result<Section, ApiError> {
    let view = state.read_models.topics.section(section);
    view.map(Section::from)
        .ok_or_else(ApiError::section_not_found)
}

/// `POST /preferences/sections`: a new section, with the caller's `id` or one of ours.
pub(crate) async fn create_section(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let section: SectionId = id_or_new(&mut body, "sec")?;
    let details = section_details(&mut body)?;
    let command = Command::Section {
        section: section.clone(),
        edit: Edit::Create(details.clone()),
    };
    let answer = move |committed: &Committed| {
        let created = Section::from(SectionView {
            id: section,
            details,
            created_at: committed.decided_at,
            updated_at: committed.decided_at,
            topics: vec![],
        });
        kept(StatusCode::CREATED, &created)
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `PUT /preferences/sections/{section_id}`: all that it is; its topics stay.
pub(crate) async fn replace_section(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(section): Id<SectionId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let edit = Edit::Replace(section_details(&mut body)?);
    write_section(&state, origin, section, edit).await
}

async fn write_section(
    state: &ApiState,
    origin: Caller,
    section: SectionId,
    edit: Edit<SectionDetails>,
) -> Result<Response, ApiError> {
    let command = Command::Section {
        section: section.clone(),
        edit,
    };
    let committed = state.execute(command, origin).await?;
    Ok(at(&committed, json(&section_view(state, &section)?)))
}

fn section_details(body: &mut Fields) -> Result<SectionDetails, ApiError> {
    Ok(SectionDetails {
        name: body.required_text("name", NAME_BYTES_MAX)?,
        description: body.text("description", DESCRIPTION_BYTES_MAX)?,
        has_custom_routing: body.boolean("has_custom_routing")?.unwrap_or_default(),
        routing_options: routing_options(body)?,
    })
}

fn routing_options(body: &mut Fields) -> Result<Vec<Channel>, ApiError> {
    let channels = body.all_named("routing_options", Channel::parse, Channel::NAMES)?;
    Ok(channels.unwrap_or_default())
}

/// `DELETE /preferences/sections/{section_id}`: refused as long as it has topics.
pub(crate) async fn delete_section(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(section): Id<SectionId>,
) -> Result<Response, ApiError> {
    let command = Command::Section {
        section,
        edit: Edit::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `GET /preferences/sections/{section_id}/topics`: by id.
pub(crate) async fn topics(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(section): Id<SectionId>,
) -> Result<Response, ApiError> {
    let answer = move |state: &ApiState, _: &dyn Fn() -> bool| {
        let section = section_view(state, &section)?;
        Ok(json(&Results {
            results: section.topics,
        }))
    };
    state.scan(answer).await?
}

/// `GET /preferences/sections/{section_id}/topics/{topic_id}`.
pub(crate) async fn topic(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(section, topic): Ids<SectionId, TopicId>,
) -> Result<Response, ApiError> {
    Ok(json(&topic_view(&state, &section, &topic)?))
}

fn topic_view(state: &ApiState, section: &SectionId, topic: &TopicId) -> Result<Topic, ApiError> {
    let view = state.read_models.topics.topic(topic);
    view.filter(|topic| topic.section == *section)
        .map(Topic::from)
        .ok_or_else(ApiError::topic_not_found)
}

/// `POST /preferences/sections/{section_id}/topics`: a new topic, with the caller's `id` or one of
/// ours.
pub(crate) async fn create_topic(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(section): Id<SectionId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let topic: TopicId = id_or_new(&mut body, "pt")?;
    let put = topic_put(&mut body)?;
    // A digest that is new has nothing to keep.
    let details = TopicDetails {
        digest: put.digest.clone().applied_to(None),
        ..put.details.clone()
    };
    let command = Command::Topic {
        section: section.clone(),
        topic: topic.clone(),
        edit: Edit::Create(put),
    };
    let answer = move |committed: &Committed| {
        let created = Topic::from(TopicView {
            id: topic,
            section,
            details,
            created_at: committed.decided_at,
            updated_at: committed.decided_at,
        });
        kept(StatusCode::CREATED, &created)
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `PUT /preferences/sections/{section_id}/topics/{topic_id}`: all that it is; a digest that is left
/// out stays.
pub(crate) async fn replace_topic(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(section, topic): Ids<SectionId, TopicId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let edit = Edit::Replace(topic_put(&mut body)?);
    write_topic(&state, origin, section, topic, edit).await
}

async fn write_topic(
    state: &ApiState,
    origin: Caller,
    section: SectionId,
    topic: TopicId,
    edit: Edit<TopicPut>,
) -> Result<Response, ApiError> {
    let command = Command::Topic {
        section: section.clone(),
        topic: topic.clone(),
        edit,
    };
    let committed = state.execute(command, origin).await?;
    Ok(at(&committed, json(&topic_view(state, &section, &topic)?)))
}

fn topic_put(body: &mut Fields) -> Result<TopicPut, ApiError> {
    let default_status = body.named(
        "default_status",
        types::PreferenceStatus::parse,
        types::PreferenceStatus::NAMES,
    )?;
    let allowed = body.all_named(
        "allowed_preferences",
        PreferenceControl::parse,
        PreferenceControl::NAMES,
    )?;
    let data = body.document("topic_data", TOPIC_DOCUMENT_BYTES_MAX)?;
    let data = data.applied_to(None);
    let details = TopicDetails {
        name: body.required_text("name", NAME_BYTES_MAX)?,
        description: body.text("description", DESCRIPTION_BYTES_MAX)?,
        default_status: default_status.ok_or_else(|| ApiError::missing_field("/default_status"))?,
        allowed_preferences: allowed.unwrap_or_default(),
        include_unsubscribe_header: body
            .boolean("include_unsubscribe_header")?
            .unwrap_or_default(),
        routing_options: routing_options(body)?,
        topic_data: data.unwrap_or_else(|| JsonDocument::from(Map::new())),
        digest: None,
    };
    let digest = body.shaped("digest", TOPIC_DOCUMENT_BYTES_MAX, DIGEST)?;
    let digest = match digest {
        Change::Set(digest) => Change::Set(checked_digest(&digest)?),
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
    };
    Ok(TopicPut { details, digest })
}

/// The digest with an id on every schedule. What it means is for those who deliver.
fn checked_digest(digest: &JsonDocument) -> Result<JsonDocument, ApiError> {
    const POINTER: &str = "/digest/schedules";
    let mut digest = digest.to_object();
    if let Some(schedules) = digest.get_mut("schedules") {
        let schedules = schedules.as_array_mut();
        let schedules = schedules.filter(|schedules| !schedules.is_empty());
        let expected = "an array of at least one schedule";
        let schedules = schedules.ok_or_else(|| ApiError::invalid_field(POINTER, expected))?;
        let mut ids = BTreeSet::new();
        for (place, schedule) in schedules.iter_mut().enumerate() {
            let pointer = format!("{POINTER}/{place}");
            let schedule = schedule
                .as_object_mut()
                .ok_or_else(|| ApiError::invalid_field(&pointer, "an object"))?;
            let new = || new_type_id("sch", SystemClock.now()).into();
            let id = schedule.entry("schedule_id").or_insert_with(new);
            let id = id.as_str().filter(|id| id.len() <= ID_BYTES_MAX);
            let pointer = format!("{pointer}/schedule_id");
            let expected = "a short string that no other schedule of the digest has";
            if !id.is_some_and(|id| ids.insert(id.to_owned())) {
                return Err(ApiError::invalid_field(&pointer, expected));
            }
        }
    }
    digest
        .entry("categories")
        .or_insert_with(|| value!([{"category_key": "digest", "limit": 10, "retain": "FIRST"}]));
    Ok(JsonDocument::from(digest))
}

/// `DELETE /preferences/sections/{section_id}/topics/{topic_id}`: what people chose is kept for the
/// case that it returns.
pub(crate) async fn delete_topic(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(section, topic): Ids<SectionId, TopicId>,
) -> Result<Response, ApiError> {
    let command = Command::Topic {
        section,
        topic,
        edit: Edit::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `DELETE /preferences/sections/{section_id}/topics/{topic_id}/digest`.
pub(crate) async fn remove_digest(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(section, topic): Ids<SectionId, TopicId>,
) -> Result<Response, ApiError> {
    let command = Command::RemoveDigest { section, topic };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// `POST /preferences/sections/{section_id}/topics/{topic_id}/digest/release`: digests are not
/// collected yet, so there is nothing to release; who asks is checked all the same.
pub(crate) async fn release_digest(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(section, topic): Ids<SectionId, TopicId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    topic_view(&state, &section, &topic)?;
    body.required_id::<UserId>("user_id")?;
    body.id::<types::TenantId>("tenant_id")?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /preferences/publish`.
pub(crate) async fn publish(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let brand: Option<BrandId> = body.id("brand_id")?;
    let page_id = new_type_id("page", SystemClock.now());
    let published = PreferencePagePublished {
        page_id: page_id.clone(),
        brand_id: brand.map(Into::into),
        heading: body.text("heading", NAME_BYTES_MAX)?,
        description: body.text("description", DESCRIPTION_BYTES_MAX)?,
    };
    let command = Command::PublishPreferencePage(published);
    let answer = move |committed: &Committed| {
        let published = Published {
            page_id,
            at: committed.decided_at.to_rfc3339_millis(),
            version: committed.decided_at.0 / 1_000_000,
        };
        kept(StatusCode::OK, &published)
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `GET /preferences`, of the oldest SDKs: sections as categories, topics as what is in them.
pub(crate) async fn catalogue(
    State(state): State<ApiState>,
    _: Authenticated,
) -> Result<Response, ApiError> {
    let answer = |state: &ApiState, _: &dyn Fn() -> bool| {
        let sections = state.read_models.topics.sections().into_iter();
        let categories = sections.map(|section| {
            let topics = section.topics.into_iter();
            let topics = topics.map(|topic| {
                let status = topic.details.default_status.name();
                value!({"id": topic.id.as_str(), "title": topic.details.name,
                        "config": {"preference": {"defaultStatus": status}}})
            });
            value!({"id": section.id.as_str(), "title": section.details.name,
                    "notifications": topics.collect::<Vec<_>>()})
        });
        let categories: Vec<Value> = categories.collect();
        json(&value!({"uncategorized": [], "categories": categories}))
    };
    state.scan(answer).await
}
