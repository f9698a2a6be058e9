//! The log in memory keeps the rules of every store.

use event_log::{MemoryLog, conformance};

#[test]
fn the_log_in_memory_conforms() {
    conformance::run(MemoryLog::default(), |log| log);
}
