//! What content says, as those who are told see it.

mod channels;
mod escaping;
mod flow;
mod limits;
mod properties;
mod refusals;

use rendering::{Content, Links, RenderError, Rendered, Variables};
use serde_json::{Map, Value, json};
use types::Channel;

/// Everything that content can be rendered with.
struct Given {
    data: Value,
    profile: Value,
    tenant: Option<Value>,
    brand: Option<rendering::Brand>,
    locale: Option<&'static str>,
    links: Option<Links>,
}

impl Default for Given {
    fn default() -> Self {
        let (data, profile) = (json!({}), json!({}));
        Self {
            data,
            profile,
            tenant: None,
            brand: None,
            locale: None,
            links: None,
        }
    }
}

impl Given {
    fn data(data: Value) -> Self {
        Self {
            data,
            ..Self::default()
        }
    }

    #[track_caller]
    fn render(&self, content: &Value, channel: Channel) -> Result<Rendered, RenderError> {
        let content = Content::parse(content).expect("the content can be read");
        content.render(channel, &self.variables())
    }

    fn variables(&self) -> Variables<'_> {
        Variables {
            data: members(&self.data),
            profile: members(&self.profile),
            tenant: self.tenant.as_ref(),
            brand: self.brand.as_ref(),
            locale: self.locale,
            links: self.links.as_ref(),
            message_id: Some("message-1"),
        }
    }
}

fn members(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .expect("variables are members of an object")
}

fn sugar(title: &str, body: &str) -> Value {
    json!({ "title": title, "body": body })
}

fn elements(elements: &Value) -> Value {
    json!({ "version": "2022-01-01", "elements": elements })
}
