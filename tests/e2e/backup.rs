//! Backups of a running server, and what they restore.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::cli::{binary, done, muster};
use crate::client::{KEY, TestServer};

/// Asks the running server.
fn backup(server: &TestServer, into: &Path) -> Output {
    Command::new(binary())
        .args(["backup", "--json", "--url", &server.url(), "--api-key", KEY])
        .arg(into)
        .output()
        .unwrap()
}

fn verified(backup: &Path) -> Output {
    let mut command = Command::new(binary());
    command.args(["restore", "--verify", "--json"]);
    command.arg(backup).output().unwrap()
}

fn restored(backup: &Path, data: &Path, more: &[&str]) -> Output {
    let backup = backup.to_str().unwrap();
    let arguments = [&["restore", "--json", backup], more].concat();
    muster(data, &arguments, "")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&done(output)).unwrap()
}

fn put(server: &TestServer, user: &str, value: &str) {
    let body = json!({"profile": {"value": value}}).to_string();
    let answer = server.ask("PUT", &format!("/profiles/{user}"), &body);
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// The one file of the backup whose name begins so.
fn file(backup: &Path, beginning: &str) -> PathBuf {
    let files = fs::read_dir(backup).unwrap().map(|it| it.unwrap().path());
    let begins = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(beginning)
    };
    let found: Vec<PathBuf> = files.filter(begins).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn a_backup_grows_while_the_server_writes_and_restores_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (data, set) = (directory.path().join("data"), directory.path().join("set"));
    let server = TestServer::start(&data);
    for n in 0..50 {
        put(&server, &format!("user-{n}"), "first");
    }
    // The answer is of several people, and sealed under the key that they share.
    let several = json!({"users": [
        {"user_id": "user-1", "profile": {"value": "several"}},
        {"user_id": "user-2", "profile": {"value": "several"}},
        {"user_id": "user-3", "profile": {"value": "refused"}, "tokens": "none"},
    ]});
    let answered = server.once("/v1/users:batch", "several", &several);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                put(&server, &format!("other-{}", written % 97), "while");
                written += 1;
            }
            written
        });
        let mut last = 0;
        for _ in 0..4 {
            let taken = json_of(&backup(&server, &set));
            let position = taken["position"].as_u64().unwrap();
            assert_eq!(taken["added"], position - last);
            assert!(position > last, "nothing was written meanwhile");
            last = position;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writing.join().unwrap() > 0);
    });
    let last = json_of(&backup(&server, &set));
    let nothing_new = json_of(&backup(&server, &set));
    assert_eq!(
        (&nothing_new["position"], &nothing_new["added"]),
        (&last["position"], &json!(0))
    );
    assert_eq!(json_of(&verified(&set))["root"], last["root"]);
    server.stop();

    let copy = directory.path().join("copy");
    assert_eq!(json_of(&restored(&set, &copy, &[]))["root"], last["root"]);
    let digest = done(&muster(&data, &["digest"], ""));
    assert_eq!(done(&muster(&copy, &["digest"], "")), digest);
    done(&muster(&copy, &["log", "verify"], ""));
    let again = restored(&set, &copy, &[]);
    assert!(!again.status.success(), "it is not empty any more");
    // It goes on as the server it was made of would have.
    let server = TestServer::start(&copy);
    put(&server, "user-0", "after");
    let again = server.once("/v1/users:batch", "several", &several);
    assert_eq!(again.text, answered.text);
    server.once("/v1/users:batch", "several, after", &several);
    server.stop();

    let early = directory.path().join("early");
    let restoring = restored(&set, &early, &["--until", "60"]);
    assert_eq!(json_of(&restoring)["position"], 60);
    let of_then = done(&muster(&data, &["digest", "--as-of", "60"], ""));
    assert_eq!(done(&muster(&early, &["digest"], "")), of_then);
    let later = directory.path().join("later");
    let too_late = restored(&set, &later, &["--until", "999999"]);
    assert!(!too_late.status.success());
    // What was not finished does not open.
    assert!(!muster(&later, &["digest"], "").status.success());
}

