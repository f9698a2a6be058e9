//! What people see who follow a link out of a message. A link is a credential for what it is a link to, and
//! for nothing else; no page needs a script.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::limits::CHOICES_MAX;
use domain::{Change, ChoiceRequest};
use engine::{Actor, Choices, Command, ExecuteError, Origin};
use minijinja::{AutoEscape, Environment};
use projections::TopicPreference;
use sending::Unsubscribing;
use serde::Serialize;
use types::{PreferenceStatus, SubjectId, TopicId, UserId};

use crate::state::ApiState;

const PAGE: &str = "page.html";

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    pages.set_auto_escape_callback(|_| AutoEscape::Html);
    pages
        .add_template(PAGE, include_str!("pages/page.html"))
        .expect("the page is a template");
    pages
});

/// What a page shows; nothing of what is left out.
#[derive(Default, Serialize)]
struct Page {
    title: &'static str,
    heading: String,
    color: &'static str,
    text: Option<String>,
    done: Option<&'static str>,
    /// What is to be confirmed.
    confirm: Option<&'static str>,
    sections: Vec<Section>,
    /// To all that can be chosen.
    link: Option<String>,
}

#[derive(Default, Serialize)]
struct Section {
    name: Option<String>,
    topics: Vec<Topic>,
}

#[derive(Serialize)]
struct Topic {
    id: String,
    name: String,
    description: Option<String>,
    is_in: bool,
    is_required: bool,
}

