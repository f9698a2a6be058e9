//! The only place that writes to the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use serde_json::Value;

/// A line of data.
pub(crate) fn data(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{line}")?)
}

pub(crate) fn data_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    data(&serde_json::to_string(value)?)
}

/// Something for a person.
pub(crate) fn note(line: &str) {
    // If nobody reads standard error there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

pub(crate) fn problem(line: &str) {
    note(&format!("muster: {line}"));
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Whether somebody looks at what is written, and would rather have a table than lines of JSON.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// An event as a row of a table.
pub(crate) fn event_line(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    // Whole seconds are enough for a person.
    let at: String = text(&event["recorded_at"]).chars().take(19).collect();
    format!(
        "{:>8}  {at}  {:<32}  {:<24}  {}",
        event["position"],
        text(&event["type"]),
        text(&event["stream"]),
        text(&event["actor"]["name"]),
    )
}

/// A field that changed, below the line of what changed it.
pub(crate) fn change_line(path: &str, before: &Value, after: &Value) -> String {
    match (before, after) {
        (Value::Null, after) => format!("          + {path} {after}"),
        (before, Value::Null) => format!("          - {path} {before}"),
        (before, after) => format!("            {path} {before} → {after}"),
    }
}
