use serde_json::Value;
use types::escaped_pointer;

/// What kind of JSON a document has to be, where it says anything. What is absent or `null` is fine
/// unless it is required, and members of which nothing is said are.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    Text,
    Flag,
    /// From the one to the other, both included.
    Whole(i64, i64),
    /// One of these texts.
    Named(&'static [&'static str]),
    List(&'static Shape),
    /// An object of which every member is like this.
    Each(&'static Shape),
    /// An object with members of which something is said.
    Members(&'static [Member]),
}

#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
}

impl Member {
    pub const fn optional(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: false,
        }
    }

    pub const fn required(name: &'static str, shape: Shape) -> Self {
        Self {
            name,
            shape,
            required: true,
        }
    }
}

/// A member of a document that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMember {
    /// JSON pointer into the document.
    pub pointer: String,
    pub expected: String,
    /// Whether it is not there at all.
    pub missing: bool,
}

impl InvalidMember {
    pub(crate) fn at(pointer: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            expected: expected.into(),
            missing: false,
        }
    }

    pub(crate) fn missing(pointer: impl Into<String>) -> Self {
        Self {
            missing: true,
            ..Self::at(pointer, "given")
        }
    }

    fn below(self, name: &str) -> Self {
        Self {
            pointer: format!("/{}{}", escaped_pointer(name), self.pointer),
            ..self
        }
    }
}

impl Shape {
    pub fn check(self, value: &Value) -> Result<(), InvalidMember> {
        let wrong = |expected: String| Err(InvalidMember::at("", expected));
        match self {
            Self::Text if value.is_string() => Ok(()),
            Self::Text => wrong("a string".to_owned()),
            Self::Flag if value.is_boolean() => Ok(()),
            Self::Flag => wrong("a boolean".to_owned()),
            Self::Whole(least, most) => match value.as_i64() {
                Some(number) if (least..=most).contains(&number) => Ok(()),
                Some(_) | None => wrong(format!("a whole number from {least} to {most}")),
            },
            Self::Named(names) => match value.as_str() {
                Some(name) if names.contains(&name) => Ok(()),
                Some(_) | None => wrong(format!("one of {}", names.join(", "))),
            },
            Self::List(shape) => {
                let Some(items) = value.as_array() else {
                    return wrong("an array".to_owned());
                };
                for (place, item) in items.iter().enumerate() {
                    let place = place.to_string();
                    shape.check(item).map_err(|error| error.below(&place))?;
                }
                Ok(())
            }
            Self::Each(shape) => {
                let Some(object) = value.as_object() else {
                    return wrong("an object".to_owned());
                };
                for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                    shape.check(value).map_err(|error| error.below(name))?;
                }
                Ok(())
            }
            Self::Members(members) => {
                let Some(object) = value.as_object() else {
                    return wrong("an object".to_owned());
                };
                for member in members {
                    let name = member.name;
                    match object.get(name).filter(|value| !value.is_null()) {
                        Some(value) => {
                            let checked = member.shape.check(value);
                            checked.map_err(|error| error.below(name))?;
                        }
                        None if member.required => {
                            return Err(InvalidMember::missing("").below(name));
                        }
                        None => {}
                    }
                }
                Ok(())
            }
        }
    }
}

const TEXT: Shape = Shape::Text;
const FLAG: Shape = Shape::Flag;

/// Courier's `RecipientPreferences`. Times in rules are any text, as its own clients send them.
pub const RECIPIENT_PREFERENCES: Shape = Shape::Members(&[
    Member::optional("notifications", Shape::Each(&OLDER_CHOICE)),
    Member::optional("categories", Shape::Each(&OLDER_CHOICE)),
]);
const OLDER_CHOICE: Shape = Shape::Members(&[
    Member::required("status", Shape::Named(types::PreferenceStatus::NAMES)),
    Member::optional("channel_preferences", Shape::List(&CHANNEL)),
    Member::optional("rules", Shape::List(&RULE)),
]);
const CHANNEL: Shape = Shape::Members(&[Member::required(
    "channel",
    Shape::Named(types::Channel::NAMES),
)]);
const RULE: Shape = Shape::Members(&[
    Member::optional("until", TEXT),
    Member::optional("start", TEXT),
    Member::optional("type", TEXT),
]);

