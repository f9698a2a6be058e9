use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json_parse::parse_json;

/// JSON kept as canonical text: no white space, keys of objects sorted, numbers with all the digits
/// that they came with. In JSON it stands as itself; in the binary form, which is not self-describing, as its
/// text. Cloning it shares the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct JsonDocument(Arc<str>);

impl JsonDocument {
    pub fn from_value(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// The value as JSON.
    ///
    /// # Errors
    /// If the value cannot be JSON, as a map whose keys are no text.
    pub fn of(value: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed value.
    ///
    /// # Panics
    /// If the text is not JSON. It is by construction, and what the log gives back has been checked;
    /// taking anything else for a document would lose data without a word.
    pub fn to_value(&self) -> Value {
        parse_json(self.0.as_bytes()).expect("a document is JSON by construction")
    }

    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// The parsed object; an empty one if the document is something else.
    pub fn to_object(&self) -> Map<String, Value> {
        match self.to_value() {
            Value::Object(object) => object,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        }
    }
}

impl JsonDocument {
    /// Whether it is an object without members.
    pub fn is_empty(&self) -> bool {
        self.as_str() == "{}"
    }

    /// The document after the changes, which are a JSON merge patch.
    #[must_use]
    pub fn merged(&self, changes: &Self) -> Self {
        let mut object = self.to_object();
        merge_patch(&mut object, changes.to_object());
        Self::from_value(&Value::Object(object))
    }
}

impl JsonDocument {
    /// The members of the object with the text of their values, unread. Keys stand as in the text,
    /// without the quotes: escaped where they have to be, as [`escaped_key`] writes them.
    pub fn raw_members(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = &*self.0;
        let mut next = usize::from(text.starts_with('{'));
        std::iter::from_fn(move || {
            let bytes = text.as_bytes();
            if next == 0 || bytes.get(next) != Some(&b'"') {
                return None;
            }
            let key_end = string_end(bytes, next);
            let value_end = value_end(bytes, key_end + 1);
            let member = (&text[next + 1..key_end - 1], &text[key_end + 1..value_end]);
            next = value_end + 1;
            Some(member)
        })
    }

    /// The members that are wanted, parsed; the others are not even read.
    pub fn members(&self, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
        let wanted = self.raw_members().filter(|(key, _)| wanted(key));
        let parse = |text: &str| parse_json(text.as_bytes()).expect("a document is JSON");
        wanted
            .map(|(key, value)| {
                let key = match parse(&format!("\"{key}\"")) {
                    Value::String(key) => key,
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_) => key.to_owned(),
                };
                (key, parse(value))
            })
            .collect()
    }
}

/// A key as it stands in the text of a document, without the quotes.
pub fn escaped_key(key: &str) -> String {
    let quoted = Value::from(key).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Past the quote that ends the string that begins here.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut place = start + 1;
    while let Some(found) = text
        .get(place..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        place += found;
        if text[place] == b'"' {
            return place + 1;
        }
        place += 2;
    }
    text.len()
}

/// Past the value that begins here, in text without white space.
fn value_end(text: &[u8], start: usize) -> usize {
    let (mut place, mut depth) = (start, 0_usize);
    while let Some(byte) = text.get(place) {
        match byte {
            b'"' => {
                place = string_end(text, place);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' | b'}' | b']' if depth == 0 => return place,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        place += 1;
    }
    text.len()
}

impl From<Map<String, Value>> for JsonDocument {
    fn from(object: Map<String, Value>) -> Self {
        Self::from_value(&Value::Object(object))
    }
}

impl fmt::Debug for JsonDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for JsonDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let raw: &RawValue =
                serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            raw.serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for JsonDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let raw = Box::<RawValue>::deserialize(deserializer)?;
            let value = parse_json(raw.get().as_bytes()).map_err(D::Error::custom)?;
            Ok(Self::from_value(&value))
        } else {
            deserializer.deserialize_str(Text)
        }
    }
}

/// Takes the text over where it lies.
struct Text;

impl Visitor<'_> for Text {
    type Value = JsonDocument;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the text of a document")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<JsonDocument, E> {
        Ok(JsonDocument(text.into()))
    }
}

/// A member's name as a part of a JSON pointer (RFC 6901, section 3).
pub fn escaped_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// `null` in a stored profile is the same as absent, at any depth. Elements of arrays keep their
/// places, so a `null` there stays.
#[must_use]
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(key, member)| (key, without_nulls(member)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Whether the value nests at most `levels_max` arrays and objects.
pub fn depth_within(value: &Value, levels_max: usize) -> bool {
    match value {
        Value::Object(object) => {
            levels_max > 0
                && object
                    .values()
                    .all(|member| depth_within(member, levels_max - 1))
        }
        Value::Array(items) => {
            levels_max > 0 && items.iter().all(|item| depth_within(item, levels_max - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Applies a JSON merge patch (RFC 7396): objects are merged at any depth, `null` removes, all
/// else replaces.
pub fn merge_patch(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (value, target.get_mut(&key)) {
            (Value::Null, _) => {
                target.remove(&key);
            }
            (Value::Object(inner), Some(Value::Object(existing))) => merge_patch(existing, inner),
            (value, _) => {
                target.insert(key, without_nulls(value));
            }
        }
    }
}

/// The smallest merge patch that turns `before` into `after`, neither of which holds a `null`
/// member. `merge_patch(before, patch)` gives `after` again.
#[must_use]
pub fn merge_patch_between(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Map<String, Value> {
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        match (before.get(key), value) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => {
                patch.insert(key.clone(), Value::Object(merge_patch_between(old, new)));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                object_of(inner).prop_map(Value::Object),
            ]
        })
    }

    fn object_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        proptest::collection::btree_map("[a-c]", value, 0..4)
            .prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_patch_between_two_documents_leads_from_one_to_the_other(
            before in object_of(json()),
            after in object_of(json()),
        ) {
            let mut patched = before.clone();
            merge_patch(&mut patched, merge_patch_between(&before, &after));
            prop_assert_eq!(patched, after);
        }

        #[test]
        fn the_members_of_a_document_are_those_of_the_object(
            object in object_of(json()),
            extra in proptest::collection::btree_map("[\"\\\\a{},:é\n]{0,3}", json(), 0..4),
        ) {
            let mut object = object;
            object.extend(extra);
            let document = JsonDocument::from(object.clone());
            prop_assert_eq!(document.members(|_| true), object.clone());
            for key in object.keys() {
                let escaped = escaped_key(key);
                let one = document.members(|name| name == escaped);
                prop_assert_eq!(one.get(key), object.get(key));
                prop_assert_eq!(one.len(), 1);
            }
        }

        #[test]
        fn a_document_reads_back_as_itself(value in json()) {
            let document = JsonDocument::from_value(&value);
            let text = serde_json::to_string(&document).unwrap();
            prop_assert_eq!(serde_json::from_str::<JsonDocument>(&text).unwrap(), document);
        }
    }

    #[test]
    fn the_examples_of_rfc_7396_hold() {
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let mut target = serde_json::from_str(target).unwrap();
            merge_patch(&mut target, serde_json::from_str(patch).unwrap());
            assert_eq!(Value::Object(target).to_string(), result);
        }
    }

    #[test]
    fn numbers_keep_the_digits_that_they_came_with() {
        let text = r#"{"big":12345678901234567890123,"price":1.10}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(JsonDocument::from_value(&value).as_str(), text);
    }
}
