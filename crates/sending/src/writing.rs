use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use projections::{Plan, TemplateChoice};
use rendering::{
    Brand, Content, ContentError, Links as ContentLinks, RenderError, Rendered, Variables,
};
use serde_json::{Map, Value};
use types::{Channel, JsonDocument, SubjectId, TemplateKey};

use crate::links::{Links, Unsubscribing};
use crate::spec::Spec;

/// Templates that are kept compiled.
const COMPILED_MAX: usize = 1_000;

/// Writes what people are told.
#[derive(Clone)]
pub struct Writing {
    links: Option<Links>,
    compiled: Arc<Mutex<HashMap<(TemplateKey, u32), Compiled>>>,
}

/// A template by what it says, because another history may have another under the same version.
type Compiled = (JsonDocument, Arc<Result<Content, ContentError>>);

/// For whom, on which channel, and with what.
pub(crate) struct Text<'a> {
    pub(crate) subject: Option<SubjectId>,
    pub(crate) data: &'a Map<String, Value>,
    pub(crate) channel: Channel,
    pub(crate) message_id: &'a str,
}

/// Why there is nothing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WritingError {
    /// On this channel; on others there may be.
    Nothing,
    /// In one word or so, without the value of any variable.
    Failed(String),
}

impl Writing {
    /// Without links where nobody could follow them.
    pub fn new(links: Option<Links>) -> Self {
        Self {
            links,
            compiled: Arc::default(),
        }
    }

    /// What one person is told on a channel.
    pub(crate) fn write(
        &self,
        spec: &Spec,
        plan: &Plan,
        text: &Text<'_>,
    ) -> Result<Rendered, WritingError> {
        let template = plan
            .template
            .as_ref()
            .map(|template| self.compiled(template));
        let content = match (&spec.content, &template) {
            (Some(content), _) => content,
            (None, Some(template)) => &**template,
            (None, None) => return Err(WritingError::Failed("no_content".to_owned())),
        };
        let content = content.as_ref().map_err(|error| {
            WritingError::Failed(format!("content:{}: {}", error.pointer, error.message))
        })?;
        let links = text
            .subject
            .and_then(|subject| self.content_links(plan, subject));
        let brand = plan.brand.as_ref().map(|(_, details)| {
            let settings = details.settings.as_ref().map(JsonDocument::to_value);
            Brand::of(&details.name, settings.as_ref())
        });
        let variables = Variables {
            data: text.data,
            profile: &plan.profile,
            tenant: plan.tenant_shown.as_ref(),
            brand: brand.as_ref(),
            locale: plan.locale.as_deref(),
            links: links.as_ref(),
            message_id: Some(text.message_id),
        };
        content
            .render(text.channel, &variables)
            .map_err(|error| match error {
                RenderError::Empty => WritingError::Nothing,
                RenderError::MissingVariable { name, .. } => {
                    WritingError::Failed(format!("missing_variable:{name}"))
                }
                RenderError::Template { pointer, message } => {
                    WritingError::Failed(format!("template:{pointer}: {message}"))
                }
                RenderError::TooLarge { .. } => {
                    WritingError::Failed("content_too_large".to_owned())
                }
                RenderError::TooMuchWork => {
                    WritingError::Failed("content_too_much_work".to_owned())
                }
            })
    }

    /// The address at which one click ends the topic of a message, if it has one that can be ended.
    pub(crate) fn one_click(&self, plan: &Plan, subject: SubjectId) -> Option<String> {
        let what = Unsubscribing {
            subject,
            topic: Some(plan.topic.clone().filter(|_| plan.can_unsubscribe)?),
            tenant: plan.tenant.clone(),
        };
        Some(self.links.as_ref()?.unsubscribe(&what))
    }

    fn content_links(&self, plan: &Plan, subject: SubjectId) -> Option<ContentLinks> {
        let preferences = self.links.as_ref()?;
        let preferences = preferences.preferences(subject, plan.tenant.as_ref());
        Some(ContentLinks {
            unsubscribe: self
                .one_click(plan, subject)
                .unwrap_or_else(|| preferences.clone()),
            preferences,
        })
    }

    fn compiled(&self, template: &TemplateChoice) -> Arc<Result<Content, ContentError>> {
        let place = (template.key.clone(), template.version);
        if let Some((document, content)) = self.compiled.lock().get(&place)
            && *document == template.template
        {
            return Arc::clone(content);
        }
        let document = template.template.to_object();
        let content = document.get("content").unwrap_or(&Value::Null);
        let content = Arc::new(Content::parse(content));
        let mut compiled = self.compiled.lock();
        if compiled.len() >= COMPILED_MAX {
            compiled.clear();
        }
        let entry = (template.template.clone(), Arc::clone(&content));
        compiled.insert(place, entry);
        content
    }
}