impl Page {
    fn into_response(self, status: StatusCode) -> Response {
        let page = Self {
            color: "#2b5fd9",
            ..self
        };
        let template = PAGES.get_template(PAGE).expect("the page was added");
        let html = template.render(page).expect("a page is plain data");
        let header = |name: &'static str, value: &'static str| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let headers = [
            header("content-type", "text/html; charset=utf-8"),
            header("cache-control", "no-store"),
            // The address of the page is a credential, which nobody else is to learn.
            header("referrer-policy", "no-referrer"),
            header("x-content-type-options", "nosniff"),
            header("x-robots-tag", "noindex"),
            header(
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'",
            ),
        ];
        let mut response = (status, html).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The same whether the link was never made here or the person is gone.
fn not_found() -> Response {
    let page = Page {
        title: "Link not found",
        heading: "This link does not work".to_owned(),
        text: Some(
            "It may have been cut off on its way. Please open it from the message again."
                .to_owned(),
        ),
        ..Page::default()
    };
    page.into_response(StatusCode::NOT_FOUND)
}

fn failed(error: &ExecuteError) -> Response {
    let page = Page {
        title: "Not now",
        heading: "That did not work".to_owned(),
        text: Some("Nothing was changed. Please try again in a moment.".to_owned()),
        ..Page::default()
    };
    let status = match error {
        ExecuteError::Refused(_) => StatusCode::CONFLICT,
        ExecuteError::Busy | ExecuteError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
    };
    page.into_response(status)
}

/// Who follows a link, and what it is to; nothing if it is none, or the person is gone.
fn followed(state: &ApiState, token: &str) -> Option<(Unsubscribing, UserId)> {
    let what = state.links.read(token)?;
    let user_id = state.read_models.subjects.user_id(what.subject)?;
    Some((what, user_id))
}

fn origin() -> Origin {
    Origin {
        actor: Actor {
            id: "link".to_owned(),
            name: "link in a message".to_owned(),
            on_behalf_of: None,
        },
        ..Origin::default()
    }
}

fn preferences(state: &ApiState, what: &Unsubscribing) -> Vec<TopicPreference> {
    let (subject, tenant) = (Some(what.subject), what.tenant.as_ref());
    let models = &state.read_models;
    models.effective_preferences(subject, tenant, state.tenant_levels, state.now())
}

fn topic_name(state: &ApiState, topic: &TopicId) -> Option<String> {
    Some(state.read_models.topics.topic(topic)?.details.name)
}

/// `GET /unsubscribe/{token}`: asks whether the person means it. Programs that look at links open them, and
/// nothing may come of that.
pub(crate) async fn unsubscribe(
    State(state): State<ApiState>,
    Path(token): Path<String>,
) -> Response {
    let Some((what, _)) = followed(&state, &token) else {
        return not_found();
    };
    let name = what.topic.as_ref().and_then(|it| topic_name(&state, it));
    let Some(name) = name else {
        return not_found();
    };
    let page = Page {
        title: "Unsubscribe",
        heading: format!("Unsubscribe from {name}?"),
        confirm: Some("Unsubscribe"),
        link: Some(all_preferences(&state, what.subject, &what)),
        ..Page::default()
    };
    page.into_response(StatusCode::OK)
}

/// `POST /unsubscribe/{token}`: ends the topic, with one click (RFC 8058), whatever the body says.
pub(crate) async fn confirm(State(state): State<ApiState>, Path(token): Path<String>) -> Response {
    let Some((what, user_id)) = followed(&state, &token) else {
        return not_found();
    };
    let Some(topic) = what.topic.clone() else {
        return not_found();
    };
    let command = Command::Choose {
        user_id,
        tenant: what.tenant.clone(),
        choices: Choices::Set(
            topic.clone(),
            opted(&state, &what, &topic, PreferenceStatus::OptedOut),
        ),
    };
    if let Err(error) = state.engine.execute(command, origin()).await {
        return failed(&error);
    }
    let name = topic_name(&state, &topic).unwrap_or_default();
    let page = Page {
        title: "Unsubscribed",
        heading: format!("You are unsubscribed from {name}"),
        done: Some("You will get no more of these messages."),
        link: Some(all_preferences(&state, what.subject, &what)),
        ..Page::default()
    };
    page.into_response(StatusCode::OK)
}

fn all_preferences(state: &ApiState, subject: SubjectId, what: &Unsubscribing) -> String {
    let all = Unsubscribing {
        subject,
        topic: None,
        tenant: what.tenant.clone(),
    };
    format!("../preference-page/{}", state.links.token(&all))
}

/// A choice of which only the status is another than before.
fn opted(
    state: &ApiState,
    what: &Unsubscribing,
    topic: &TopicId,
    status: PreferenceStatus,
) -> ChoiceRequest {
    let chosen = &state.read_models.preferences;
    let chosen = chosen.choice(what.subject, topic, what.tenant.as_ref());
    ChoiceRequest {
        status,
        routing: chosen.and_then(|it| it.choice.routing),
        digest_schedule_id: Change::Keep,
        snoozes: Change::Keep,
    }
}

/// `GET /preference-page/{token}`: all that the person can choose.
pub(crate) async fn preference_page(
    State(state): State<ApiState>,
    Path(token): Path<String>,
) -> Response {
    let Some((what, _)) = followed(&state, &token) else {
        return not_found();
    };
    shown(&state, &what, None)
}

fn shown(state: &ApiState, what: &Unsubscribing, done: Option<&'static str>) -> Response {
    let published = state
        .read_models
        .topics
        .published_page()
        .map(|it| it.published);
    let mut sections: BTreeMap<Option<String>, Section> = BTreeMap::new();
    for preference in preferences(state, what) {
        let status = preference.effective.status;
        let details = state.read_models.topics.topic(&preference.topic);
        let section = preference.section.map(|(_, name)| name);
        let shown = sections.entry(section.clone()).or_insert_with(|| Section {
            name: section,
            topics: Vec::new(),
        });
        shown.topics.push(Topic {
            id: preference.topic.into(),
            name: preference.name,
            description: details.and_then(|it| it.details.description),
            is_in: status != PreferenceStatus::OptedOut,
            is_required: status == PreferenceStatus::Required,
        });
    }
    let heading = published.as_ref().and_then(|it| it.heading.clone());
    let page = Page {
        title: "Preferences",
        heading: heading.unwrap_or_else(|| "What you want to hear about".to_owned()),
        text: published.and_then(|it| it.description),
        done,
        sections: sections.into_values().collect(),
        ..Page::default()
    };
    page.into_response(StatusCode::OK)
}

/// `POST /preference-page/{token}`: takes over what the person ticked. What the page did not show stays as
/// it is.
pub(crate) async fn save(
    State(state): State<ApiState>,
    Path(token): Path<String>,
    form: Result<Form<Vec<(String, String)>>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Some((what, user_id)) = followed(&state, &token) else {
        return not_found();
    };
    let Form(form) = form.unwrap_or_default();
    let named = |field: &str| {
        let of_field = form.iter().filter(|(name, _)| name == field);
        let topics = of_field.filter_map(|(_, topic)| TopicId::parse(topic).ok());
        topics.take(CHOICES_MAX).collect::<Vec<_>>()
    };
    let (shown_topics, ticked) = (named("shown"), named("in"));
    let held = preferences(&state, &what);
    // Only what the person changed is a choice; everything else goes on following its default.
    let changed = held.iter().filter_map(|preference| {
        let topic = &preference.topic;
        let status = preference.effective.status;
        let is_in = status != PreferenceStatus::OptedOut;
        let wants = ticked.contains(topic);
        let is_changed =
            shown_topics.contains(topic) && status != PreferenceStatus::Required && is_in != wants;
        let status = if wants {
            PreferenceStatus::OptedIn
        } else {
            PreferenceStatus::OptedOut
        };
        is_changed.then(|| (topic.clone(), opted(&state, &what, topic, status)))
    });
    let changed: Vec<_> = changed.collect();
    let command = Command::Choose {
        user_id,
        tenant: what.tenant.clone(),
        choices: Choices::SetMany(changed),
    };
    match state.engine.execute(command, origin()).await {
        Ok(_) => shown(&state, &what, Some("Your choices are saved.")),
        Err(error) => failed(&error),
    }
}
