use std::fmt;

use serde_json::{Map, Value};

use crate::filter::{Scalar, Stored};

/// A path to an attribute of a profile: the exact key first, then descent along the dots; arrays are
/// not descended into. A leading `profile.` is dropped unless the profile has a key `profile`.
/// `["a.b"]` names a key in which dots mean nothing, and is never dropped.
#[derive(Clone, Debug)]
pub struct AttributePath {
    text: String,
    /// The keys, if some of them are escaped; else the dots say where to descend.
    escaped: Option<Vec<String>>,
    /// Whether it begins with a `profile` that is not escaped itself.
    drops_profile: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("a path must not be empty")]
    Empty,
    #[error("a path must not contain control characters")]
    ControlCharacter,
}

/// What stands before the attributes in some callers' paths.
const PROFILE: &str = "profile";

impl AttributePath {
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text.is_empty() {
            return Err(InvalidPath::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPath::ControlCharacter);
        }
        let rest = text.strip_prefix(PROFILE);
        Ok(Self {
            text: text.to_owned(),
            escaped: escaped_keys(text),
            drops_profile: rest.is_some_and(|rest| rest.starts_with(['.', '['])),
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The value at the path. `null` is the same as absent, and no stored profile holds one.
    pub fn resolve<'a>(&self, profile: &'a Map<String, Value>) -> Option<&'a Value> {
        let has_profile = || profile.contains_key(PROFILE);
        let found = match &self.escaped {
            Some(keys) => profile.get(&self.text).or_else(|| {
                let skipped = usize::from(self.drops_profile && keys.len() > 1 && !has_profile());
                along(profile, &keys[skipped..])
            }),
            None => match self.after_profile() {
                Some(rest) if !has_profile() => descend(profile, rest),
                _ => descend(profile, &self.text),
            },
        };
        found.filter(|value| !value.is_null())
    }

    /// The members of a profile on which the value at the path depends, and no others.
    pub fn members(&self) -> Vec<&str> {
        let mut members = Vec::new();
        if let Some(keys) = &self.escaped {
            members.push(self.text.as_str());
            members.extend(keys.first().map(String::as_str));
            if keys.len() > 1 && self.drops_profile {
                members.push(keys[1].as_str());
            }
        } else {
            for path in [Some(self.text.as_str()), self.after_profile()] {
                members.extend(path);
                members.extend(path.and_then(|path| path.split_once('.')).map(|it| it.0));
            }
        }
        members.sort_unstable();
        members.dedup();
        members
    }

    /// How the key ends in which the path ends, whichever that is: it may have dots in it. Nothing is
    /// said of a path with escapes.
    pub fn key_suffix(&self) -> &str {
        match &self.escaped {
            Some(_) => "",
            None => self.text.rsplit('.').next().unwrap_or(""),
        }
    }

    fn after_profile(&self) -> Option<&str> {
        self.text.strip_prefix(PROFILE)?.strip_prefix('.')
    }
}

impl PartialEq for AttributePath {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for AttributePath {}

impl std::hash::Hash for AttributePath {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn descend<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    descend(object.get(first)?.as_object()?, rest)
}

fn along<'a>(object: &'a Map<String, Value>, keys: &[String]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let value = object.get(first)?;
    if rest.is_empty() {
        return Some(value);
    }
    along(value.as_object()?, rest)
}

/// The keys of a path in which at least one is written as `["key"]`, a JSON string in brackets.
/// `None` if there is none, or if what looks like one is not: then the text is what it says.
fn escaped_keys(text: &str) -> Option<Vec<String>> {
    if !text.contains("[\"") {
        return None;
    }
    let mut keys = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(bracketed) = rest.strip_prefix('[') {
            let mut strings = serde_json::Deserializer::from_str(bracketed).into_iter::<String>();
            keys.push(strings.next()?.ok()?);
            rest = bracketed[strings.byte_offset()..].strip_prefix(']')?;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            keys.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        if let Some(next) = rest.strip_prefix('.') {
            if next.is_empty() {
                return None;
            }
            rest = next;
        }
    }
    Some(keys)
}

/// EQ of a stored value and an operand that arrived as text: two strings byte for byte, a stored
/// number or boolean by its value, arrays and objects never.
pub fn equals_operand(stored: &Value, operand: &str) -> bool {
    Scalar::new(operand).equals(&Stored::new(stored))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equality_goes_by_the_stored_values_type() {
        for (stored, operand, expected) in [
            (json!("00123"), "123", false),
            (json!("pro"), "pro", true),
            (json!(123), "123", true),
            (json!(123), "1.23e2", true),
            (json!(0), "-0.0", true),
            (json!(9_007_199_254_740_993_i64), "9007199254740992", false),
            (json!(1), "true", false),
            (json!(true), "true", true),
            (json!(true), "1", false),
            (json!(["a"]), "a", false),
            (json!(5), "5.", false),
            (json!(null), "null", false),
        ] {
            assert_eq!(
                equals_operand(&stored, operand),
                expected,
                "{stored} and {operand}"
            );
        }
    }

    #[test]
    fn a_path_takes_the_exact_key_before_it_descends() {
        let profile = json!({
            "a.b": 1, "a": {"b": 2, "c": {"d": 3}, "e.f": 4}, "list": [{"x": 1}], "q\"[": 5, "n": null, "[\"odd\"]": 6,
        });
        let profile = profile.as_object().unwrap();
        for (path, expected) in [
            ("a.b", Some(json!(1))),
            ("a.c.d", Some(json!(3))),
            ("a.e.f", Some(json!(4))),
            ("profile.a.c.d", Some(json!(3))),
            ("list.x", None),
            ("n", None),
            (r#"["a.b"]"#, Some(json!(1))),
            (r#"["a"].b"#, Some(json!(2))),
            (r#"a["e.f"]"#, Some(json!(4))),
            (r#"a.["e.f"]"#, Some(json!(4))),
            (r#"profile.a["e.f"]"#, Some(json!(4))),
            (r#"["q\"["]"#, Some(json!(5))),
            (r#"["a"#, None),
            (r#"["profile"]["a"].b"#, None),
            (r#"["odd"]"#, Some(json!(6))),
        ] {
            let path = AttributePath::parse(path).unwrap();
            assert_eq!(path.resolve(profile), expected.as_ref(), "{path}");
        }
        let named = json!({"profile": {"a": 1}, "a": 2});
        let path = AttributePath::parse("profile.a").unwrap();
        assert_eq!(path.resolve(named.as_object().unwrap()), Some(&json!(1)));
    }

    #[test]
    fn a_path_says_on_which_members_it_depends() {
        for (path, members) in [
            ("a", &["a"][..]),
            ("a.b.c", &["a", "a.b.c"]),
            ("profile.a.b", &["a", "a.b", "profile", "profile.a.b"]),
            (r#"a["b.c"].d"#, &["a", r#"a["b.c"].d"#]),
            (r#"["a.b"]"#, &[r#"["a.b"]"#, "a.b"]),
        ] {
            assert_eq!(AttributePath::parse(path).unwrap().members(), members);
        }
    }
}
