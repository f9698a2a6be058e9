//! The log on sled keeps the rules of every store.

use event_log::conformance;
use event_log_sled::{SledLog, SledLogOptions};

#[test]
fn the_log_on_sled_conforms() {
    let data = tempfile::tempdir().unwrap();
    let open = || SledLog::open(data.path(), &SledLogOptions::default()).unwrap();
    conformance::run(open(), |log| {
        drop(log);
        open()
    });
}
