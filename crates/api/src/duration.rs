use serde_json::Value;

/// A duration in whole seconds, rounded up: a number of seconds, or text such as `2 hours`, `1d`,
/// `2.5 hrs` or `90`, of which the units are those of the npm package `ms`.
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => of_text(text)?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    // Far below where whole numbers are not exact any more.
    whole(seconds).filter(|_| (0.0..=1e12).contains(&seconds))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whoever calls looks at the bounds"
)]
fn whole(seconds: f64) -> Option<u64> {
    seconds.is_finite().then(|| seconds.max(0.0).ceil() as u64)
}

fn of_text(text: &str) -> Option<f64> {
    if text.len() > 100 {
        return None;
    }
    let text = text.trim();
    let end = text
        .find(|it: char| !it.is_ascii_digit() && it != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        // As `ms` counts: a year of 365 days and a quarter.
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600.0,
        _ => return None,
    };
    Some(number * unit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (value, expected) in [
            (json!("2 hours"), 7_200),
            (json!("1d"), 86_400),
            (json!("3 days"), 259_200),
            (json!("10h"), 36_000),
            (json!("2.5 hrs"), 9_000),
            (json!("1m"), 60),
            (json!("5s"), 5),
            (json!("1y"), 31_557_600),
            (json!("90"), 90),
            (json!(90), 90),
            (json!(0.5), 1),
            (json!("1500 ms"), 2),
        ] {
            assert_eq!(seconds(&value), Some(expected), "{value}");
        }
        for wrong in [
            json!("$YOUR_NUMBER days"),
            json!(""),
            json!("days"),
            json!("1 fortnight"),
            json!("-1 day"),
            json!("1.2.3 days"),
            json!("1e9 years"),
            json!("99999999999999999999 years"),
            json!(null),
            json!(-5),
            json!([]),
        ] {
            assert_eq!(seconds(&wrong), None, "{wrong}");
        }
    }
}
