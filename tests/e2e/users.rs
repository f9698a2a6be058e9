//! `muster users`: files as people have them, and what becomes of each row.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::cli::{binary, done};
use crate::client::{KEY, TestServer};

fn users(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("users")
        .args(arguments)
        .args(["--url", &server.url(), "--api-key", KEY])
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(server: &TestServer, arguments: &[&str]) -> Output {
    users(server, arguments).output().unwrap()
}

/// What was rejected: row, line, column, code and path of each.
fn rejected(file: &Path) -> Vec<Value> {
    let path = format!("{}.errors", file.display());
    let lines = fs::read_to_string(path).unwrap();
    let rows = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let told = |row: Value| {
        json!([
            row["row"],
            row["line"],
            row["column"],
            row["code"],
            row["path"]
        ])
    };
    rows.map(told).collect()
}

struct World {
    directory: tempfile::TempDir,
    server: TestServer,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = TestServer::start(&directory.path().join("data"));
        Self { directory, server }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn profile(&self, user_id: &str) -> Value {
        self.server
            .ask("GET", &format!("/profiles/{user_id}"), "")
            .body["profile"]
            .clone()
    }
}

#[test]
fn files_as_people_have_them_are_read() {
    let world = World::new();
    let plain = "user_id,name,n\r\nada,Ada,1\r\nbob,\"Bob\r\nthe \"\"Builder\"\"\",2\r\ncy,,";
    for (name, content) in [
        ("crlf.csv", plain.to_owned()),
        ("bom.csv", format!("\u{feff}{plain}")),
        ("lf.csv", plain.replace("\r\n", "\n")),
        ("blank.csv", format!("{plain}\r\n\r\n")),
    ] {
        let path = world.file(name, content.as_bytes());
        let path = path.to_str().unwrap();
        let outcome = run(
            &world.server,
            &["import", path, "--map", "n=profile.n:number", "--json"],
        );
        let outcome: Value = serde_json::from_str(&done(&outcome)).unwrap();
        assert_eq!(
            (&outcome["accepted"], &outcome["rejected"]),
            (&json!(3), &json!(0)),
            "{name}"
        );
        assert!(!Path::new(&format!("{path}.errors")).exists());
        assert!(!Path::new(&format!("{path}.progress")).exists());
        let broken = if name == "lf.csv" { "\n" } else { "\r\n" };
        assert_eq!(
            world.profile("ada"),
            json!({"name": "Ada", "n": 1}),
            "{name}"
        );
        let bob = json!({"name": format!("Bob{broken}the \"Builder\""), "n": 2});
        assert_eq!(world.profile("bob"), bob, "{name}");
        for user in ["ada", "bob", "cy"] {
            world.server.ask("DELETE", &format!("/v1/users/{user}"), "");
        }
    }
    world.server.stop();
}

#[test]
fn a_row_that_is_not_written_is_told_with_its_place() {
    let world = World::new();
    let csv = b"user_id,n,name\n\
        ada,1,Ada\n\
        bob,2\n\
        cy,3,Cy,more\n\
        dee,four,Dee\n\
        ,5,Nobody\n\
        eve,6,\"E\nve\"\n\
        fay,7,\xff\n\
        gus,8,Gus\n";
    let path = world.file("users.csv", csv);
    let text = path.to_str().unwrap();
    let outcome = run(
        &world.server,
        &["import", text, "--map", "n=profile.n:number"],
    );
    assert!(!outcome.status.success());
    assert_eq!(
        rejected(&path),
        [
            json!([2, 3, "name", null, null]),
            json!([3, 4, null, null, null]),
            json!([4, 5, "n", null, null]),
            json!([5, 6, "user_id", null, null]),
            json!([7, 9, "name", null, null]),
        ]
    );
    for (user, name) in [("ada", "Ada"), ("eve", "E\nve"), ("gus", "Gus")] {
        assert_eq!(world.profile(user)["name"], name);
    }

    let lines = concat!(
        r#"{"user_id": "a", "profile": {"n": 1.50}}"#,
        "\n\n",
        r#"{"user_id": "b", "profile": []}"#,
        "\r\n",
        "{\"user_id\"\n",
        "[]\n",
        r#"{"user_id": "c", "preferences": [{"topic_id": "t", "status": "OPTED_IN"}]}"#,
        "\n",
        r#"{"user_id": "d", "lists": ["news"]}"#,
    );
    let path = world.file("users.jsonl", lines.as_bytes());
    let outcome = run(&world.server, &["import", path.to_str().unwrap()]);
    assert!(!outcome.status.success());
    assert_eq!(
        rejected(&path),
        [
            json!([3, 4, null, null, null]),
            json!([4, 5, null, null, null]),
            json!([2, 3, null, "invalid_field", "/profile"]),
            json!([5, 6, null, "topic_not_found", "/preferences/0"]),
        ]
    );
    assert_eq!(
        world.server.ask("GET", "/profiles/a", "").text,
        r#"{"profile":{"n":1.50}}"#
    );
    assert_eq!(
        world.server.ask("GET", "/lists/news", "").body["subscriber_count"],
        1
    );
    world.server.stop();
}

#[test]
fn what_cannot_be_imported_at_all_is_said() {
    let world = World::new();
    for (name, content, arguments, wrong) in [
        (
            "a.csv",
            "name\nAda\n",
            &[][..],
            "no column holds the user id",
        ),
        ("b.csv", "user_id,a,a\n", &[], "two columns `a`"),
        ("c.csv", "user_id,a\n", &["--map", "b=-"], "no column `b`"),
        ("d.txt", "", &[], "--format"),
        ("e.jsonl", "", &["--map", "a=-"], "are for comma-"),
        ("e2.jsonl", "", &["--delimiter", ";"], "are for comma-"),
        ("q.csv", "user_id\n", &["--delimiter", "\""], "one ASCII"),
        (
            "mac.csv",
            "user_id,n\rada,1\rbob,2\r",
            &[],
            "line 1: a carriage",
        ),
        (
            "cr.csv",
            "user_id,n\nada,one\rtwo\n",
            &[],
            "line 2: a carriage",
        ),
        (
            "open.csv",
            "user_id,n\nada,\"1\nbob,2\n",
            &[],
            "column 2 on line 2",
        ),
        ("f.jsonl", "", &["--resume"], "nothing to resume"),
    ] {
        let path = world.file(name, content.as_bytes());
        let arguments = [&["import", path.to_str().unwrap()], arguments].concat();
        let outcome = run(&world.server, &arguments);
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(
            !outcome.status.success() && said.contains(wrong),
            "{name}: {said}"
        );
    }
    let path = world.file("g.jsonl", b"{\"user_id\": \"a\"}\n");
    let mut strange = Command::new(binary());
    strange.args([
        "users",
        "import",
        path.to_str().unwrap(),
        "--api-key",
        "another",
    ]);
    let outcome = strange
        .args(["--url", &world.server.url()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(!outcome.status.success() && said.contains("401"), "{said}");
    world.server.stop();
}

/// What the server would refuse a whole request for costs only the row at fault.
#[test]
fn a_row_that_spoils_a_request_is_found() {
    let world = World::new();
    let mut rows: Vec<Value> = (0..600)
        .map(|row| json!({"user_id": format!("u{row}"), "profile": {"n": vec![row; 600]}}))
        .collect();
    let deep = (0..99).fold(json!(1), |inner, _| json!([inner]));
    rows[77] = json!({"user_id": "deep", "profile": deep});
    let mut lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    lines[78] = r#"{"user_id": "odd", "profile": {"x": {"$serde_json::private::Number": "12"}}}"#
        .to_owned();
    let path = world.file("rows.jsonl", lines.join("\n").as_bytes());
    let outcome = run(&world.server, &["import", path.to_str().unwrap(), "--json"]);
    assert!(!outcome.status.success());
    let told: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(told["accepted"], 599, "{told}");
    assert_eq!(
        rejected(&path),
        [json!([78, 78, null, "malformed_json", null])]
    );
    let odd = json!({"x": {"$serde_json::private::Number": "12"}});
    let shown = world.server.ask("GET", "/profiles/odd", "").text;
    assert_eq!(shown, json!({"profile": odd}).to_string());
    world.server.stop();
}

/// Whoever is killed in the middle goes on from there.
#[test]
fn an_import_that_was_broken_off_is_resumed() {
    const ROWS: usize = 6_000;
    let world = World::new();
    let row = |row| match row {
        // Rejected on either side of where it is broken off.
        0 | 5_999 => ",1\n".to_owned(),
        _ => format!("user-{row:05},{row}\n"),
    };
    let csv = format!("user_id,n\n{}", (0..ROWS).map(row).collect::<String>());
    let path = world.file("many.csv", csv.as_bytes());
    let text = path.to_str().unwrap();
    let progress = PathBuf::from(format!("{text}.progress"));
    let mut child = users(&world.server, &["import", text, "--batch", "10"])
        .spawn()
        .unwrap();
    while !progress.exists() {
        assert!(child.try_wait().unwrap().is_none(), "nothing to break off");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept: Value = serde_json::from_str(&fs::read_to_string(&progress).unwrap()).unwrap();
    let before = kept["done"]["rows"].as_u64().unwrap();
    assert!(before > 0 && before < ROWS as u64, "{kept}");
    let longer = world.file("other.csv", format!("{csv}x,1\n").as_bytes());
    fs::copy(&progress, format!("{}.progress", longer.display())).unwrap();
    let refused = run(
        &world.server,
        &["import", longer.to_str().unwrap(), "--resume"],
    );
    assert!(!refused.status.success());

    let elsewhere = TestServer::start(&world.directory.path().join("elsewhere"));
    assert!(
        !run(&elsewhere, &["import", text, "--resume"])
            .status
            .success()
    );
    elsewhere.stop();

    // What is done is not done again.
    world.server.ask("DELETE", "/v1/users/user-00001", "");
    let outcome = run(&world.server, &["import", text, "--resume", "--json"]);
    let outcome: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(
        (&outcome["rows"], &outcome["rejected"]),
        (&json!(ROWS), &json!(2))
    );
    let rows: Vec<u64> = rejected(&path)
        .iter()
        .map(|row| row[0].as_u64().unwrap())
        .collect();
    assert_eq!(rows, [1, 6_000]);
    assert!(!progress.exists());
    let found = world.server.ask("GET", "/v1/users?limit=1", "").body;
    assert_eq!(found["count"], ROWS - 3);
    world.server.stop();
}

/// What was exported and is imported elsewhere is exported again byte for byte, in either form.
#[test]
fn an_export_is_imported_as_the_same_users() {
    let world = World::new();
    let ask = |method: &str, path: &str, body: Value| {
        let answer = world.server.ask(method, path, &body.to_string());
        assert!(answer.status < 300, "{path}: {}", answer.text);
    };
    let topic = json!({"id": "news", "name": "News", "default_status": "OPTED_IN"});
    ask(
        "POST",
        "/preferences/sections",
        json!({"id": "s", "name": "S"}),
    );
    ask("POST", "/preferences/sections/s/topics", topic.clone());
    ask(
        "PUT",
        "/profiles/a%2Cb",
        json!({"profile": {"text": "a \"b\", c\nd", "n": 1.50, "deep": {"x": []}}}),
    );
    ask("PUT", "/lists/l;1/subscriptions/ada", json!({}));
    ask(
        "PUT",
        "/lists/l/subscriptions/ada",
        json!({"preferences": {"categories": {"c": {"status": "OPTED_IN"}}}}),
    );
    ask("PUT", "/lists/l/subscriptions/bob", json!({}));
    ask("PUT", "/lists/m/subscriptions/bob", json!({}));
    ask(
        "PUT",
        "/users/ada/tenants/t",
        json!({"profile": {"role": "admin"}}),
    );
    ask("PUT", "/users/bob/tenants/t", json!({}));
    ask(
        "PUT",
        "/users/ada/preferences/news",
        json!({"topic": {"status": "OPTED_OUT", "custom_routing": ["sms"]}}),
    );
    ask(
        "PUT",
        "/users/ada/tokens/x",
        json!({"provider_key": "apn", "device": {"platform": "ios"}}),
    );
    ask(
        "PUT",
        "/v1/users/ada/quiet-hours",
        json!({"time_zone": "UTC", "from": "22:00", "to": "07:00"}),
    );
    let path = |name: &str| {
        world
            .directory
            .path()
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    for format in ["jsonl", "csv"] {
        let first = path(&format!("first.{format}"));
        done(&run(&world.server, &["export", &first]));
        let other = TestServer::start(&world.directory.path().join(format));
        other.ask(
            "POST",
            "/preferences/sections",
            &json!({"id": "s", "name": "S"}).to_string(),
        );
        other.ask("POST", "/preferences/sections/s/topics", &topic.to_string());
        done(&run(&other, &["import", &first]));
        let second = path(&format!("second.{format}"));
        done(&run(&other, &["export", &second]));
        let [first, second] = [first, second].map(|path| fs::read_to_string(path).unwrap());
        assert_eq!(first, second);
        assert!(first.lines().count() >= 3);
        other.stop();
    }
    let some = run(
        &world.server,
        &[
            "export",
            "--format",
            "csv",
            "--columns",
            "user_id,profile.n,lists",
        ],
    );
    assert_eq!(
        done(&some),
        "user_id,profile.n,lists\n\"a,b\",1.5,\nada,,\"[{\"\"list_id\"\":\"\"l\"\",\"\"preferences\"\":{\"\"categories\"\":{\"\"c\"\":{\"\"status\"\":\"\"OPTED_IN\"\"}}}},{\"\"list_id\"\":\"\"l;1\"\"}]\"\nbob,,l;m\n"
    );
    world.server.stop();
}
