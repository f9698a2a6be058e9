use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Message, ROUTING_LEVELS_MAX, ROUTING_STEPS_MAX, Routing, RoutingMethod, RoutingStep, TAGS_MAX,
    Timeouts, pointer,
};
use crate::{BrandId, ID_BYTES_MAX, TenantId, TopicId};

/// A member of a message that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} must be {expected}")]
pub struct InvalidMessage {
    /// JSON pointer into the message.
    pub pointer: String,
    pub expected: String,
}

fn wrong<T>(pointer: impl Into<String>, expected: &str) -> Result<T, InvalidMessage> {
    Err(InvalidMessage {
        pointer: pointer.into(),
        expected: expected.to_owned(),
    })
}

/// An object with the place where it stands.
struct Reader<'a> {
    object: &'a Map<String, Value>,
    at: String,
}

impl<'a> Reader<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|it| !it.is_null())
    }

    fn below(&self, name: &str) -> Result<Option<Reader<'a>>, InvalidMessage> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Reader {
                object,
                at: pointer(&self.at, name),
            })),
            Some(_) => wrong(pointer(&self.at, name), "an object"),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, InvalidMessage> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= ID_BYTES_MAX => Ok(Some(text.clone())),
            Some(_) => wrong(pointer(&self.at, name), "a string of at most 512 bytes"),
        }
    }

    fn object(&self, name: &str) -> Result<Map<String, Value>, InvalidMessage> {
        let found = self.below(name)?;
        Ok(found.map(|it| it.object.clone()).unwrap_or_default())
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, InvalidMessage> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64() {
                Some(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
                None => wrong(pointer(&self.at, name), "a whole number of milliseconds"),
            },
        }
    }

    fn each_milliseconds(&self, name: &str) -> Result<Vec<(String, Duration)>, InvalidMessage> {
        let Some(below) = self.below(name)? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for name in below.object.keys().take(ROUTING_STEPS_MAX) {
            all.extend(below.milliseconds(name)?.map(|it| (name.clone(), it)));
        }
        Ok(all)
    }
}

pub(super) fn message(object: &Map<String, Value>) -> Result<Message, InvalidMessage> {
    let reader = Reader {
        object,
        at: String::new(),
    };
    let content = reader.object("content")?;
    let metadata = reader.below("metadata")?;
    let preferences = reader.below("preferences")?;
    let timeout = reader.below("timeout")?;
    let mut message = Message {
        template: reader.text("template")?,
        content: (!content.is_empty()).then_some(Value::Object(content)),
        data: reader.object("data")?,
        brand_id: brand(&reader)?,
        tenant: tenant(&reader)?,
        routing: reader.get("routing").map(routing).transpose()?,
        channels: reader.object("channels")?,
        providers: reader.object("providers")?,
        ..Message::default()
    };
    if let Some(metadata) = metadata {
        message.event = metadata.text("event")?;
        message.trace_id = metadata.text("trace_id")?;
        message.tags = tags(&metadata)?;
    }
    if let Some(preferences) = preferences
        && let Some(topic) = preferences.text("subscription_topic_id")?
    {
        message.topic = match TopicId::parse(&topic) {
            Ok(topic) => Some(topic),
            Err(_) => {
                return wrong("/preferences/subscription_topic_id", "the id of a topic");
            }
        };
    }
    if let Some(timeout) = timeout {
        message.timeouts = Timeouts {
            message: timeout.milliseconds("message")?,
            by_channel: timeout.each_milliseconds("channel")?,
            by_provider: timeout.each_milliseconds("provider")?,
        };
    }
    Ok(message)
}

fn brand(reader: &Reader<'_>) -> Result<Option<BrandId>, InvalidMessage> {
    match reader.text("brand_id")? {
        None => Ok(None),
        Some(id) => match BrandId::parse(&id) {
            Ok(id) => Ok(Some(id)),
            Err(_) => wrong("/brand_id", "the id of a brand"),
        },
    }
}

fn tenant(reader: &Reader<'_>) -> Result<Option<TenantId>, InvalidMessage> {
    let Some(context) = reader.below("context")? else {
        return Ok(None);
    };
    match context.text("tenant_id")? {
        None => Ok(None),
        Some(id) => match TenantId::parse(&id) {
            Ok(id) => Ok(Some(id)),
            Err(_) => wrong("/context/tenant_id", "the id of a tenant"),
        },
    }
}

