use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchErrorKind, PatchOperation, RemoveOperation,
    ReplaceOperation,
};
use serde_json::{Map, Value};

use crate::decimal::equal_numbers;
use crate::depth_within;

/// Parts of a pointer; a document cannot be deeper.
const POINTER_PARTS_MAX: usize = 32;

/// A JSON Patch (RFC 6902): operations that apply in order, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPatch(Vec<Operation>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    /// Compared here: numbers are equal if their values are (section 4.6).
    Test {
        path: PointerBuf,
        value: Value,
    },
    Other(PatchOperation),
}

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
    pub reason: &'static str,
}

/// What a document may become on the way through a patch.
#[derive(Clone, Copy, Debug)]
pub struct PatchLimits {
    pub bytes_max: usize,
    pub levels_max: usize,
}

impl JsonPatch {
    /// An operation without `value` has the value `null`, as the SDKs send it.
    pub fn parse(operations: Vec<Value>) -> Result<Self, InvalidPatch> {
        let parse = |(place, operation): (usize, Value)| {
            parse_operation(operation).map_err(|(member, reason)| InvalidPatch {
                operation: place,
                member,
                reason,
            })
        };
        operations
            .into_iter()
            .enumerate()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Applies every operation to the document, which on a refusal is left in an unspecified state:
    /// hand in a copy.
    ///
    /// `copy` and `move` can double a document or its depth, so both are looked at after every one
    /// of them: afterwards it would be too late even to throw the document away.
    pub fn apply(&self, document: &mut Value, limits: PatchLimits) -> Result<(), PatchRefused> {
        for (place, operation) in self.0.iter().enumerate() {
            let refused = |reason| PatchRefused {
                operation: place,
                reason,
            };
            match operation {
                Operation::Test { path, value } => {
                    let found = path.resolve(&*document);
                    let found = found.map_err(|_| refused("`path` leads nowhere"))?;
                    if !equal(found, value) {
                        return Err(refused("the test failed"));
                    }
                }
                Operation::Other(operation) => {
                    let applied = json_patch::patch(document, std::slice::from_ref(operation));
                    applied.map_err(|error| {
                        refused(
                            if matches!(error.kind, PatchErrorKind::CannotMoveInsideItself) {
                                "a value cannot be moved into itself"
                            } else {
                                "`path` or `from` leads nowhere"
                            },
                        )
                    })?;
                    if matches!(operation, PatchOperation::Copy(_) | PatchOperation::Move(_)) {
                        if !depth_within(document, limits.levels_max) {
                            return Err(refused("the document nests too deep"));
                        }
                        if text_bytes(document, limits.bytes_max) > limits.bytes_max {
                            return Err(refused("the document grows too large"));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn parse_operation(operation: Value) -> Result<Operation, (&'static str, &'static str)> {
    let Value::Object(mut members) = operation else {
        return Err(("", "an object is required"));
    };
    let op = text(&mut members, "op")?;
    let path = pointer(&mut members, "path")?;
    Ok(Operation::Other(match op.as_str() {
        "test" => {
            return Ok(Operation::Test {
                path,
                value: value(&mut members),
            });
        }
        "add" => PatchOperation::Add(AddOperation {
            path,
            value: value(&mut members),
        }),
        "replace" => PatchOperation::Replace(ReplaceOperation {
            path,
            value: value(&mut members),
        }),
        "remove" => PatchOperation::Remove(RemoveOperation { path }),
        "move" => {
            let from = pointer(&mut members, "from")?;
            PatchOperation::Move(MoveOperation { from, path })
        }
        "copy" => {
            let from = pointer(&mut members, "from")?;
            PatchOperation::Copy(CopyOperation { from, path })
        }
        _ => {
            return Err((
                "op",
                "one of add, remove, replace, move, copy, test is required",
            ));
        }
    }))
}

fn text(
    members: &mut Map<String, Value>,
    member: &'static str,
) -> Result<String, (&'static str, &'static str)> {
    match members.remove(member) {
        Some(Value::String(text)) => Ok(text),
        _ => Err((member, "a string is required")),
    }
}

fn pointer(
    members: &mut Map<String, Value>,
    member: &'static str,
) -> Result<PointerBuf, (&'static str, &'static str)> {
    let text = text(members, member)?;
    let pointer = PointerBuf::parse(text);
    let pointer = pointer.map_err(|_| (member, "a JSON pointer is required, such as /email"))?;
    if pointer.count() > POINTER_PARTS_MAX {
        return Err((member, "a JSON pointer of at most 32 parts is required"));
    }
    Ok(pointer)
}

fn value(members: &mut Map<String, Value>) -> Value {
    members.remove("value").unwrap_or(Value::Null)
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => equal_numbers(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
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
        Value::Number(number) => number.as_str().len(),
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

    const LIMITS: PatchLimits = PatchLimits {
        bytes_max: 10_000,
        levels_max: 32,
    };

    fn patch(operations: Value) -> JsonPatch {
        let Value::Array(operations) = operations else {
            panic!("operations are an array")
        };
        JsonPatch::parse(operations).unwrap()
    }

    #[test]
    fn the_operation_that_fails_is_named() {
        let operations = json!([
            {"op": "add", "path": "/a", "value": 1},
            {"op": "test", "path": "/a", "value": 2},
        ]);
        let refused = patch(operations).apply(&mut json!({}), LIMITS).unwrap_err();
        assert_eq!(refused.operation, 1);
    }

    #[test]
    fn copies_cannot_grow_a_document_without_bound() {
        for document in [json!({"a": "0123456789"}), json!({"a": 1_234_567_890})] {
            let copies: Vec<_> = (0..60)
                .map(|n| json!({"op": "copy", "from": "", "path": format!("/c{n}")}))
                .collect();
            let mut changed = document.clone();
            let refused = patch(copies.into())
                .apply(&mut changed, LIMITS)
                .unwrap_err();
            assert!(refused.operation < 15, "{document}");
        }
    }

    #[test]
    fn copies_cannot_deepen_a_document_without_bound() {
        let deepest = |levels: usize| "/a".repeat(levels);
        let copies: Vec<_> = (0..8)
            .map(|n| json!({"op": "copy", "from": "/a", "path": deepest((1 << n).min(32))}))
            .collect();
        let mut document = json!({"a": {"a": {}}});
        let refused = patch(copies.into())
            .apply(&mut document, LIMITS)
            .unwrap_err();
        assert!(depth_within(&document, 2 * LIMITS.levels_max), "{refused}");
    }

    #[test]
    fn numbers_are_tested_by_their_value() {
        let equal = patch(json!([{"op": "test", "path": "", "value": {"a": [100_000, 1.0]}}]));
        let mut document: Value = serde_json::from_str(r#"{"a": [1E5, 1]}"#).unwrap();
        equal.apply(&mut document, LIMITS).unwrap();
    }

    #[test]
    fn what_is_no_operation_is_named() {
        for (operation, member) in [
            (json!({"op": "explode", "path": "/a"}), "op"),
            (json!({"op": "remove"}), "path"),
            (json!({"op": "remove", "path": "a"}), "path"),
            (json!({"op": "remove", "path": "/a".repeat(33)}), "path"),
            (json!({"op": "copy", "path": "/a"}), "from"),
            (json!("remove"), ""),
        ] {
            assert_eq!(
                JsonPatch::parse(vec![operation]).unwrap_err().member,
                member
            );
        }
    }
}
