//! What the server proves of its log, checked by a script that has no code of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use server::{Config, Server};
use tokio::runtime::Runtime;

use crate::cli::{binary, done};
use crate::client::{KEY, TestServer};

/// Writes two events for each of so many people.
fn write(server: &TestServer, beginning: &str, people: usize) {
    let users: Vec<_> = (0..people)
        .map(|n| json!({"user_id": format!("{beginning}{n}"), "profile": {"n": n}}))
        .collect();
    let body = json!({"users": users}).to_string();
    let answer = server.ask("POST", "/v1/users:batch", &body);
    assert_eq!(answer.body["accepted"], people, "{}", answer.text);
}

fn bytes(server: &TestServer, path: &str) -> Vec<u8> {
    let mut answer = ureq::get(format!("{}{path}", server.url()))
        .header("Authorization", format!("Bearer {KEY}"))
        .call()
        .unwrap();
    answer.body_mut().read_to_vec().unwrap()
}

/// The script that was written from the RFCs alone.
fn script(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/check.py");
    let mut python = Command::new("python3");
    python.arg(script).args(arguments).output().unwrap()
}

fn muster(arguments: &[&str]) -> Output {
    let mut muster = Command::new(binary());
    muster
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// A place for files, as text for command lines.
struct Files(PathBuf);

impl Files {
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), bytes).unwrap();
        self.path(name)
    }
}

fn current_key(keys: &[u8]) -> String {
    let text = String::from_utf8(keys.to_vec()).unwrap();
    text.lines().next().unwrap().to_owned()
}

#[test]
fn proofs_are_checked_by_an_implementation_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (data, files) = (
        directory.path().join("data"),
        Files(directory.path().to_owned()),
    );
    let server = TestServer::start(&data);
    write(&server, "a", 300);
    let kept = files.put("kept", bytes(&server, "/v1/log/checkpoint"));
    write(&server, "b", 400);
    let key = current_key(&bytes(&server, "/v1/log/keys"));

    let mut flipped = 0;
    for (position, size) in [
        (1, ""),
        (2, "&size=2"),
        (255, ""),
        (256, "&size=256"),
        (257, "&size=700"),
        (600, "&size=601"),
        (1_023, ""),
        (1_400, ""),
    ] {
        let path = format!("/v1/log/proof/inclusion?position={position}{size}");
        let proof = bytes(&server, &path);
        let record = bytes(&server, &format!("/v1/log/records/{position}"));
        let (proof_file, record_file) = (files.put("proof", &proof), files.put("record", &record));
        let checked = script(&["proof", &key, &record_file, &proof_file]);
        assert!(done(&checked).starts_with("proven: "), "{checked:?}");
        let ours = [
            "log",
            "check-proof",
            &proof_file,
            "--record",
            &record_file,
            "--key",
            &key,
        ];
        assert!(done(&muster(&ours)).contains(&format!("at position {position} ")));
        // Neither believes a record, or a proof, that is another by one bit.
        for at in [0, record.len() - 1] {
            let mut altered = record.clone();
            altered[at] ^= 4;
            files.put("record", altered);
            assert!(
                !script(&["proof", &key, &record_file, &proof_file])
                    .status
                    .success()
            );
            assert!(!muster(&ours).status.success());
        }
        files.put("record", &record);
        for at in (23..proof.len()).step_by(proof.len() / 3) {
            let mut altered = proof.clone();
            altered[at] ^= 1;
            files.put("proof", altered);
            assert!(
                !script(&["proof", &key, &record_file, &proof_file])
                    .status
                    .success(),
                "{at}"
            );
            assert!(!muster(&ours).status.success(), "{at}");
            flipped += 1;
        }
    }
    assert!(flipped > 20);

    let proof = bytes(&server, "/v1/log/proof/consistency?from=600");
    let proof = files.put("consistency", proof);
    done(&script(&["consistency", &key, &kept, &proof]));
    let ours = [
        "log",
        "check-consistency",
        &proof,
        "--since",
        &kept,
        "--key",
        &key,
    ];
    assert!(done(&muster(&ours)).contains("from 600 to 1400"));
    let other = files.put(
        "other",
        bytes(&server, "/v1/log/proof/consistency?from=599"),
    );
    assert!(
        !script(&["consistency", &key, &kept, &other])
            .status
            .success()
    );

    // What any web server could serve, and what this one does.
    for tile in ["0/000", "0/005.p/120", "1/000.p/5"] {
        let answered = bytes(&server, &format!("/v1/log/tile/{tile}"));
        let published = data.join("tiles/tile").join(tile);
        assert_eq!(fs::read(published).unwrap(), answered, "{tile}");
    }
    server.stop();
    done(&script(&[
        "tiles",
        &key,
        data.join("tiles").to_str().unwrap(),
    ]));
}

