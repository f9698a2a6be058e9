use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value};

/// Arrays and objects within each other that are read at all.
const LEVELS_MAX: usize = 100;

/// Values in one text, the members of objects and the elements of arrays counted. A value takes far
/// more memory than the two bytes that it may take in the text.
pub const JSON_VALUES_MAX: usize = 250_000;

/// The key by which `serde_json`, asked for numbers with all their digits, hands a number to a visitor.
/// Its own `Value` takes an object that begins with this key, or with that of its raw values, for
/// what it is not; a text from outside may well hold such a key.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads JSON (RFC 8259). Every key is a key, whatever its name; the last of several members with one
/// name counts; numbers keep their digits; depth and number of values are bounded.
pub fn parse_json(text: &[u8]) -> serde_json::Result<Value> {
    let values_left = Cell::new(JSON_VALUES_MAX);
    let mut deserializer = Deserializer::from_slice(text);
    let found = Reading {
        levels_left: LEVELS_MAX,
        values_left: &values_left,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    match found {
        Found::Value(value) => Ok(value),
        Found::NumberText(_) => Err(serde_json::Error::custom(
            "a number stands where none can be",
        )),
    }
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    levels_left: usize,
    values_left: &'a Cell<usize>,
}

/// The text of a number comes as an owned string, which no string of the text ever does.
enum Found {
    Value(Value),
    NumberText(String),
}

impl<'a> Reading<'a> {
    fn deeper<E: serde::de::Error>(self) -> Result<Reading<'a>, E> {
        let levels_left = self.levels_left.checked_sub(1).ok_or_else(|| {
            E::custom(format_args!(
                "the text nests deeper than {LEVELS_MAX} levels"
            ))
        })?;
        Ok(Reading {
            levels_left,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Found;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        let left = self.values_left.get().checked_sub(1).ok_or_else(|| {
            D::Error::custom(format_args!(
                "the text holds more than {JSON_VALUES_MAX} values"
            ))
        })?;
        self.values_left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Found, E> {
        Ok(Found::Value(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Found, E> {
        Ok(Found::Value(flag.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
        Ok(Found::Value(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
        Ok(Found::Value(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Found, E> {
        Ok(Found::Value(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Found, E> {
        Ok(Found::NumberText(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Found, A::Error> {
        let deeper = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(deeper)? {
            array.push(value(element)?);
        }
        Ok(Found::Value(Value::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found, A::Error> {
        let deeper = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            match members.next_value_seed(deeper)? {
                Found::Value(value) => {
                    object.insert(key, value);
                }
                Found::NumberText(text) if key == NUMBER && object.is_empty() => {
                    let number: Number = text.parse().map_err(A::Error::custom)?;
                    return Ok(Found::Value(Value::Number(number)));
                }
                number @ Found::NumberText(_) => {
                    value(number)?;
                }
            }
        }
        Ok(Found::Value(Value::Object(object)))
    }
}

fn value<E: serde::de::Error>(found: Found) -> Result<Value, E> {
    match found {
        Found::Value(value) => Ok(value),
        Found::NumberText(_) => Err(E::custom("a number stands where none can be")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_means_something_to_serde_json_is_a_key_like_any_other() {
        for text in [
            r#"{"$serde_json::private::Number":"12"}"#,
            r#"{"$serde_json::private::Number":12}"#,
            r#"{"$serde_json::private::RawValue":"nonsense"}"#,
            r#"{"$serde_json::private::RawValue":"{\"a\":1}","z":[{"$serde_json::private::Number":"x"}]}"#,
        ] {
            let value = parse_json(text.as_bytes()).unwrap();
            assert_eq!(value.to_string(), text);
            assert!(value.is_object());
        }
        let escaped = r#"{"\u0024serde_json::private::Number":"\u0031"}"#;
        let value = parse_json(escaped.as_bytes()).unwrap();
        assert_eq!(value.to_string(), r#"{"$serde_json::private::Number":"1"}"#);
    }

    #[test]
    fn numbers_keep_their_digits() {
        for text in [
            "0",
            "-7",
            "18446744073709551616",
            "12345678901234567890.10",
            "1e-400",
        ] {
            assert_eq!(parse_json(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_json(nested(90).as_bytes()).is_ok());
        assert!(parse_json(nested(110).as_bytes()).is_err());
        assert!(parse_json(nested(1_000_000).as_bytes()).is_err());
        let many = format!("[{}0]", "0,".repeat(JSON_VALUES_MAX));
        assert!(parse_json(many.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "nul",
            "1 2",
            "\"\\ud800\"",
            "\u{feff}1",
            "01",
        ] {
            assert!(parse_json(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_json(b"\"\xff\"").is_err());
    }

    proptest! {
        #[test]
        fn it_reads_what_serde_json_reads(
            value in any::<i64>().prop_map(|n| json!({"a": [n, n.to_string(), {"b": null}], "c": true})),
        ) {
            let text = value.to_string();
            prop_assert_eq!(parse_json(text.as_bytes()).unwrap(), value);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_json(&bytes);
        }
    }
}