/// How the deliveries of a topic are collected.
pub const DIGEST: Shape = Shape::Members(&[
    Member::required("template_id", TEXT),
    Member::optional("audience_id", TEXT),
    Member::optional("trigger_empty", FLAG),
    Member::optional("categories", Shape::List(&DIGEST_CATEGORY)),
    Member::optional("schedules", Shape::List(&DIGEST_SCHEDULE)),
]);
const DIGEST_CATEGORY: Shape = Shape::Members(&[
    Member::required("category_key", TEXT),
    Member::optional("limit", Shape::Whole(0, i64::MAX)),
    Member::optional(
        "retain",
        Shape::Named(&["FIRST", "LAST", "HIGHEST", "LOWEST", "NONE"]),
    ),
    Member::optional("sort_key", TEXT),
]);
const DIGEST_SCHEDULE: Shape = Shape::Members(&[
    Member::optional("schedule_id", TEXT),
    Member::optional(
        "frequency",
        Shape::Named(&[
            "instant",
            "daily",
            "weekly",
            "weekdays",
            "custom_days",
            "monthly",
        ]),
    ),
    Member::optional("time", TEXT),
    Member::optional("timezone", TEXT),
    Member::optional("day_of_week", DAY),
    Member::optional("days_of_week", Shape::List(&DAY)),
    Member::optional("day_of_month", Shape::Whole(1, 31)),
    Member::optional("is_default", FLAG),
    Member::optional("disabled", FLAG),
]);
const DAY: Shape = Shape::Named(types::Weekday::NAMES);

pub const BRAND_SETTINGS: Shape = Shape::Members(&[
    Member::optional("colors", Shape::Each(&TEXT)),
    Member::optional("email", EMAIL),
    Member::optional("inapp", IN_APP),
]);
const EMAIL: Shape = Shape::Members(&[
    Member::optional("footer", OBJECT),
    Member::optional("head", OBJECT),
    Member::optional("header", OBJECT),
    Member::optional("templateOverride", OBJECT),
]);
const IN_APP: Shape = Shape::Members(&[
    Member::optional("colors", Shape::Each(&TEXT)),
    Member::optional("icons", Shape::Each(&TEXT)),
    Member::optional("widgetBackground", Shape::Each(&TEXT)),
    Member::optional("borderRadius", TEXT),
    Member::optional("disableMessageIcon", FLAG),
    Member::optional("fontFamily", TEXT),
    Member::optional(
        "placement",
        Shape::Named(&["top", "bottom", "left", "right"]),
    ),
]);
const OBJECT: Shape = Shape::Members(&[]);

pub const BRAND_SNIPPETS: Shape =
    Shape::Members(&[Member::optional("items", Shape::List(&SNIPPET))]);
const SNIPPET: Shape = Shape::Members(&[
    Member::required("name", TEXT),
    Member::required("value", TEXT),
]);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (value, pointer, missing) in [
            (json!(1), "", false),
            (json!({"template_id": null}), "/template_id", true),
            (
                json!({"template_id": "t", "trigger_empty": 1}),
                "/trigger_empty",
                false,
            ),
            (
                json!({"template_id": "t", "schedules": {}}),
                "/schedules",
                false,
            ),
            (
                json!({"template_id": "t", "schedules": [{}, {"day_of_month": 32}]}),
                "/schedules/1/day_of_month",
                false,
            ),
            (
                json!({"template_id": "t", "categories": [{}]}),
                "/categories/0/category_key",
                true,
            ),
        ] {
            let error = DIGEST.check(&value).expect_err("it is wrong");
            assert_eq!(
                (error.pointer.as_str(), error.missing),
                (pointer, missing),
                "{value}"
            );
        }
        let fine = json!({"template_id": "t", "other": 1, "schedules": [{"frequency": "daily"}]});
        assert_eq!(DIGEST.check(&fine), Ok(()));
        let each = json!({"categories": {"a/b": {"status": "X"}}});
        let error = RECIPIENT_PREFERENCES.check(&each).expect_err("it is wrong");
        assert_eq!(error.pointer, "/categories/a~1b/status");
    }
}
