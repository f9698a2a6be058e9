use axum::extract::State;
use axum::response::Response;
use engine::NewTarget;
use events::MessageTarget;
use sending::{Evaluator, Foreseen, Page, Prediction, Spec};
use serde::Serialize;
use types::{Clock as _, MessageReason, SubjectId, SystemClock, Timestamp};
use utoipa::ToSchema;

use crate::cursor;
use crate::error::ApiError;
use crate::extract::body::Fields;
use crate::extract::origin::Authenticated;
use crate::extract::query::Parameters;
use crate::routes::send::{Times, message, message_of, targets};
use crate::routes::{Paging, json};
use crate::state::ApiState;

const COLLECTION: &str = "people of a message";

/// What would become of a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Resolved {
    /// How many people it is for.
    people: u64,
    counts: Vec<OutcomeCount>,
    items: Vec<ForeseenUser>,
    /// Recipients that lead to nobody.
    problems: Vec<Problem>,
    paging: Paging,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct OutcomeCount {
    status: &'static str,
    reason: Option<&'static str>,
    /// What decides it, in one word.
    because: String,
    count: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ForeseenUser {
    /// Nothing of somebody who is not known yet.
    user_id: Option<String>,
    /// Place in `to` of the recipient through which the person is reached, from 0.
    recipient: u32,
    status: &'static str,
    reason: Option<&'static str>,
    because: String,
    tenant_id: Option<String>,
    channels: Vec<ChannelUse>,
    delayed_until: Option<String>,
}

/// What becomes of one channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelUse {
    #[serde(rename = "channel")]
    pub(crate) name: String,
    pub(crate) used: bool,
    pub(crate) because: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Place in `to`, from 0.
    pub(crate) recipient: u32,
    pub(crate) problem: &'static str,
}

/// `POST /v1/resolve`: what would become of a message, for whom, and why. Nothing is sent or written.
pub(crate) async fn resolve(
    State(state): State<ApiState>,
    _: Authenticated,
    parameters: Parameters,
    mut body: Fields,
) -> Result<Response, ApiError> {
    let now = SystemClock.now();
    let limit = parameters.limit()?.rows();
    let after = parameters.place_checked(COLLECTION)?;
    let after = after.map(|it| it.parse().map(SubjectId));
    let after = after.transpose().map_err(|_| ApiError::invalid_cursor())?;
    let mut given = message_of(&mut body)?;
    Times::take(&mut given, now)?;
    let wanted = targets(&state, given.take("to"), &given.pointer("to"), now)?;
    let (_, message) = message(given.take_all(), "/message")?;
    let mut named: Vec<(String, Option<SubjectId>)> = Vec::new();
    let mut targets = Vec::new();
    for target in wanted {
        match target {
            NewTarget::Many(target) => targets.push(target),
            NewTarget::Person(recipient) => {
                let user_id = recipient.user_id.as_str();
                let held = named.iter().position(|(held, _)| held == user_id);
                let place = held.unwrap_or(named.len());
                if held.is_none() {
                    named.push((
                        user_id.to_owned(),
                        state.read_models.subjects.number(user_id),
                    ));
                }
                targets.push(MessageTarget::Person(events::OfPerson {
                    place: u32::try_from(place).unwrap_or(u32::MAX),
                    value: events::Personal::Known(recipient.given),
                }));
            }
        }
    }
    let named: Vec<_> = named.into_iter().map(|(_, subject)| subject).collect();
    let spec = Spec::new(message, targets, Vec::new());
    let foreseen = state
        .scan(move |state, still_wanted| {
            let evaluator = Evaluator {
                spec: &spec,
                read_models: &state.read_models,
                tenant_levels: state.tenant_levels,
                at: now,
                writing: state.sending.writing(),
                providers: state.sending.providers(),
            };
            let page = Page { after, limit };
            evaluator.foresee(&named, page, still_wanted)
        })
        .await?;
    let foreseen = foreseen.ok_or_else(ApiError::busy)?;
    Ok(json(&shown(&state, foreseen)))
}

fn shown(state: &ApiState, foreseen: Foreseen) -> Resolved {
    let last = foreseen.page.iter().rev().find_map(|it| it.subject);
    let counts = foreseen.counts.into_iter();
    let items = foreseen.page.into_iter().map(|person| {
        let Prediction {
            status,
            reason,
            because,
            tenant,
            channels,
            delayed_until,
        } = person.prediction;
        ForeseenUser {
            user_id: person
                .subject
                .map(|it| state.read_models.subjects.shown(it)),
            recipient: person.target,
            status: status.name(),
            reason: reason.map(MessageReason::name),
            because,
            tenant_id: tenant.map(Into::into),
            channels: channels
                .into_iter()
                .map(|(name, used, because)| ChannelUse {
                    name,
                    used,
                    because,
                })
                .collect(),
            delayed_until: delayed_until.map(Timestamp::to_rfc3339_millis),
        }
    });
    let problems = foreseen.problems.iter().map(|it| Problem {
        recipient: it.target,
        problem: problem_name(it.problem),
    });
    Resolved {
        people: foreseen.people,
        counts: counts
            .map(|((status, reason, because), count)| OutcomeCount {
                status,
                reason,
                because,
                count,
            })
            .collect(),
        items: items.collect(),
        problems: problems.collect(),
        paging: Paging::new(foreseen.more, || {
            Some(cursor::encode(COLLECTION, &last?.to_string()))
        }),
    }
}

pub(crate) fn problem_name(problem: events::TargetTrouble) -> &'static str {
    match problem {
        events::TargetTrouble::NotThere => "not_there",
        events::TargetTrouble::Empty => "empty",
        events::TargetTrouble::ReachedAlready => "reached_already",
    }
}
