use serde_json::{Map, Value};

/// What a message says about one channel and provider: what stands under their names if anything does, the
/// provider's before the channel's, and otherwise all that is there.
pub(crate) fn overrides_for(
    all: &Map<String, Value>,
    channel: &str,
    provider: &str,
) -> Map<String, Value> {
    let named = [channel, provider].map(|name| all.get(name).and_then(Value::as_object));
    if named.iter().all(Option::is_none) {
        return all.clone();
    }
    let mut found = Map::new();
    for named in named.into_iter().flatten() {
        merge(&mut found, named);
    }
    found
}

/// Lays one object over another, member by member where both have an object.
pub(crate) fn merge(into: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        match (into.get_mut(name), value) {
            (Some(Value::Object(inner)), Value::Object(over)) => merge(inner, over),
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Text that can stand in one line of a protocol.
pub(crate) fn line<'a>(overrides: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = overrides.get(name)?.as_str()?.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn what_stands_under_a_name_goes_before_what_stands_alone() {
        let flat = object(json!({ "subject": "a" }));
        assert_eq!(overrides_for(&flat, "email", "smtp"), flat);
        let named = object(json!({
            "email": { "subject": "a", "headers": { "X-A": "1" } },
            "smtp": { "headers": { "X-B": "2" } },
            "sms": { "from": "b" },
        }));
        let expected = object(json!({ "subject": "a", "headers": { "X-A": "1", "X-B": "2" } }));
        assert_eq!(overrides_for(&named, "email", "smtp"), expected);
        // A member of the provider's own body may be called like another provider.
        let body = object(json!({ "apns": { "payload": {} } }));
        assert_eq!(overrides_for(&body, "push", "fcm"), body);
    }
}
