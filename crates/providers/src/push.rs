use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::outgoing::Outgoing;
use crate::overrides::{merge, overrides_for};

/// No service gives out tokens that are longer, in bytes.
const TOKEN_BYTES_MAX: usize = 4_096;

/// A token of a device, fit for a path or a body.
pub(crate) fn checked_token(token: &str) -> Result<&str, Failure> {
    let is_token = (1..=TOKEN_BYTES_MAX).contains(&token.len())
        && token
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if is_token {
        Ok(token)
    } else {
        Err(Failure::Malformed(
            "the address is no token of a device".to_owned(),
        ))
    }
}

/// What the app is given: the data of the message, and what can be clicked unless the data says it.
pub(crate) fn data(outgoing: &Outgoing) -> Map<String, Value> {
    let mut data = outgoing.data.clone();
    let actions = &outgoing.content.actions;
    if !actions.is_empty() && !data.contains_key("actions") {
        let actions = actions
            .iter()
            .map(|action| serde_json::json!({ "label": action.label, "href": action.href }));
        data.insert("actions".to_owned(), actions.collect());
    }
    data
}

/// Lays what the message says about this provider over the body that we made, but for members that say to
/// whom it goes.
pub(crate) fn override_body(
    body: &mut Map<String, Value>,
    outgoing: &Outgoing,
    provider: &str,
    addressing: &[&str],
) {
    let mut overrides = overrides_for(&outgoing.overrides, "push", provider);
    for name in addressing {
        overrides.remove(*name);
    }
    merge(body, &overrides);
}

/// An object, of members that there are.
pub(crate) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
