use serde_json::{Map, Value};
use types::escaped_pointer;

/// What tells the items of an array from each other, the first that they have.
const KEYS: [&str; 6] = [
    "token",
    "topic_id",
    "tenant_id",
    "audience_id",
    "list_id",
    "id",
];
/// What follows from the rest.
const DERIVED: [&str; 1] = ["/counts"];

/// Path (a JSON pointer), value before and value after of every field that is another now. Items of
/// arrays are told apart by their ids, where they have such.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
    let mut changes = Vec::new();
    compare(String::new(), before, after, &mut changes);
    changes
}

fn compare(path: String, before: &Value, after: &Value, changes: &mut Vec<(String, Value, Value)>) {
    if before == after || DERIVED.contains(&path.as_str()) {
        return;
    }
    let (Some(of_before), Some(of_after)) = (fields(before), fields(after)) else {
        changes.push((path, before.clone(), after.clone()));
        return;
    };
    let names = of_before.keys().chain(of_after.keys());
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
        let path = format!("{path}/{}", escaped_pointer(name));
        compare(path, &of(&of_before), &of(&of_after), changes);
    }
}

/// The value by the names of its parts; nothing at all has none. `None` if it has no parts with names.
fn fields(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Null => Some(Map::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| Some((key(item)?, item.clone())))
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn key(item: &Value) -> Option<String> {
    let parts = KEYS.iter().filter_map(|name| item.get(name)?.as_str());
    // A choice is one of a topic in a tenant.
    let parts: Vec<&str> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_another_is_told_by_the_ids_of_items() {
        let before = json!({"profile": {"a": 1, "b": [1, 2]}, "lists": [{"id": "x", "name": "X"}],
                            "counts": {"lists": 1}, "same": true});
        let after = json!({"profile": {"a": 2, "b": [1, 3], "c/d": null},
                           "lists": [{"id": "y", "name": "Y"}, {"id": "x", "name": "X"}],
                           "counts": {"lists": 2}, "same": true});
        let expected = [
            ("/lists/y/id", Value::Null, json!("y")),
            ("/lists/y/name", Value::Null, json!("Y")),
            ("/profile/a", json!(1), json!(2)),
            ("/profile/b", json!([1, 2]), json!([1, 3])),
        ];
        let expected: Vec<_> = expected.map(|(path, a, b)| (path.to_owned(), a, b)).into();
        assert_eq!(changes(&before, &after), expected);
        assert!(changes(&after, &after).is_empty());
        assert_eq!(changes(&Value::Null, &json!({"a": 1})).len(), 1);
    }
}
