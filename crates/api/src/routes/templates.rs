use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use domain::TemplateCommand;
use domain::limits::{NAME_BYTES_MAX, TEMPLATE_BYTES_MAX};
use engine::{Command, Committed};
use projections::{TemplateVersion, TemplateView};
use serde::Serialize;
use serde_json::{Map, Value};
use types::{
    Clock as _, JsonDocument, Routing, SystemClock, TemplateId, TemplateKey, TenantId, Timestamp,
    TopicId, new_type_id, without_nulls,
};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::{Fields, bounded};
use crate::extract::origin::{Authenticated, Caller, Origin};
use crate::extract::path::{Id, Ids, TemplateInTenant};
use crate::extract::query::Parameters;
use crate::routes::send::check_content;
use crate::routes::{LinkedPage, Paging, at, json, kept, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "templates";
/// Rows of a page of Courier's, unless asked for another number.
const ROWS: u64 = 20;

/// A template in one of its versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Template {
    id: String,
    /// Of this one; `v` and a number.
    version: String,
    created_at: String,
    updated_at: String,
    /// Since when a version of it is told.
    published_at: Option<String>,
    /// The version that is told.
    published_version: Option<String>,
    /// Content, routing, and what else it says.
    #[schema(value_type = Object)]
    data: JsonDocument,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TemplatesPage {
    items: Vec<Template>,
    paging: Paging,
}

/// What a write left.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct Saved {
    id: String,
    version: String,
    published_at: Option<String>,
}

impl Template {
    /// As Courier's SDK wants those of tenants: always with a routing, and with a text for a time that is
    /// not.
    fn in_tenant(view: TemplateView) -> Self {
        let mut data = view.template.to_object();
        data.entry("routing")
            .or_insert_with(|| serde_json::json!({"method": "single", "channels": []}));
        let mut shown = Self::from(view);
        shown.data = data.into();
        shown.published_at.get_or_insert_default();
        shown
    }
}

impl From<TemplateView> for Template {
    fn from(view: TemplateView) -> Self {
        Self {
            id: view.id.into(),
            version: version_name(view.version),
            created_at: view.created_at.to_rfc3339_millis(),
            updated_at: view.updated_at.to_rfc3339_millis(),
            published_at: view.published.map(|(_, at)| at.to_rfc3339_millis()),
            published_version: view.published.map(|(version, _)| version_name(version)),
            data: view.template,
        }
    }
}

fn version_name(version: u32) -> String {
    format!("v{version}")
}

/// `latest`, `published`, or `v` and a number.
fn version_of(text: &str) -> Option<TemplateVersion> {
    match text {
        "latest" => Some(TemplateVersion::Latest),
        "published" => Some(TemplateVersion::Published),
        _ => {
            let number = text.strip_prefix('v')?.parse().ok()?;
            (version_name(number) == text).then_some(TemplateVersion::Number(number))
        }
    }
}

fn of_tenant(tenant: TenantId, id: TemplateId) -> TemplateKey {
    let tenant = Some(tenant);
    TemplateKey { tenant, id }
}

fn of_everybody(id: TemplateId) -> TemplateKey {
    TemplateKey { tenant: None, id }
}

fn there(
    state: &ApiState,
    key: &TemplateKey,
    version: TemplateVersion,
) -> Result<TemplateView, ApiError> {
    let view = state.read_models.templates.get(key, version);
    view.ok_or_else(ApiError::template_not_found)
}

/// `GET /tenants/{tenant_id}/templates`: by id, each in its latest version.
pub(crate) async fn page_of_tenant(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(tenant): Id<TenantId>,
    parameters: Parameters,
    uri: Uri,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    let limit = parameters.limit_clamped_from(ROWS).rows();
    let after = parameters.place(COLLECTION);
    let after = after.and_then(|it| TemplateId::parse(&it).ok());
    let templates = &state.read_models.templates;
    let (views, more) = templates.page(Some(&tenant), after.as_ref(), limit);
    let last = views.last();
    let cursor = last.map(|it| cursor::encode(COLLECTION, it.id.as_str()));
    let items = views.into_iter().map(Template::in_tenant).collect();
    Ok(json(&LinkedPage::new(items, &uri, more, cursor)))
}

fn known(state: &ApiState, tenant: &TenantId) -> Result<(), ApiError> {
    if state.read_models.tenants.is_known(tenant) {
        Ok(())
    } else {
        Err(ApiError::tenant_not_found())
    }
}

