use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::limits::{BRAND_DOCUMENT_BYTES_MAX, NAME_BYTES_MAX};
use domain::{BRAND_SETTINGS, BRAND_SNIPPETS, BRAND_WORDS, Shape};
use engine::{BrandDetails, Command, Committed, Edit};
use projections::BrandView;
use serde::Serialize;
use types::{BrandId, Clock as _, JsonDocument, SystemClock, Timestamp, new_type_id};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::{Authenticated, Caller, Origin};
use crate::extract::path::Id;
use crate::extract::query::Parameters;
use crate::routes::{Paging, at, json, kept, no_content};
use crate::state::ApiState;

const COLLECTION: &str = "brands";

#[derive(Serialize, ToSchema)]
pub(crate) struct Brand {
    id: String,
    name: String,
    /// Milliseconds since 1970, as of everything here.
    created: u64,
    updated: u64,
    published: u64,
    version: String,
    #[schema(value_type = Option<Object>)]
    settings: Option<JsonDocument>,
    #[schema(value_type = Option<Object>)]
    snippets: Option<JsonDocument>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BrandsPage {
    results: Vec<Brand>,
    paging: Paging,
}

impl From<BrandView> for Brand {
    fn from(view: BrandView) -> Self {
        let milliseconds = |at: Timestamp| at.0 / 1_000_000;
        let BrandDetails {
            name,
            settings,
            snippets,
        } = view.details;
        Self {
            id: view.id.into(),
            name,
            created: milliseconds(view.created_at),
            updated: milliseconds(view.updated_at),
            // What is written is published.
            published: milliseconds(view.updated_at),
            version: view.updated_at.to_rfc3339_millis(),
            settings,
            snippets,
        }
    }
}

/// `GET /brands`: by id.
pub(crate) async fn page(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let after = parameters.place(COLLECTION);
    let after = after.and_then(|id| BrandId::parse(&id).ok());
    let limit = parameters.limit_clamped();
    let brands = &state.read_models.brands;
    let (views, more) = brands.page(after.as_ref(), limit);
    let last = views.last();
    let cursor = last.map(|last| cursor::encode(COLLECTION, last.id.as_str()));
    Ok(json(&BrandsPage {
        results: views.into_iter().map(Brand::from).collect(),
        paging: Paging::new(more, || cursor),
    }))
}

/// `GET /brands/{brand_id}`.
pub(crate) async fn get(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(brand): Id<BrandId>,
) -> Result<Response, ApiError> {
    Ok(json(&view(&state, &brand)?))
}

fn view(state: &ApiState, brand: &BrandId) -> Result<Brand, ApiError> {
    let view = state.read_models.brands.get(brand);
    view.map(Brand::from).ok_or_else(ApiError::brand_not_found)
}

/// `POST /brands`: a new brand, with the caller's `id` or one of ours.
pub(crate) async fn create(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let brand: BrandId = match body.id("id")? {
        Some(brand) => brand,
        None => BrandId::parse(&new_type_id("bnd", SystemClock.now()))
            .expect("an id that is made here is one"),
    };
    if BRAND_WORDS.contains(&brand.as_str()) {
        let expected = format!("another id than {}", BRAND_WORDS.join(" or "));
        return Err(ApiError::invalid_field("/id", expected));
    }
    if !body.is_given("settings") {
        return Err(ApiError::missing_field("/settings"));
    }
    let details = details(&mut body)?;
    let command = Command::Brand {
        brand: brand.clone(),
        edit: Edit::Create(details.clone()),
    };
    let answer = move |committed: &Committed| {
        let created = Brand::from(BrandView {
            id: brand,
            details,
            created_at: committed.decided_at,
            updated_at: committed.decided_at,
        });
        kept(StatusCode::OK, &created)
    };
    Ok(state.execute_once(command, origin, answer).await?)
}

/// `PUT /brands/{brand_id}`: all that it is; what is left out is cleared.
pub(crate) async fn replace(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(brand): Id<BrandId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let edit = Edit::Replace(details(&mut body)?);
    write(&state, origin, brand, edit).await
}

async fn write(
    state: &ApiState,
    origin: Caller,
    brand: BrandId,
    edit: Edit<BrandDetails>,
) -> Result<Response, ApiError> {
    let command = Command::Brand {
        brand: brand.clone(),
        edit,
    };
    let committed = state.execute(command, origin).await?;
    Ok(at(&committed, json(&view(state, &brand)?)))
}

fn details(body: &mut Fields) -> Result<BrandDetails, ApiError> {
    let name = body.required_text("name", NAME_BYTES_MAX)?;
    let mut document = |name: &str, shape: Shape| {
        let document = body.shaped(name, BRAND_DOCUMENT_BYTES_MAX, shape)?;
        Ok::<_, ApiError>(document.applied_to(None))
    };
    Ok(BrandDetails {
        name,
        settings: document("settings", BRAND_SETTINGS)?,
        snippets: document("snippets", BRAND_SNIPPETS)?,
    })
}

/// `DELETE /brands/{brand_id}`: refused as long as a tenant or the preference page uses it.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    Id(brand): Id<BrandId>,
) -> Result<Response, ApiError> {
    let command = Command::Brand {
        brand,
        edit: Edit::Delete,
    };
    Ok(no_content(&state.execute(command, origin).await?))
}
