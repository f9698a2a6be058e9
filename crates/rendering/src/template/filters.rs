//! The filters, tests and functions that templates have. An instruction costs the same fuel however
//! much it does, so what it can do is bounded here.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value, filters, tests};

use crate::limits::{FILTER_BYTES_MAX, LOOP_ITEMS_MAX};

/// The names of all filters; others are refused when content is parsed.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "reverse",
    "round",
    "split",
    "string",
    "title",
    "trim",
    "upper",
    "urlencode",
];

pub(crate) fn add_to(environment: &mut Environment<'static>) {
    environment.add_filter("abs", filters::abs);
    environment.add_filter("capitalize", |text: &Value| {
        on_text(text, |text| {
            let mut characters = text.chars();
            characters.next().map_or_else(String::new, |first| {
                first
                    .to_uppercase()
                    .chain(characters.flat_map(char::to_lowercase))
                    .collect()
            })
        })
    });
    environment.add_filter("count", filters::length);
    environment.add_filter("d", default);
    environment.add_filter("default", default);
    environment.add_filter("first", |value: &Value| filters::first(bounded(value)?));
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", join);
    environment.add_filter("last", |value: &Value| {
        filters::last(bounded(value)?.clone())
    });
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", |text: &Value| on_text(text, str::to_lowercase));
    environment.add_filter("replace", replace);
    environment.add_filter("reverse", |value: &Value| filters::reverse(bounded(value)?));
    environment.add_filter("round", filters::round);
    environment.add_filter("split", split);
    environment.add_filter("string", |text: &Value| on_text(text, str::to_owned));
    environment.add_filter("title", |text: &Value| {
        on_text(text, |text| filters::title(Cow::Borrowed(text)))
    });
    environment.add_filter("trim", |text: &Value| {
        on_text(text, |text| text.trim().to_owned())
    });
    environment.add_filter("upper", |text: &Value| on_text(text, str::to_uppercase));
    environment.add_filter("urlencode", |value: &Value| {
        filters::urlencode(bounded(value)?)
    });

    environment.add_test("defined", |value: &Value| !is_missing(value));
    environment.add_test("undefined", is_missing);
    environment.add_test("none", is_missing);
    environment.add_test("even", tests::is_even);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("number", tests::is_number);
    environment.add_test("string", tests::is_string);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);

    environment.add_function("range", range);
}

/// Null is as good as nothing: neither can be written.
fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

fn default(value: &Value, other: Option<Value>) -> Value {
    if is_missing(value) {
        other.unwrap_or_else(|| Value::from(""))
    } else {
        value.clone()
    }
}

fn join(value: &Value, joiner: Option<Cow<'_, str>>) -> Result<Value, Error> {
    let joiner = joiner.unwrap_or_default();
    let mut text = String::new();
    for (index, item) in bounded(value)?.try_iter()?.enumerate() {
        if index > 0 {
            text.push_str(&joiner);
        }
        if is_missing(&item) {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        text.push_str(&text_of(&item)?);
        if text.len() > FILTER_BYTES_MAX {
            return Err(too_long());
        }
    }
    Ok(Value::from(text))
}

fn replace(text: &Value, from: &str, to: &str) -> Result<Value, Error> {
    let text = text_of(text)?;
    let longest = if from.is_empty() {
        text.len() + 1
    } else {
        text.len() / from.len()
    };
    if text.len() + longest * to.len() > 8 * FILTER_BYTES_MAX {
        return Err(too_long());
    }
    on_text(&Value::from(text.as_ref()), |text| text.replace(from, to))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands arguments over by value"
)]
fn split(text: &Value, separator: Option<Cow<'_, str>>) -> Result<Vec<String>, Error> {
    let text = text_of(text)?;
    Ok(match separator.as_deref() {
        None | Some("") => text.split_whitespace().map(str::to_owned).collect(),
        Some(separator) => text.split(separator).map(str::to_owned).collect(),
    })
}

fn range(first: i64, second: Option<i64>) -> Result<Vec<i64>, Error> {
    let (from, to) = second.map_or((0, first), |to| (first, to));
    let items = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    if items > LOOP_ITEMS_MAX {
        return Err(too_long());
    }
    Ok((from..to).collect())
}

fn on_text(value: &Value, change: impl Fn(&str) -> String) -> Result<Value, Error> {
    let text = change(&text_of(value)?);
    if text.len() > FILTER_BYTES_MAX {
        Err(too_long())
    } else {
        Ok(Value::from(text))
    }
}

/// A value as it would be written, if it is short enough.
fn text_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    if is_missing(value) {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    match (value.as_str(), value.kind()) {
        (Some(text), _) if text.len() > FILTER_BYTES_MAX => Err(too_long()),
        (Some(text), _) => Ok(Cow::Borrowed(text)),
        (None, ValueKind::Bool) => Ok(Cow::Borrowed(if value.is_true() {
            "true"
        } else {
            "false"
        })),
        (None, ValueKind::Number) => Ok(Cow::Owned(value.to_string())),
        (None, _) => Err(Error::new(ErrorKind::InvalidOperation, "expected a text")),
    }
}

fn bounded(value: &Value) -> Result<&Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) if text.len() > FILTER_BYTES_MAX => Err(too_long()),
        (None, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
            if value.try_iter()?.take(LOOP_ITEMS_MAX + 1).count() > LOOP_ITEMS_MAX =>
        {
            Err(too_long())
        }
        (None, ValueKind::Undefined | ValueKind::None) => {
            Err(Error::from(ErrorKind::UndefinedError))
        }
        _ => Ok(value),
    }
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "more than a filter takes or gives",
    )
}