/// `GET /tenants/{tenant_id}/templates/{template_id}`: in its published version, or else the latest.
pub(crate) async fn get_of_tenant(
    State(state): State<ApiState>,
    _: Authenticated,
    Ids(tenant, id): Ids<TenantId, TemplateId>,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    let key = of_tenant(tenant, id);
    let published = there(&state, &key, TemplateVersion::Published);
    let view = published.or_else(|_| there(&state, &key, TemplateVersion::Latest))?;
    Ok(json(&Template::in_tenant(view)))
}

/// `GET /tenants/{tenant_id}/templates/{template_id}/versions/{version}`.
pub(crate) async fn version_of_tenant(
    State(state): State<ApiState>,
    _: Authenticated,
    TemplateInTenant {
        tenant,
        template,
        version,
    }: TemplateInTenant,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    let version = version_of(&version).ok_or_else(ApiError::template_not_found)?;
    let view = there(&state, &of_tenant(tenant, template), version)?;
    Ok(json(&Template::in_tenant(view)))
}

/// `PUT /tenants/{tenant_id}/templates/{template_id}`: a further version.
pub(crate) async fn put_of_tenant(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(tenant, id): Ids<TenantId, TemplateId>,
    body: Fields,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    let key = of_tenant(tenant, id);
    write(&state, origin, key, body).await
}

/// `POST /tenants/{tenant_id}/templates/{template_id}/publish`.
pub(crate) async fn publish_of_tenant(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(tenant, id): Ids<TenantId, TemplateId>,
    body: Fields,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    let key = of_tenant(tenant, id);
    publish_version(&state, origin, key, body).await
}

/// `DELETE /tenants/{tenant_id}/templates/{template_id}`.
pub(crate) async fn delete_of_tenant(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Ids(tenant, id): Ids<TenantId, TemplateId>,
) -> Result<Response, ApiError> {
    known(&state, &tenant)?;
    archive_key(&state, origin, of_tenant(tenant, id)).await
}

/// `GET /v1/templates`: by id, each in its latest version.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let limit = parameters.limit()?.rows();
    let after = parameters.place_checked(COLLECTION)?;
    let after = after.map(|it| TemplateId::parse(&it));
    let after = after.transpose().map_err(|_| ApiError::invalid_cursor())?;
    let templates = &state.read_models.templates;
    let (views, more) = templates.page(None, after.as_ref(), limit);
    let last = views.last();
    let cursor = last.map(|it| cursor::encode(COLLECTION, it.id.as_str()));
    Ok(json(&TemplatesPage {
        items: views.into_iter().map(Template::from).collect(),
        paging: Paging::new(more, || cursor),
    }))
}

/// `POST /v1/templates`: one whose id is made here unless given.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let id: Option<TemplateId> = body.id("id")?;
    let made = || TemplateId::parse(&new_type_id("nt", SystemClock.now())).expect("it is an id");
    let key = of_everybody(id.unwrap_or_else(made));
    if state
        .read_models
        .templates
        .get(&key, TemplateVersion::Latest)
        .is_some()
    {
        return Err(ApiError::template_taken());
    }
    let (template, publish) = given(&mut body)?;
    let (version, id) = (next_version(&state, &key), key.id.clone());
    let command = Command::Template {
        key,
        command: TemplateCommand::Save { template, publish },
    };
    let answer = move |committed: &Committed| {
        let saved = Saved {
            id: id.into(),
            version,
            published_at: publish.then(|| committed.decided_at.to_rfc3339_millis()),
        };
        kept(StatusCode::CREATED, &saved)
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// The version that the next write makes, unless another comes first.
fn next_version(state: &ApiState, key: &TemplateKey) -> String {
    let last = state.read_models.templates.last_version(key);
    version_name(last.unwrap_or_default() + 1)
}

/// `GET /v1/templates/{template_id}?version=`: in its latest version unless another is asked for.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(id): Id<TemplateId>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let version = match parameters.get("version") {
        None => TemplateVersion::Latest,
        Some(text) => version_of(text).ok_or_else(|| {
            ApiError::invalid_parameter("version", "latest, published, or `v` and a number")
        })?,
    };
    let view = there(&state, &of_everybody(id), version)?;
    Ok(json(&Template::from(view)))
}

