//! Which variable it was that is missing.

use std::collections::{BTreeSet, HashSet};

use minijinja::{Environment, Error, Value};

use crate::template::engine;

/// The engine says where something was missing but not what: the names in that piece of the source
/// are looked up again.
pub(crate) fn name(error: &Error, source: &str, context: &Value) -> String {
    let piece = error.range().and_then(|range| {
        // Of what goes into a filter the engine gives the name of the filter alone.
        let before = source.get(..range.start)?;
        let start = if before.trim_end().ends_with('|') {
            before.rfind("{{")? + 2
        } else {
            range.start
        };
        source.get(start..range.end)
    });
    let found = piece.and_then(|piece| first_missing(piece, context));
    found.unwrap_or_else(|| {
        let template = Environment::empty();
        let names = template
            .template_from_str(source)
            .map(|template| template.undeclared_variables(true));
        let missing = names.ok().and_then(|names| first_of(names, context));
        missing.unwrap_or_else(|| piece.unwrap_or(source).chars().take(100).collect())
    })
}

/// The first name in an expression that there is no value for. Names of loops count as missing: they
/// are in no context, and what was missing in them is part of the name.
pub(crate) fn first_missing(expression: &str, context: &Value) -> Option<String> {
    let expression = engine::base()
        .compile_expression_owned(expression.to_owned())
        .ok()?;
    first_of(expression.undeclared_variables(true), context)
}

fn first_of(names: HashSet<String>, context: &Value) -> Option<String> {
    // Sorted, so that the same refusal is the same every time.
    let names: BTreeSet<String> = names.into_iter().collect();
    names.into_iter().find(|name| {
        let mut value = context.clone();
        for part in name.split('.') {
            value = value.get_attr(part).unwrap_or(Value::UNDEFINED);
        }
        value.is_undefined() || value.is_none()
    })
}
