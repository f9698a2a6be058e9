//! Shapes of what is asked, as JSON Schema.

use domain::limits::{DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX};
use domain::{RECIPIENT_PREFERENCES, Shape};
use serde_json::{Map, Value, json};
use types::{Channel, PreferenceControl, PreferenceStatus, ProviderKey, TokenStatus, Weekday};

/// What no id holds; nor is one `.` or `..`, which clients fold away. At most 512 bytes, which JSON Schema
/// cannot say.
const ID: &str = r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f]+$";

/// An id of any kind.
pub(super) fn id() -> Value {
    json!({"type": "string", "pattern": ID, "description": "At most 512 bytes."})
}

/// Where an empty value is as if not given.
pub(super) fn id_if_any() -> Value {
    json!({"type": "string", "pattern": r"^(?!\.{1,2}$)[^\x00-\x1f\x7f-\x9f]*$"})
}

/// One to four parts separated by single dots.
pub(super) fn list_id() -> Value {
    const PART: &str = r"[^\x00-\x1f\x7f-\x9f\s*#.]+";
    json!({"type": "string", "pattern": format!(r"^{PART}(\.{PART}){{0,3}}$"),
           "description": "At most 512 bytes."})
}

pub(super) fn text(bytes_max: usize) -> Value {
    json!({"type": "string", "description": format!("At most {bytes_max} bytes.")})
}

/// Of a query, where an empty value is as if not given.
pub(super) fn if_any(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "maxLength": 0}]})
}

/// A shape of ours as JSON Schema.
pub(super) fn shaped(shape: Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Named(names) => one_of(names),
        Shape::List(shape) => json!({"type": "array", "items": shaped(*shape)}),
        Shape::Each(shape) => {
            json!({"type": "object", "additionalProperties": nullable(shaped(*shape))})
        }
        Shape::Members(members) => {
            let mut required = Vec::new();
            let mut properties = Map::new();
            for member in members {
                let schema = shaped(member.shape);
                if member.required {
                    required.push(member.name);
                    properties.insert(member.name.to_owned(), schema);
                } else {
                    properties.insert(member.name.to_owned(), nullable(schema));
                }
            }
            let mut object = json!({"type": "object", "properties": properties});
            if !required.is_empty() {
                object["required"] = json!(required);
            }
            object
        }
    }
}

pub(super) fn name() -> Value {
    text(NAME_BYTES_MAX)
}

pub(super) fn description() -> Value {
    nullable(text(DESCRIPTION_BYTES_MAX))
}

pub(super) fn boolean() -> Value {
    json!({"type": ["boolean", "null"]})
}

pub(super) fn one_of(names: &[&str]) -> Value {
    json!({"type": "string", "enum": names})
}

pub(super) fn array(items: &Value, at_most: usize) -> Value {
    json!({"type": "array", "items": items, "maxItems": at_most})
}

/// Of so many that whoever makes examples of one too many would not come to an end.
pub(super) fn large_array(items: &Value, at_most: usize) -> Value {
    let text = format!("At most {at_most} items.");
    json!({"type": "array", "items": items, "description": text})
}

pub(super) fn any_object() -> Value {
    json!({"type": "object", "additionalProperties": true})
}

pub(super) fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        schema["type"] = json!([kind, "null"]);
        if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            names.push(Value::Null);
        }
        return schema;
    }
    json!({"oneOf": [schema, {"type": "null"}]})
}

pub(super) fn optional_object() -> Value {
    nullable(any_object())
}

/// An object with these members; those with a `!` behind their name are required.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut required = Vec::new();
    let mut properties = Map::new();
    for (name, schema) in members {
        let plain = name.strip_suffix('!').unwrap_or(name);
        if plain != name {
            required.push(plain);
        }
        properties.insert(plain.to_owned(), schema);
    }
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

pub(super) fn moment() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub(super) fn channels() -> Value {
    json!({"type": ["array", "null"], "items": one_of(Channel::NAMES)})
}

pub(super) fn controls() -> Value {
    json!({"type": ["array", "null"], "items": one_of(PreferenceControl::NAMES)})
}

pub(super) fn status() -> Value {
    one_of(PreferenceStatus::NAMES)
}

/// A status with channels, as a tenant's default.
pub(super) fn choice() -> Value {
    object([
        ("status!", status()),
        ("has_custom_routing", boolean()),
        ("custom_routing", channels()),
    ])
}

/// What a person chooses for a topic.
pub(super) fn choice_request() -> Value {
    let rule = object([("until!", moment()), ("start", nullable(moment()))]);
    let mut request = choice();
    request["properties"]["digest_schedule_id"] = json!({"type": ["string", "null"]});
    request["properties"]["rules"] = nullable(array(&rule, 16));
    request
}

/// The older form.
pub(super) fn recipient_preferences() -> Value {
    shaped(RECIPIENT_PREFERENCES)
}

pub(super) fn token() -> Value {
    object([
        ("provider_key!", one_of(ProviderKey::NAMES)),
        ("status", nullable(one_of(TokenStatus::NAMES))),
        ("status_reason", nullable(text(1_024))),
        ("device", texts()),
        ("tracking", texts()),
        (
            "properties",
            json!({"description": "Anything that is JSON."}),
        ),
        (
            "expiry_date",
            json!({"oneOf": [{"type": "string", "format": "date-time",
                              "description": "In the future."},
                             {"const": false}, {"type": "null"}]}),
        ),
    ])
}

fn texts() -> Value {
    json!({"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}})
}

pub(super) fn token_with_itself() -> Value {
    let mut token = token();
    token["properties"]["token"] = id();
    token["required"] = json!(["token", "provider_key"]);
    token
}

pub(super) fn quiet_hours() -> Value {
    let time = json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"});
    object([
        ("time_zone!", json!({"type": "string"})),
        (
            "days",
            json!({"type": ["array", "null"], "items": one_of(Weekday::NAMES), "minItems": 1}),
        ),
        ("from!", time.clone()),
        ("to!", time),
    ])
}

/// A rule; docs/API.md says what the operators mean.
pub(super) fn rule() -> Value {
    json!({"$ref": "#/components/schemas/Rule"})
}

/// What [`rule`] refers to.
pub(super) fn rules() -> [(&'static str, Value); 3] {
    let refer = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let group = json!({
        "type": "object",
        "required": ["filters"],
        "properties": {
            "operator": nullable(one_of(&["AND", "OR", "NOT"])),
            "filters": {"type": "array", "items": refer("Rule")},
            "path": {"type": "null"},
            "value": {"type": "null"},
        },
    });
    let condition = json!({
        "type": "object",
        "description": "What `value` has to be depends on the operator.",
        "required": ["operator", "path"],
        "properties": {
            "operator": {"type": "string"},
            "path": {"type": "string"},
            "value": {},
            "filters": {"type": "null"},
        },
    });
    [
        ("Group", group),
        ("Condition", condition),
        (
            "Rule",
            json!({"oneOf": [refer("Group"), refer("Condition")]}),
        ),
    ]
}

pub(super) fn patch() -> Value {
    let operation = json!({
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    });
    object([("patch!", array(&operation, 256))])
}

pub(super) fn limit() -> Value {
    if_any(&json!({"type": "integer", "minimum": 1, "maximum": 1000}))
}

/// Where whatever is no number, or none that is allowed, is understood.
pub(super) fn tolerant_limit() -> Value {
    json!({"type": "string", "examples": ["100"]})
}

pub(super) fn cursor() -> Value {
    json!({"type": "string"})
}
