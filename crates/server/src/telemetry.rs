use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Writes traces to standard error; `RUST_LOG` says which, by default warnings and errors.
pub fn start_tracing() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people, not for files.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // Whoever has set up tracing before keeps it.
    let _ = subscriber.try_init();
}
