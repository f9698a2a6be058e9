use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::client::TestServer;

/// The binary that `make test` has just built, or the one that is named.
pub(crate) fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("MUSTER_BIN") {
        return binary.into();
    }
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("muster")
}

pub(crate) fn muster(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses need not read its input to the end.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
pub(crate) fn done(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_str(&done(output)).unwrap()
}

#[test]
fn a_history_can_be_looked_at_exported_and_taken_in_again() {
    let directory = tempfile::tempdir().unwrap();
    let (data, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let server = TestServer::start(&data);
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":2}}"#);
    server.ask("PUT", "/lists/news/subscriptions/ada", "");
    server.stop();

    let export = done(&muster(&data, &["export"], ""));
    assert_eq!(export.lines().count(), 5);
    let imported = json(&muster(&copy, &["import", "--json"], &export));
    assert_eq!(imported["events"], 5);
    assert_eq!(done(&muster(&copy, &["export"], "")), export);
    let digest = done(&muster(&data, &["digest"], ""));
    assert_eq!(done(&muster(&copy, &["digest"], "")), digest);
    assert_eq!(digest.lines().count(), 17);

    let verified = json(&muster(&data, &["log", "verify", "--json"], ""));
    assert_eq!(
        (&verified["events"], &verified["damage"]),
        (&5.into(), &Value::Null)
    );
    // What is of people is sealed anew, so the copy is another tree.
    assert_ne!(verified["root"], imported["root"]);
    let doctor = json(&muster(&data, &["log", "doctor", "--json"], ""));
    assert_eq!(doctor["healthy"], true);
    let compacted = json(&muster(&data, &["log", "compact", "--json"], ""));
    assert_eq!(compacted["events"], 5);
    let stats = json(&muster(&data, &["log", "stats", "--json"], ""));
    assert_eq!((&stats["events"], &stats["blobs"]), (&5.into(), &0.into()));
    assert_eq!(
        (&stats["root"], &stats["blocks"]),
        (&verified["root"], &1.into())
    );
    assert_eq!(done(&muster(&data, &["digest"], "")), digest);

    // As it was after the second event, by position and by time.
    let second: Value = serde_json::from_str(export.lines().nth(1).unwrap()).unwrap();
    let at_position = muster(&data, &["replay", "--until", "2"], "");
    let at_time = muster(
        &data,
        &["replay", "--until", second["recorded_at"].as_str().unwrap()],
        "",
    );
    assert_eq!(done(&at_position), done(&at_time));
    assert_ne!(done(&at_position), digest);
    assert_eq!(done(&muster(&data, &["replay"], "")), digest);
    let beyond = [
        ["replay", "--until", "6"],
        ["replay", "--until", "2999-01-01T00:00:00Z"],
        ["digest", "--as-of", "6"],
    ];
    for arguments in beyond {
        let refused = muster(&data, &arguments, "");
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(refused.stdout.is_empty());
    }
}

#[test]
fn an_import_that_is_cut_off_leaves_nothing_that_looks_like_a_history() {
    let directory = tempfile::tempdir().unwrap();
    let (data, copy) = (directory.path().join("data"), directory.path().join("copy"));
    let server = TestServer::start(&data);
    server.ask("PUT", "/profiles/ada", r#"{"profile":{"a":1}}"#);
    server.stop();
    let export = done(&muster(&data, &["export"], ""));
    let cut = muster(&copy, &["import"], export.trim_end());
    assert_eq!(cut.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&cut.stderr).contains("line 2"),
        "{cut:?}"
    );
    for command in ["digest", "export", "import"] {
        let refused = muster(&copy, &[command], &export);
        let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && reason.contains("was not finished"),
            "{reason}"
        );
    }
    let taken = muster(&data, &["import"], &export);
    assert!(
        String::from_utf8_lossy(&taken.stderr).contains("already holds events"),
        "{taken:?}"
    );
    let missing = muster(&directory.path().join("nowhere"), &["digest"], "");
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("holds no event log"),
        "{missing:?}"
    );
}
