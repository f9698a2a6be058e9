use events::{TemplateArchived, TemplateEvent, TemplatePublished, TemplateSaved};
use types::JsonDocument;

use crate::Decider;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateCommand {
    /// Write a further version, and tell it from now on if asked to.
    Save {
        template: JsonDocument,
        publish: bool,
    },
    /// Tell this version from now on, or the latest.
    Publish {
        version: Option<u32>,
    },
    Archive,
}

/// A template, as far as decisions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateState {
    /// Of all that there ever were, ended ones included.
    pub latest: u32,
    pub is_there: bool,
    /// The versions that can be told.
    pub versions: Vec<u32>,
    pub published: Option<u32>,
    /// What the latest version says, if it is there.
    pub content: Option<JsonDocument>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateRefusal {
    #[error("there is no such template")]
    NotFound,
    #[error("the template has no such version, or it is kept no more")]
    VersionNotFound,
    #[error("there can be at most {max} templates of one tenant, or of everybody", max = crate::limits::TEMPLATES_MAX)]
    TooMany,
}

/// A template with its versions. One that is archived can be written again; its versions go on.
pub struct Template;

impl Decider for Template {
    type Command = TemplateCommand;
    type Event = TemplateEvent;
    type State = TemplateState;
    type Refusal = TemplateRefusal;

    fn decide(
        state: &TemplateState,
        command: TemplateCommand,
    ) -> Result<Vec<TemplateEvent>, TemplateRefusal> {
        let publish = |version| TemplateEvent::Published(TemplatePublished { version });
        match command {
            TemplateCommand::Save {
                template,
                publish: also,
            } => {
                let is_new = !state.is_there || state.content.as_ref() != Some(&template);
                let version = state.latest + u32::from(is_new);
                let saved = TemplateEvent::Saved(TemplateSaved { version, template });
                let saved = is_new.then_some(saved);
                let published = also && (is_new || state.published != Some(version));
                let published = published.then(|| publish(version));
                Ok(saved.into_iter().chain(published).collect())
            }
            TemplateCommand::Publish { .. } | TemplateCommand::Archive if !state.is_there => {
                Err(TemplateRefusal::NotFound)
            }
            TemplateCommand::Publish { version } => {
                let version = version.unwrap_or(state.latest);
                if !state.versions.contains(&version) {
                    return Err(TemplateRefusal::VersionNotFound);
                }
                let is_new = state.published != Some(version);
                Ok(is_new.then(|| publish(version)).into_iter().collect())
            }
            TemplateCommand::Archive => Ok(vec![TemplateEvent::Archived(TemplateArchived {})]),
        }
    }

    fn evolve(state: &mut TemplateState, event: &TemplateEvent) {
        match event {
            TemplateEvent::Saved(saved) => {
                state.latest = saved.version;
                state.is_there = true;
                state.versions.push(saved.version);
                state.content = Some(saved.template.clone());
            }
            TemplateEvent::Published(published) => state.published = Some(published.version),
            TemplateEvent::Archived(_) => {
                *state = TemplateState {
                    latest: state.latest,
                    ..TemplateState::default()
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::given;

    fn text(body: &str) -> JsonDocument {
        JsonDocument::from_value(&json!({"content": {"body": body}}))
    }

    fn saved(version: u32, body: &str) -> TemplateEvent {
        let template = text(body);
        TemplateEvent::Saved(TemplateSaved { version, template })
    }

    fn published(version: u32) -> TemplateEvent {
        TemplateEvent::Published(TemplatePublished { version })
    }

    fn save(body: &str, publish: bool) -> TemplateCommand {
        let template = text(body);
        TemplateCommand::Save { template, publish }
    }

    #[test]
    fn what_is_written_is_a_further_version_and_told_once_published() {
        let archived = || TemplateEvent::Archived(TemplateArchived {});
        given::<Template>([])
            .when(save("a", false))
            .then([saved(1, "a")]);
        given::<Template>([saved(1, "a")])
            .when(save("b", true))
            .then([saved(2, "b"), published(2)]);
        given::<Template>([saved(1, "a")])
            .when(save("a", true))
            .then([published(1)]);
        given::<Template>([saved(1, "a"), published(1)])
            .when(save("a", true))
            .then_nothing();
        given::<Template>([saved(1, "a"), archived()])
            .when(save("a", false))
            .then([saved(2, "a")]);
        given::<Template>([saved(1, "a"), saved(2, "b"), published(2)])
            .when(TemplateCommand::Publish { version: Some(1) })
            .then([published(1)]);
    }

    #[test]
    fn a_version_or_a_template_that_is_not_there_is_refused() {
        let publish = |version| TemplateCommand::Publish { version };
        given::<Template>([saved(1, "a")])
            .when(publish(Some(2)))
            .then_refused(TemplateRefusal::VersionNotFound);
        let archived = TemplateEvent::Archived(TemplateArchived {});
        for past in [vec![], vec![saved(1, "a"), archived]] {
            for command in [publish(None), TemplateCommand::Archive] {
                given::<Template>(past.clone())
                    .when(command)
                    .then_refused(TemplateRefusal::NotFound);
            }
        }
    }
}
