use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
};

use crate::escape;
use crate::limits::TEMPLATE_FUEL;
use crate::template::filters;

/// The names of templates whose source is HTML begin with this; all others are JSON pointers.
pub(crate) const HTML_PREFIX: &str = "html:";

/// The environment that those of all contents are copies of, and in which expressions live.
pub(crate) fn base() -> &'static Environment<'static> {
    static BASE: LazyLock<Environment<'static>> = LazyLock::new(|| {
        // Empty, so that nothing is in it that a later version of the engine brings along.
        let mut environment = Environment::empty();
        filters::add_to(&mut environment);
        // Strict, but a question whether something is there may be asked of what is not.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_keep_trailing_newline(true);
        environment.set_fuel(Some(TEMPLATE_FUEL));
        // What would be recorded of each error are values of variables.
        environment.set_debug(false);
        environment.set_formatter(format);
        environment.set_auto_escape_callback(|name| {
            if name.starts_with(HTML_PREFIX) {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        environment
    });
    &BASE
}

fn format(output: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let kind = value.kind();
    if kind == ValueKind::Undefined {
        // Only from `{{ a if b }}`, where nothing is what was asked for; the rest is refused before.
        return Ok(());
    }
    if kind == ValueKind::None {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    // What was divided by nothing is no number that anybody is told.
    if kind == ValueKind::Number && f64::try_from(value.clone()).is_ok_and(|it| !it.is_finite()) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "not a finite number",
        ));
    }
    if kind == ValueKind::Bool {
        return Ok(output.write_str(if value.is_true() { "true" } else { "false" })?);
    }
    if matches!(state.auto_escape(), AutoEscape::None) {
        return Ok(write!(output, "{value}")?);
    }
    let text = match value.as_str() {
        Some(text) => escape::html_anywhere(text),
        None => escape::html_anywhere(&value.to_string()),
    };
    Ok(output.write_str(&text)?)
}