/// `PUT /v1/templates/{template_id}`: a further version.
pub(crate) async fn put(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(id): Id<TemplateId>,
    body: Fields,
) -> Result<Response, ApiError> {
    write(&state, origin, of_everybody(id), body).await
}

/// `POST /v1/templates/{template_id}/publish`: from now on this version is what is told.
pub(crate) async fn publish(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(id): Id<TemplateId>,
    body: Fields,
) -> Result<Response, ApiError> {
    publish_version(&state, origin, of_everybody(id), body).await
}

/// `DELETE /v1/templates/{template_id}`: it is used no more.
pub(crate) async fn archive(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(id): Id<TemplateId>,
) -> Result<Response, ApiError> {
    archive_key(&state, origin, of_everybody(id)).await
}

async fn write(
    state: &ApiState,
    origin: Caller,
    key: TemplateKey,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let (template, publish) = given(&mut body)?;
    let command = Command::Template {
        key: key.clone(),
        command: TemplateCommand::Save { template, publish },
    };
    let committed = state.execute(command, origin).await?;
    let view = there(state, &key, TemplateVersion::Latest)?;
    Ok(at(&committed, json(&saved(view))))
}

fn saved(view: TemplateView) -> Saved {
    let is_told = view
        .published
        .filter(|(version, _)| *version == view.version);
    Saved {
        id: view.id.into(),
        version: version_name(view.version),
        published_at: is_told.map(|(_, at): (u32, Timestamp)| at.to_rfc3339_millis()),
    }
}

async fn publish_version(
    state: &ApiState,
    origin: Caller,
    key: TemplateKey,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let version = match body.text("version", NAME_BYTES_MAX)?.as_deref() {
        None | Some("latest") => None,
        Some(text) => match version_of(text) {
            Some(TemplateVersion::Number(number)) => Some(number),
            Some(TemplateVersion::Latest | TemplateVersion::Published) | None => {
                let expected = "latest, or `v` and the number of a version";
                return Err(ApiError::invalid_field("/version", expected));
            }
        },
    };
    let held = there(state, &key, TemplateVersion::Latest)?;
    let told = version.unwrap_or(held.version);
    let id: String = key.id.clone().into();
    let answer = move |committed: &Committed| {
        // One that is told already has been since then.
        let since = held.published.filter(|(version, _)| *version == told);
        let since = since.map_or(committed.decided_at, |(_, at)| at);
        let saved = Saved {
            id,
            version: version_name(told),
            published_at: Some(since.to_rfc3339_millis()),
        };
        kept(StatusCode::OK, &saved)
    };
    let command = Command::Template {
        key,
        command: TemplateCommand::Publish {
            version: Some(told),
        },
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

async fn archive_key(
    state: &ApiState,
    origin: Caller,
    key: TemplateKey,
) -> Result<Response, ApiError> {
    let command = Command::Template {
        key,
        command: TemplateCommand::Archive,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}

/// What a body says of a template, and whether it is to be told at once.
fn given(body: &mut Fields) -> Result<(JsonDocument, bool), ApiError> {
    let publish = body.boolean("published")?.unwrap_or_default();
    let pointer = body.pointer("template");
    let template = without_nulls(Value::Object(body.object("template")?));
    let document = bounded(&template, TEMPLATE_BYTES_MAX, &pointer)?;
    let empty = Map::new();
    let members = template.as_object().unwrap_or(&empty);
    let content = members.get("content");
    let content = content.ok_or_else(|| ApiError::missing_field(&format!("{pointer}/content")))?;
    check_content(content, &format!("{pointer}/content"))?;
    if let Some(routing) = members.get("routing") {
        Routing::parse(routing).map_err(|error| {
            ApiError::invalid_field(&format!("{pointer}{}", error.pointer), error.expected)
        })?;
    }
    for name in ["channels", "providers"] {
        if members.get(name).is_some_and(|it| !it.is_object()) {
            return Err(ApiError::invalid_field(
                &format!("{pointer}/{name}"),
                "an object",
            ));
        }
    }
    if let Some(topic) = members.get("topic_id") {
        let topic = topic.as_str().and_then(|it| TopicId::parse(it).ok());
        topic.ok_or_else(|| {
            ApiError::invalid_field(&format!("{pointer}/topic_id"), "the id of a topic")
        })?;
    }
    Ok((document, publish))
}
