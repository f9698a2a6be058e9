use axum::extract::State;
use axum::response::Response;
use domain::{audiences_of, refuse_cycle};
use projections::{Preview, ReadModels};
use serde::Serialize;
use types::AudienceId;
use utoipa::ToSchema;

use crate::as_of::{AS_OF, AsOf, EXPECTED};
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Authenticated;
use crate::extract::path::Id;
use crate::request::PastPosition;
use crate::routes::json;
use crate::state::ApiState;

#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewAnswer {
    count: u64,
    /// Everybody with a stored profile.
    total: u64,
    sample: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Part {
    count: u64,
    sample: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DiffAnswer {
    joining: Part,
    leaving: Part,
}

impl Part {
    fn of(preview: Preview, models: &ReadModels) -> Self {
        let user_id = |subject| models.subjects.shown(subject);
        Self {
            count: preview.count,
            sample: preview.sample.into_iter().map(user_id).collect(),
        }
    }
}

/// `POST /v1/audiences/preview`: how many a rule would match and some of them; nothing is saved.
pub(crate) async fn preview(
    State(state): State<ApiState>,
    _: Authenticated,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let rule = body.required_rule()?;
    let sample = body.sample()?;
    let as_of = body.take(AS_OF).filter(|as_of| !as_of.is_null());
    let as_of = as_of.map(|as_of| {
        let read = AsOf::of_value(&as_of);
        read.ok_or_else(|| ApiError::invalid_field("/as_of", EXPECTED))
    });
    let moment = match as_of.transpose()? {
        Some(as_of) => Some(state.moment(as_of).await?),
        None => None,
    };
    let asked = moment.as_ref().map_or(&state, |moment| &moment.state);
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let previewed = state
            .read_models
            .preview(&rule, state.now(), sample, still_wanted);
        // Nothing only if nobody waits for the answer any more.
        let (preview, total) = previewed.unwrap_or_default();
        let Part { count, sample } = Part::of(preview, &state.read_models);
        json(&PreviewAnswer {
            count,
            total,
            sample,
        })
    };
    let mut response = asked.scan(answer).await?;
    if let Some(moment) = moment {
        let position = PastPosition(moment.position());
        response.extensions_mut().insert(position);
    }
    Ok(response)
}

/// `POST /v1/audiences/{audience_id}/diff`: who would join and who would leave with another rule;
/// nothing is saved.
pub(crate) async fn diff(
    State(state): State<ApiState>,
    _: Authenticated,
    Id(audience): Id<AudienceId>,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let given = body.peek("filter");
    let rule = body.required_rule()?;
    let sample = body.sample()?;
    let answer = move |state: &ApiState, still_wanted: &dyn Fn() -> bool| {
        let models = &state.read_models;
        let parts_of = |other: &AudienceId| {
            let rule = models.audiences.rule(other);
            rule.as_deref().map_or_else(Vec::new, audiences_of)
        };
        // What could not be saved need not be compared.
        if let Err(refusal) = refuse_cycle(&audience, &rule, parts_of) {
            return Err(ApiError::from(refusal).at_audience_in(&given));
        }
        let compared = models.compare(&audience, &rule, state.now(), sample, still_wanted);
        let compared = compared.ok_or_else(ApiError::audience_not_found)?;
        Ok(json(&DiffAnswer {
            joining: Part::of(compared.joining, models),
            leaving: Part::of(compared.leaving, models),
        }))
    };
    state.scan(answer).await?
}
