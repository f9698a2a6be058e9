//! The only place that writes to the terminal.

use std::io::{self, Write as _};

use serde::Serialize;

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