#[test]
fn a_backup_of_another_log_or_an_altered_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (
        directory.path().join("first"),
        directory.path().join("second"),
    );
    let set = directory.path().join("set");
    let server = TestServer::start(&first);
    for n in 0..20 {
        put(&server, &format!("user-{n}"), "first");
    }
    done(&backup(&server, &set));
    server.stop();
    let server = TestServer::start(&second);
    put(&server, "ada", "second");
    let shorter = backup(&server, &set);
    assert!(!shorter.status.success());
    for n in 0..40 {
        put(&server, &format!("user-{n}"), "second");
    }
    let other = backup(&server, &set);
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("another root"), "{said}");
    server.stop();
    done(&verified(&set));

    let records = file(&set, "0000");
    for path in [records, file(&set, "manifest"), file(&set, "vault")] {
        let whole = fs::read(&path).unwrap();
        let step = whole.len() / 60 + 1;
        for place in (0..whole.len()).step_by(step) {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            fs::write(&path, &altered).unwrap();
            let refused = verified(&set);
            assert!(!refused.status.success(), "{} at {place}", path.display());
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(!verified(&set).status.success());
        fs::write(&path, &whole).unwrap();
    }
    done(&verified(&set));
    let mut some = directory.path().to_owned();
    some.push("some");
    fs::create_dir(&some).unwrap();
    fs::write(some.join("file"), "x").unwrap();
    let server = TestServer::start(&second);
    let said = String::from_utf8_lossy(&backup(&server, &some).stderr).into_owned();
    assert!(said.contains("is no backup"), "{said}");
    server.stop();
}

#[test]
fn who_was_erased_is_in_no_backup_that_was_taken_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let (data, set) = (directory.path().join("data"), directory.path().join("set"));
    let server = TestServer::start(&data);
    put(&server, "ada", "m4rk3r");
    put(&server, "bob", "of-bob");
    done(&backup(&server, &set));
    let before = fs::read(file(&set, "vault")).unwrap();
    server.ask("POST", "/v1/users/ada/erase", "{}");
    done(&backup(&server, &set));
    server.stop();
    assert_ne!(fs::read(file(&set, "vault")).unwrap(), before);
    let copy = directory.path().join("copy");
    // Not even as of a moment at which she was there.
    done(&restored(&set, &copy, &["--until", "4"]));
    let export = done(&muster(&copy, &["export"], ""));
    assert!(
        export.contains("of-bob") && !export.contains("m4rk3r"),
        "{export}"
    );
    let server = TestServer::start(&copy);
    assert_eq!(server.ask("GET", "/profiles/ada", "").status, 404);
    assert_eq!(server.ask("GET", "/profiles/bob", "").status, 200);
    server.stop();
}

/// Whoever gets a number that somebody else had after the moment, who was erased, has a key all the same.
#[test]
fn a_log_that_goes_on_from_a_moment_before_keeps_what_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (data, set) = (directory.path().join("data"), directory.path().join("set"));
    let server = TestServer::start(&data);
    put(&server, "ada", "before");
    let moment = server
        .ask("GET", "/profiles/ada", "")
        .position()
        .to_string();
    put(&server, "bob", "after");
    server.ask("POST", "/v1/users/bob/erase", "{}");
    put(&server, "carol", "after");
    done(&backup(&server, &set));
    server.stop();
    let (restored_to, replayed_to) = (directory.path().join("a"), directory.path().join("b"));
    done(&restored(&set, &restored_to, &["--until", &moment]));
    let to = replayed_to.to_str().unwrap();
    done(&muster(
        &data,
        &["replay", "--until", &moment, "--to", to],
        "",
    ));
    for data in [&restored_to, &replayed_to] {
        let server = TestServer::start(data);
        put(&server, "dave", "new");
        put(&server, "erin", "new");
        server.stop();
        let server = TestServer::start(data);
        for (user, value) in [("ada", "before"), ("dave", "new"), ("erin", "new")] {
            let profile = server.ask("GET", &format!("/profiles/{user}"), "");
            assert_eq!(profile.body["profile"]["value"], value, "{}", profile.text);
        }
        server.stop();
    }
}

#[test]
fn two_backups_do_not_grow_one_set() {
    let directory = tempfile::tempdir().unwrap();
    let (data, set) = (directory.path().join("data"), directory.path().join("set"));
    let server = TestServer::start(&data);
    put(&server, "ada", "x");
    done(&backup(&server, &set));
    let held = fs::File::open(set.join("lock")).unwrap();
    held.try_lock().unwrap();
    let said = String::from_utf8_lossy(&backup(&server, &set).stderr).into_owned();
    assert!(said.contains("somebody else"), "{said}");
    drop(held);
    // What somebody else keeps there stays, and what was cut short goes.
    fs::write(set.join("notes.txt"), "mine").unwrap();
    let unfinished = set.join("vault.99.0123456789abcdef");
    fs::write(&unfinished, "old keys").unwrap();
    put(&server, "bob", "x");
    done(&backup(&server, &set));
    assert!(set.join("notes.txt").exists() && !unfinished.exists());
    done(&verified(&set));
    server.stop();
}
