use serde_json::{Map, Number, Value};

/// The value at a path of a profile: the exact key first, then descent along the dots. An array is
/// not descended into. A leading `profile.` is dropped unless the profile has such a key.
pub fn attribute<'a>(profile: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let path = match path.strip_prefix("profile.") {
        Some(rest) if !profile.contains_key("profile") => rest,
        _ => path,
    };
    descend(profile, path)
}

fn descend<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    descend(object.get(first)?.as_object()?, rest)
}

/// EQ of a stored value and an operand that arrived as text: two strings byte for byte, a stored
/// number or boolean by its value, arrays and objects never.
pub fn equals_operand(stored: &Value, operand: &str) -> bool {
    match stored {
        Value::String(text) => text == operand,
        Value::Bool(flag) => operand == if *flag { "true" } else { "false" },
        Value::Number(number) => {
            match (Decimal::parse(&number.to_string()), Decimal::parse(operand)) {
                (Some(stored), Some(operand)) => stored == operand,
                _ => false,
            }
        }
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether two numbers have the same value, however they are written.
pub(crate) fn equal_numbers(a: &Number, b: &Number) -> bool {
    match (Decimal::parse(a.as_str()), Decimal::parse(b.as_str())) {
        (Some(a), Some(b)) => a == b,
        // An exponent beyond 64 bits: only the same text is surely the same number.
        _ => a == b,
    }
}

/// A decimal number in one form only, so that equality is equality of values: no digits are lost,
/// as they would be on the way through a floating-point number.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// Power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    /// Reads the number grammar of JSON (RFC 8259 section 6).
    fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self {
                negative: false,
                digits: String::new(),
                exponent: 0,
            });
        }
        let zeros_at_the_end = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(zeros_at_the_end).ok()?)?;
        Some(Self {
            negative,
            digits: significant.to_owned(),
            exponent,
        })
    }
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
        let profile = json!({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}, "list": [{"x": 1}]});
        let profile = profile.as_object().unwrap();
        assert_eq!(attribute(profile, "a.b"), Some(&json!(1)));
        assert_eq!(attribute(profile, "a.c.d"), Some(&json!(3)));
        assert_eq!(attribute(profile, "profile.a.c.d"), Some(&json!(3)));
        assert_eq!(attribute(profile, "list.x"), None);
    }
}