fn tags(metadata: &Reader<'_>) -> Result<Vec<String>, InvalidMessage> {
    const EXPECTED: &str = "an array of at most 64 strings";
    let at = pointer(&metadata.at, "tags");
    match metadata.get("tags") {
        None => Ok(Vec::new()),
        Some(Value::Array(tags)) if tags.len() <= TAGS_MAX => tags
            .iter()
            .map(|tag| match tag.as_str() {
                Some(tag) if tag.len() <= ID_BYTES_MAX => Ok(tag.to_owned()),
                Some(_) | None => wrong(at.clone(), EXPECTED),
            })
            .collect(),
        Some(_) => wrong(at, EXPECTED),
    }
}

/// Courier's `routing`.
pub(super) fn routing(value: &Value) -> Result<Routing, InvalidMessage> {
    routing_at(value, "/routing", 1, &mut 0)
}

fn routing_at(
    value: &Value,
    at: &str,
    level: usize,
    steps: &mut usize,
) -> Result<Routing, InvalidMessage> {
    let Some(object) = value.as_object() else {
        return wrong(at, "an object with `method` and `channels`");
    };
    let method = match object.get("method").filter(|it| !it.is_null()) {
        None => RoutingMethod::Single,
        Some(method) => match method.as_str().and_then(RoutingMethod::parse) {
            Some(method) => method,
            None => return wrong(pointer(at, "method"), "single or all"),
        },
    };
    let at = pointer(at, "channels");
    let Some(channels) = object.get("channels").and_then(Value::as_array) else {
        return wrong(at, "an array of channels");
    };
    let mut all = Vec::with_capacity(channels.len());
    for (place, channel) in channels.iter().enumerate() {
        let at = pointer(&at, &place.to_string());
        *steps += 1;
        if *steps > ROUTING_STEPS_MAX {
            return wrong(at, "one of at most 64 channels");
        }
        all.push(match channel {
            Value::String(name) if name.len() <= ID_BYTES_MAX => RoutingStep::Named(name.clone()),
            Value::Object(_) if level < ROUTING_LEVELS_MAX => {
                RoutingStep::Group(routing_at(channel, &at, level + 1, steps)?)
            }
            Value::Object(_) => return wrong(at, "no deeper than 4 levels"),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {
                return wrong(at, "the name of a channel, or an object with channels");
            }
        });
    }
    Ok(Routing { method, steps: all })
}

impl Routing {
    /// Reads the `routing` of a message or a template.
    ///
    /// # Errors
    /// The first part that is not as it must be, as within a message.
    pub fn parse(value: &Value) -> Result<Self, InvalidMessage> {
        routing(value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Message, InvalidMessage> {
        Message::parse(value.as_object().expect("an object"))
    }

    #[test]
    fn a_message_is_read_as_far_as_it_means_something() {
        let message = read(&json!({
            "template": "welcome",
            "data": {"name": "Ada"},
            "context": {"tenant_id": "acme"},
            "routing": {"method": "all", "channels": ["inbox", {"channels": ["email", "sms"]}]},
            "metadata": {"tags": ["a"], "trace_id": "t", "event": "e", "utm": {"source": "s"}},
            "preferences": {"subscription_topic_id": "news"},
            "timeout": {"message": 1000, "channel": {"email": 5}},
            "brand_id": null,
            "something": [1]
        }))
        .expect("a message");
        assert_eq!(message.template.as_deref(), Some("welcome"));
        let routing = message.routing.expect("routing");
        assert_eq!(routing.method, RoutingMethod::All);
        assert!(matches!(&routing.steps[1], RoutingStep::Group(group)
            if group.method == RoutingMethod::Single && group.steps.len() == 2));
        assert_eq!(message.timeouts.by_channel.len(), 1);
        assert_eq!(message.topic.expect("a topic").as_str(), "news");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let deep = json!({"channels": [{"channels": [{"channels": [{"channels": [
            {"channels": []}]}]}]}]});
        let names: Vec<Value> = (0..65).map(|it| json!(it.to_string())).collect();
        for (given, pointer) in [
            (json!({"template": 1}), "/template"),
            (json!({"content": "x"}), "/content"),
            (json!({"data": []}), "/data"),
            (
                json!({"routing": {"method": "some", "channels": []}}),
                "/routing/method",
            ),
            (json!({"routing": {}}), "/routing/channels"),
            (json!({"routing": {"channels": [7]}}), "/routing/channels/0"),
            (
                json!({"routing": deep}),
                "/routing/channels/0/channels/0/channels/0/channels/0",
            ),
            (
                json!({"routing": {"channels": names}}),
                "/routing/channels/64",
            ),
            (json!({"metadata": {"tags": "a"}}), "/metadata/tags"),
            (
                json!({"timeout": {"channel": {"email": -1}}}),
                "/timeout/channel/email",
            ),
        ] {
            let error = read(&given).expect_err("it is wrong");
            assert_eq!(error.pointer, pointer, "{given}");
        }
    }
}