#[test]
fn bundles_and_keys_are_made_of_a_running_server_and_of_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let (data, files) = (
        directory.path().join("data"),
        Files(directory.path().to_owned()),
    );
    let server = TestServer::start(&data);
    write(&server, "a", 200);
    server.ask("PUT", "/lists/news/subscriptions/a7", "");
    let url = server.url();
    let running = ["--url", &url, "--api-key", KEY];
    let stopped = ["--data-dir", data.to_str().unwrap()];
    let key = current_key(done(&muster(&[&["log", "keys"][..], &running].concat())).as_bytes());

    let bundle = |from: &[&str], filter: &[&str], name: &str| {
        let out = files.path(name);
        let export = ["log", "export-bundle", "--out", &out];
        done(&muster(&[&export[..], from, filter].concat()));
        out
    };
    let of_a7 = bundle(&running, &["--subject", "a7"], "a7");
    let all = bundle(&running, &[], "all");
    server.stop();
    assert_eq!(
        fs::read(bundle(&stopped, &["--subject", "a7"], "again")).unwrap(),
        fs::read(&of_a7).unwrap()
    );
    assert_eq!(
        fs::read(bundle(&stopped, &[], "again")).unwrap(),
        fs::read(&all).unwrap()
    );
    for (bundle, records) in [(&of_a7, 3), (&all, 402)] {
        done(&script(&["bundle", &key, bundle]));
        let checked = done(&muster(&["log", "check-bundle", bundle, "--key", &key]));
        assert_eq!(checked.lines().count(), records, "{checked}");
    }
    // Cut off, or without one of its records, it is refused.
    let text = fs::read_to_string(&of_a7).unwrap();
    let parts: Vec<&str> = text.split("\n\n").collect();
    for left_out in 0..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(left_out);
        let fewer = files.put("fewer", fewer.join("\n\n"));
        assert!(
            !script(&["bundle", &key, &fewer]).status.success(),
            "{left_out}"
        );
        let ours = muster(&["log", "check-bundle", &fewer, "--key", &key]);
        assert!(!ours.status.success(), "{left_out}");
    }

    let new = done(&muster(&[&["log", "rotate-key"][..], &stopped].concat()));
    let keys = files.put(
        "keys",
        done(&muster(&[&["log", "keys"][..], &stopped].concat())),
    );
    let followed = done(&script(&["keys", &key, &keys]));
    assert_eq!(followed.split_whitespace().count(), 2);
    assert!(new.contains(followed.split_whitespace().last().unwrap()));
    let proof = done(&muster(
        &[
            &["log", "prove", "3", "--record", &files.path("record")][..],
            &stopped,
        ]
        .concat(),
    ));
    let (proof, record) = (files.put("proof", proof), files.path("record"));
    let check = [
        "log",
        "check-proof",
        &proof,
        "--record",
        &record,
        "--key",
        &key,
    ];
    assert!(
        !muster(&check).status.success(),
        "the old key did not sign it"
    );
    done(&muster(&[&check[..], &["--keys", &keys]].concat()));
}

