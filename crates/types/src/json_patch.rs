use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

/// A JSON Patch (RFC 6902): operations that apply in order, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPatch(Vec<PatchOperation>);

/// What is no operation of a JSON Patch, by its place from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation} is not a JSON Patch operation: {reason}")]
pub struct InvalidPatch {
    pub operation: usize,
    /// The member of the operation that is at fault.
    pub member: &'static str,
    pub reason: &'static str,
}

/// A patch that could not be applied. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {operation} of the patch cannot be applied: {reason}")]
pub struct PatchRefused {
    /// From 0.
    pub operation: usize,
    pub reason: String,
}

impl JsonPatch {
    /// An operation without `value` has the value `null`, as the SDKs send it.
    pub fn parse(operations: &[Value]) -> Result<Self, InvalidPatch> {
        let parse = |(place, operation): (usize, &Value)| {
            let invalid = |member, reason| InvalidPatch {
                operation: place,
                member,
                reason,
            };
            let text = |member: &'static str| {
                operation[member]
                    .as_str()
                    .ok_or_else(|| invalid(member, "a string is required"))
            };
            if !operation.is_object() {
                return Err(invalid("", "an object is required"));
            }
            let op = text("op")?;
            let known = ["add", "remove", "replace", "move", "copy", "test"];
            if !known.contains(&op) {
                return Err(invalid(
                    "op",
                    "one of add, remove, replace, move, copy, test is required",
                ));
            }
            let mut whole = serde_json::json!({"op": op, "path": text("path")?});
            match op {
                "move" | "copy" => whole["from"] = text("from")?.into(),
                "add" | "replace" | "test" => whole["value"] = operation["value"].clone(),
                _ => {}
            }
            serde_json::from_value(whole)
                .map_err(|_| invalid("path", "a JSON pointer is required, such as /email"))
        };
        operations
            .iter()
            .enumerate()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Applies every operation to the document, which on a refusal is left in an unspecified state:
    /// hand in a copy.
    ///
    /// `copy` can double a document, so its size is looked at after every one of them.
    pub fn apply(&self, document: &mut Value, bytes_max: usize) -> Result<(), PatchRefused> {
        for (place, operation) in self.0.iter().enumerate() {
            let refused = |reason: String| PatchRefused {
                operation: place,
                reason,
            };
            json_patch::patch(document, std::slice::from_ref(operation)).map_err(|error| {
                refused(if matches!(error.kind, PatchErrorKind::TestFailed) {
                    "the test failed".to_owned()
                } else {
                    "`path` or `from` leads nowhere".to_owned()
                })
            })?;
            let copies = matches!(operation, PatchOperation::Copy(_));
            if copies && text_bytes(document, bytes_max) > bytes_max {
                return Err(refused("the document grows too large".to_owned()));
            }
        }
        Ok(())
    }
}

/// About how long the value is as text; the count stops soon after it has passed `enough`.
fn text_bytes(value: &Value, enough: usize) -> usize {
    let members = |sizes: &mut dyn Iterator<Item = usize>| {
        let mut total = 2;
        for size in sizes {
            total += size + 1;
            if total > enough {
                break;
            }
        }
        total
    };
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 1,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => members(&mut items.iter().map(|item| text_bytes(item, enough))),
        Value::Object(object) => members(
            &mut object
                .iter()
                .map(|(key, member)| key.len() + 3 + text_bytes(member, enough)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(operations: &Value) -> JsonPatch {
        JsonPatch::parse(operations.as_array().unwrap()).unwrap()
    }

    #[test]
    fn the_operation_that_fails_is_named() {
        let operations = json!([
            {"op": "add", "path": "/a", "value": 1},
            {"op": "test", "path": "/a", "value": 2},
        ]);
        let refused = patch(&operations).apply(&mut json!({}), 100).unwrap_err();
        assert_eq!(refused.operation, 1);
    }

    #[test]
    fn copies_cannot_grow_a_document_without_bound() {
        let operations: Vec<_> = (0..60)
            .map(|n| json!({"op": "copy", "from": "", "path": format!("/c{n}")}))
            .collect();
        let mut document = json!({"a": "0123456789"});
        let refused = patch(&Value::from(operations))
            .apply(&mut document, 10_000)
            .unwrap_err();
        assert!(refused.operation < 15);
    }

    #[test]
    fn what_is_no_operation_is_named() {
        for (operation, member) in [
            (json!({"op": "explode", "path": "/a"}), "op"),
            (json!({"op": "remove"}), "path"),
            (json!({"op": "remove", "path": "a"}), "path"),
            (json!({"op": "copy", "path": "/a"}), "from"),
            (json!("remove"), ""),
        ] {
            assert_eq!(JsonPatch::parse(&[operation]).unwrap_err().member, member);
        }
    }
}
