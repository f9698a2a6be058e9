use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use serde_json::{Map, Number, json};

use crate::Brand;

/// What templates may speak of. The names of the fields go before members of the data of the same
/// name.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// Members are variables by their own names, and under `data`.
    pub data: &'a Map<String, serde_json::Value>,
    /// `profile.…`
    pub profile: &'a Map<String, serde_json::Value>,
    /// `tenant.…`
    pub tenant: Option<&'a serde_json::Value>,
    /// `brand.…`, and the looks of e-mail.
    pub brand: Option<&'a Brand>,
    /// `locale`; chooses among the `locales` of elements.
    pub locale: Option<&'a str>,
    /// `urls.…`, and the footer of e-mail.
    pub links: Option<&'a Links>,
    /// `message.id`
    pub message_id: Option<&'a str>,
}

/// Where somebody says what they do not want to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    pub unsubscribe: String,
    pub preferences: String,
}

impl Variables<'_> {
    /// The variables with these names. The others are not converted: a profile can be long, and most
    /// templates ask for none of it.
    pub(crate) fn context(&self, names: &BTreeSet<String>) -> Value {
        let context: BTreeMap<String, Value> = names
            .iter()
            .filter_map(|name| Some((name.clone(), self.variable(name)?)))
            .collect();
        Value::from(context)
    }

    fn variable(&self, name: &str) -> Option<Value> {
        match name {
            "data" => return Some(from_members(self.data)),
            "profile" => return Some(from_members(self.profile)),
            _ => {}
        }
        let given = match name {
            "tenant" => self.tenant.map(from_json),
            "brand" => self.brand.map(|brand| from_json(&brand.variables())),
            "locale" => self.locale.map(Value::from),
            "urls" => self.links.map(|links| {
                let Links {
                    unsubscribe,
                    preferences,
                } = links;
                from_json(&json!({ "unsubscribe": unsubscribe, "preferences": preferences }))
            }),
            "message" => self.message_id.map(|id| from_json(&json!({ "id": id }))),
            _ => None,
        };
        given.or_else(|| self.data.get(name).map(from_json))
    }
}

/// By hand, because numbers that keep their digits would arrive as maps through serde.
fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => from_number(number),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(from_json).collect::<Vec<_>>())
        }
        serde_json::Value::Object(members) => from_members(members),
    }
}

fn from_members(members: &Map<String, serde_json::Value>) -> Value {
    let members: BTreeMap<String, Value> = members
        .iter()
        .map(|(name, value)| (name.clone(), from_json(value)))
        .collect();
    Value::from(members)
}

fn from_number(number: &Number) -> Value {
    if let Some(number) = number.as_i64() {
        return Value::from(number);
    }
    if let Some(number) = number.as_u64() {
        return Value::from(number);
    }
    match number.as_f64().filter(|number| number.is_finite()) {
        // A number that is not that number any more as a float is better shown than computed with.
        Some(float) if float.fract() != 0.0 || float.abs() < 9e15 => Value::from(float),
        _ => Value::from(number.to_string()),
    }
}