#[test]
fn a_log_that_is_not_that_of_its_anchor_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = (directory.path().join("data"), directory.path().join("old"));
    let anchor = directory.path().join("anchor");
    let config = |anchors: &[&Path]| Config {
        log_anchors: anchors.iter().map(|it| it.to_path_buf()).collect(),
        ..Config::default()
    };
    let server = TestServer::start_with(&data, config(&[&anchor]));
    write(&server, "a", 100);
    server.stop();
    copy(&data, &old);
    let server = TestServer::start_with(&data, config(&[&anchor]));
    write(&server, "b", 50);
    server.stop();
    assert!(fs::read_to_string(&anchor).unwrap().contains("\n300\n"));

    let refused = |data: &Path| {
        let config = Config {
            data_dir: data.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            ..config(&[&anchor])
        };
        let runtime = Runtime::new().unwrap();
        let refused = runtime.block_on(Server::start(&config)).err().unwrap();
        format!("{refused:#}")
    };
    let said = refused(&old);
    assert!(
        said.contains("ends at position 200") && said.contains("300 records"),
        "{said}"
    );
    // Nor when it has gone on otherwise meanwhile, as without the anchor it can.
    let server = TestServer::start(&old);
    write(&server, "c", 80);
    server.stop();
    let said = refused(&old);
    assert!(said.contains("first 300 records"), "{said}");
    // One that is not there is a warning only.
    let nowhere = directory.path().join("nowhere/anchor");
    TestServer::start_with(&data, config(&[&anchor, &nowhere])).stop();
}

#[test]
fn tiles_that_are_gone_or_damaged_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = TestServer::start(&data);
    write(&server, "a", 400);
    let before = bytes(&server, "/v1/log/proof/inclusion?position=300");
    server.stop();
    let tile = data.join("tiles/tile/0/001");
    let good = fs::read(&tile).unwrap();
    fs::remove_dir_all(data.join("tiles")).unwrap();
    let server = TestServer::start(&data);
    assert_eq!(
        bytes(&server, "/v1/log/proof/inclusion?position=300"),
        before
    );
    server.stop();
    assert_eq!(fs::read(&tile).unwrap(), good);

    // In so small a log every tile counts for the root that a start looks at.
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&tile, bad).unwrap();
    let verified = muster(&["log", "verify", "--data-dir", data.to_str().unwrap()]);
    assert!(!verified.status.success(), "{verified:?}");
    let server = TestServer::start(&data);
    while fs::read(&tile).unwrap_or_default() != good {
        server.ask("GET", "/healthz", "");
    }
    while !server
        .ask("GET", "/metrics", "")
        .text
        .contains("\nlog_tiles_rebuilt 1\n")
    {}
    server.stop();
    done(&muster(&[
        "log",
        "verify",
        "--data-dir",
        data.to_str().unwrap(),
    ]));
}

#[test]
fn a_tenant_proves_that_its_history_is_complete() {
    let directory = tempfile::tempdir().unwrap();
    let (data, files) = (
        directory.path().join("data"),
        Files(directory.path().to_owned()),
    );
    let server = TestServer::start(&data);
    let ask = |method: &str, path: &str, body: &str| {
        let answer = server.ask(method, path, body);
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer
    };
    for tenant in ["acme", "acme-2", "other"] {
        ask(
            "PUT",
            &format!("/tenants/{tenant}"),
            r#"{"name":"A tenant"}"#,
        );
    }
    for n in 0..20 {
        let tenant = if n % 3 == 0 { "other" } else { "acme" };
        ask("PUT", &format!("/users/u{n}/tenants/{tenant}"), "{}");
    }
    ask("DELETE", "/users/u1/tenants/acme", "");
    let through = ask("GET", "/healthz", "").position();
    let recorded = ask("POST", "/v1/tenants/acme/log/checkpoint", "");
    assert_eq!(recorded.body["through"], through);
    let size = recorded.body["size"].as_u64().unwrap();
    // What comes afterwards is for the next time.
    ask("PUT", "/users/u50/tenants/acme", "{}");
    let url = server.url();
    let running = ["--url", &url, "--api-key", KEY];
    let key = current_key(&bytes(&server, "/v1/log/keys"));
    let export = |from: &[&str], tenant: &str, name: &str| {
        let out = files.path(name);
        let arguments = [&["log", "export-tenant", tenant, "--out", &out][..], from].concat();
        (muster(&arguments), out)
    };
    let (output, bundle) = export(&running, "acme", "bundle");
    done(&output);
    let check = |bundle: &str, tenant: &str| {
        muster(&["log", "check-tenant", tenant, bundle, "--key", &key])
    };
    let shown = done(&check(&bundle, "acme"));
    assert_eq!(shown.lines().count() as u64, size);
    assert_eq!(size, 1 + 13 + 1, "{shown}");
    done(&script(&["tenant", &key, &bundle]));
    assert!(!check(&bundle, "other").status.success());
    assert!(!export(&running, "other", "never").0.status.success());

    // Each record that is kept back is missed, although all that are left are in the log.
    let text = fs::read_to_string(&bundle).unwrap();
    let parts: Vec<&str> = text.split("\n\n").collect();
    let records = parts.len() - 4;
    for kept_back in 0..records {
        let mut fewer = parts.clone();
        fewer.remove(3 + kept_back);
        let end = format!("end {}\n", records - 1);
        *fewer.last_mut().unwrap() = &end;
        let fewer = files.put("fewer", fewer.join("\n\n"));
        done(&script(&["bundle", &key, &fewer]));
        assert!(!check(&fewer, "acme").status.success(), "{kept_back}");
        assert!(!script(&["tenant", &key, &fewer]).status.success());
    }

    // Later there is more, and again it is all.
    let later = ask("POST", "/v1/tenants/acme/log/checkpoint", "");
    assert_eq!(later.body["size"], size + 2);
    assert_eq!(
        server
            .ask("POST", "/v1/tenants/nobody/log/checkpoint", "")
            .status,
        404
    );
    server.stop();
    let (output, bundle) = export(&["--data-dir", data.to_str().unwrap()], "acme", "bundle");
    done(&output);
    assert_eq!(
        done(&check(&bundle, "acme")).lines().count() as u64,
        size + 2
    );
}

#[test]
fn an_erasure_leaves_every_record_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files(directory.path().to_owned());
    let server = TestServer::start(&directory.path().join("data"));
    write(&server, "a", 3);
    let kept = files.put("kept", bytes(&server, "/v1/log/checkpoint"));
    let record = bytes(&server, "/v1/log/records/2");
    let key = current_key(&bytes(&server, "/v1/log/keys"));
    let erased = server.ask("POST", "/v1/users/a0/erase", "");
    assert_eq!(erased.status, 200, "{}", erased.text);

    assert_eq!(bytes(&server, "/v1/log/records/2"), record);
    let path = "/v1/log/proof/inclusion?position=2";
    let (proof, record) = (
        files.put("proof", bytes(&server, path)),
        files.put("record", record),
    );
    done(&script(&["proof", &key, &record, &proof]));
    let path = "/v1/log/proof/consistency?from=6";
    let proof = files.put("proof", bytes(&server, path));
    done(&script(&["consistency", &key, &kept, &proof]));
    server.stop();
}

#[test]
fn what_cannot_be_proven_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::start(directory.path());
    write(&server, "a", 5);
    for (path, status, code) in [
        ("proof/inclusion", 400, "missing_field"),
        ("proof/inclusion?position=0", 400, "invalid_parameter"),
        ("proof/inclusion?position=-1", 400, "invalid_parameter"),
        ("proof/inclusion?position=x", 400, "invalid_parameter"),
        ("proof/inclusion?position=11", 404, "event_not_found"),
        (
            "proof/inclusion?position=18446744073709551615",
            404,
            "event_not_found",
        ),
        (
            "proof/inclusion?position=18446744073709551616",
            400,
            "invalid_parameter",
        ),
        (
            "proof/inclusion?position=5&size=4",
            400,
            "invalid_parameter",
        ),
        (
            "proof/inclusion?position=5&size=0",
            400,
            "invalid_parameter",
        ),
        ("proof/inclusion?position=5&size=11", 404, "size_not_found"),
        ("proof/consistency", 400, "missing_field"),
        ("proof/consistency?from=5&to=4", 400, "invalid_parameter"),
        ("proof/consistency?from=11", 400, "invalid_parameter"),
        ("proof/consistency?from=5&to=11", 404, "size_not_found"),
        ("tile/0/000", 404, "tile_not_found"),
        ("tile/0/000.p/11", 404, "tile_not_found"),
        ("tile/0/../../log-key", 404, "tile_not_found"),
        ("tile/0/..%2f..%2f..%2flog-key", 404, "tile_not_found"),
        ("tile/entries/000", 404, "tile_not_found"),
        ("records/0", 404, "event_not_found"),
        ("records/11", 404, "event_not_found"),
        ("records/x", 400, "invalid_parameter"),
    ] {
        let answer = server.ask("GET", &format!("/v1/log/{path}"), "");
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.body["code"], code, "{path}");
    }
    server.stop();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}
