//! The edge: who gets in, how often, from where, over what, and what is written about it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use server::Config;

use crate::cli::{binary, done};
use crate::client::{KEY, TestServer};

/// The binary as a server of its own, with what it says.
struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn start(data: &Path, arguments: &[&str], log: &Path) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .env("MUSTER_API_KEY", KEY)
            .env("RUST_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("Muster listens on ").unwrap();
        Self {
            url: url.to_owned(),
            child,
        }
    }

    fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }

    fn muster(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(binary())
            .args(arguments)
            .env("MUSTER_URL", &self.url)
            .env("MUSTER_API_KEY", KEY)
            .output()
            .unwrap()
    }
}

impl Drop for Served {
    /// A test that fails leaves no server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_mins(1)))
        .build();
    config.into()
}

/// Everything that says something about a person or opens something, each with a word of its own; at the
/// finest level of tracing none of them is written to the log.
#[test]
fn what_is_personal_or_secret_is_in_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let served = Served::start(&data, &["--log-format", "json"], &log);
    let (agent, url) = (agent(), served.url.clone());
    let put = |path: &str, body: &Value, key: &str| {
        agent
            .put(format!("{url}{path}"))
            .header("Authorization", format!("Bearer {key}"))
            .header("Idempotency-Key", "marker-idempotency")
            .header("Muster-Actor", "marker-actor")
            .send_json(body)
            .unwrap()
            .status()
            .as_u16()
    };
    let post = |path: &str, body: &Value| -> Value {
        let mut answer = agent
            .post(format!("{url}{path}"))
            .header("Authorization", format!("Bearer {KEY}"))
            .header("Idempotency-Key", format!("marker-idempotency-{path}"))
            .send_json(body)
            .unwrap();
        answer.body_mut().read_json().unwrap()
    };
    let profile = json!({"profile": {"email": "marker-email", "marker-attribute": "marker-value"}});
    assert_eq!(put("/profiles/marker-user", &profile, KEY), 200);
    assert_eq!(
        put(
            "/profiles/marker-user?q=marker-query",
            &json!({"profile": 1}),
            KEY
        ),
        400
    );
    let token = json!({"provider_key": "apn", "device": {"d": "marker-device"}});
    assert_eq!(
        put("/users/marker-user/tokens/marker-token", &token, KEY),
        204
    );
    let list = json!({"preferences": {"categories": {"marker-category": {"status": "OPTED_IN"}}}});
    assert_eq!(
        put("/lists/news/subscriptions/marker-user", &list, KEY),
        204
    );
    assert_eq!(
        put("/profiles/marker-user", &profile, "marker-credential"),
        401
    );
    let key = post("/v1/keys", &json!({"name": "k", "scopes": ["admin"]}));
    let key = key["key"].as_str().unwrap().to_owned();
    assert_eq!(put("/profiles/marker-user", &profile, &key), 200);
    let asked = json!({"scope": "user_id:marker-user read:preferences", "expires_in": "1h"});
    let issued = post("/auth/issue-token", &asked);
    let issued = issued["token"].as_str().unwrap().to_owned();
    assert_eq!(
        put("/users/marker-user/preferences/x", &json!({}), &issued),
        403
    );
    let batch = json!({"users": [{"user_id": "marker-batch", "profile": {"m": "marker-batched"}},
                                 {"user_id": 1}]});
    assert_eq!(post("/v1/users:batch", &batch)["accepted"], 1);
    let mut garbage = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    garbage
        .write_all(b"GET /marker-garbage\x01 HTTP/9\r\n\r\n")
        .unwrap();
    let _ = garbage.read_to_end(&mut Vec::new());
    served.stop();
    let written = fs::read_to_string(&log).unwrap();
    assert!(written.lines().count() > 10, "there is a log at all");
    assert!(written.contains("/profiles/{user_id}"), "it names routes");
    for line in written.lines() {
        serde_json::from_str::<Value>(line).expect("each line is JSON");
        assert!(!line.contains("marker-"), "{line}");
        for secret in [&key[4..20], &issued] {
            assert!(!line.contains(secret), "{line}");
        }
        // Short enough to stand in a word.
        assert!(!line.contains(&format!("\"{KEY}")) && !line.contains(&format!(" {KEY}")));
    }
}

#[test]
fn keys_are_made_listed_replaced_and_revoked_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let served = Served::start(&data, &[], &log);
    let made = done(&served.muster(&[
        "key",
        "create",
        "back end",
        "--scopes",
        "profiles:read,lists:read",
    ]));
    let key = made.trim();
    let can = |key: &str| {
        let request = agent().get(format!("{}/profiles", served.url));
        let request = request.header("Authorization", format!("Bearer {key}"));
        request.call().unwrap().status().as_u16()
    };
    assert_eq!(can(key), 200);
    let listed = done(&served.muster(&["key", "list", "--json"]));
    let listed: Vec<Value> = listed
        .lines()
        .map(|it| serde_json::from_str(it).unwrap())
        .collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["scopes"], json!(["lists:read", "profiles:read"]));
    let id = listed[0]["id"].as_str().unwrap();
    let new = done(&served.muster(&["key", "rotate", id, "--grace", "0s"]));
    assert_eq!((can(key), can(new.trim())), (401, 200));
    let listed = done(&served.muster(&["key", "list"]));
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.contains("revoked") && !listed.contains(new.trim()));
    let wrong = served.muster(&["key", "create", "k", "--scopes", "everything"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("docs/scopes.md"));

    let issue = |key: &str| {
        let request = agent().post(format!("{}/auth/issue-token", served.url));
        let request = request.header("Authorization", format!("Bearer {key}"));
        let asked = json!({"scope": "user_id:ada read:preferences", "expires_in": "1h"});
        let token: Value = request
            .send_json(asked)
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        token["token"].as_str().unwrap().to_owned()
    };
    let token = issue(KEY);
    let running = served.muster(&[
        "key",
        "rotate-token-secret",
        "--data-dir",
        data.to_str().unwrap(),
    ]);
    assert!(!running.status.success(), "not beside a running server");
    served.stop();
    let served = Served::start(&data, &[], &log);
    let own = |token: &str| {
        let request = agent().get(format!("{}/users/ada/preferences", served.url));
        let request = request.header("Authorization", format!("Bearer {token}"));
        request.call().unwrap().status().as_u16()
    };
    assert_eq!(own(&token), 200, "a restart ends no token");
    served.stop();
    let rotate = Command::new(binary())
        .args(["key", "rotate-token-secret", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    done(&rotate);
    let served = Served::start(&data, &[], &log);
    let request = agent().get(format!("{}/users/ada/preferences", served.url));
    let request = request.header("Authorization", format!("Bearer {token}"));
    assert_eq!(request.call().unwrap().status().as_u16(), 401);
    served.stop();
}

#[test]
fn the_settings_of_a_file_are_checked_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("muster.toml");
    let run = |arguments: &[&str], text: &str| {
        fs::write(&file, text).unwrap();
        let output = Command::new(binary())
            .args(arguments)
            .current_dir(directory.path())
            .env_remove("MUSTER_API_KEY")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            said,
        )
    };
    let good = "listen = \"127.0.0.1:0\"\napi_key = \"marker-secret\"\nrequests_max = 9\n";
    assert!(run(&["config", "check"], good).0);
    let (_, shown, said) = run(&["config", "show", "--requests-max", "8"], good);
    assert!(shown.contains("requests_max = 8  # flag"), "{shown}");
    assert!(
        shown.contains("listen = 127.0.0.1:0  # muster.toml"),
        "{shown}"
    );
    assert!(shown.contains("api_key = (hidden)") && !shown.contains("marker-secret"));
    assert!(!said.contains("marker-secret"));
    for (wrong, expected) in [
        ("lisen = \"127.0.0.1:0\"", "is `listen` meant?"),
        ("listen = \"nowhere\"", "an address with a port"),
        (
            "tls_certificate = \"c.pem\"\ntls_key = \"k.pem\"",
            "c.pem cannot be used",
        ),
        ("cors_origins = [\"example.com\"]", "is no origin"),
        ("listen = ", "muster.toml is not as it should be"),
        ("\napi_key = \"marker-of-a-secret", "line 2: "),
    ] {
        for command in [&["config", "check"][..], &["serve"]] {
            let (success, _, said) = run(command, wrong);
            assert!(!success && said.contains(expected), "{said}");
        }
    }
}

#[test]
fn a_credential_that_asks_too_often_is_told_when_to_come_back() {
    let data = tempfile::tempdir().unwrap();
    let config = Config {
        rate_per_second: 1.try_into().ok(),
        rate_burst: 5.try_into().ok(),
        ..Config::default()
    };
    let server = TestServer::start_with(data.path(), config);
    let answers: Vec<_> = (0..8).map(|_| server.ask("GET", "/brands", "")).collect();
    assert!(answers[..5].iter().all(|it| it.status == 200));
    assert!(
        answers[0].head.contains("ratelimit-remaining: 4"),
        "{}",
        answers[0].head
    );
    let refused: Vec<_> = answers.iter().filter(|it| it.status == 429).collect();
    assert!(refused.len() >= 2);
    assert_eq!(refused[0].body["code"], "rate_limited");
    assert!(
        refused[0].head.contains("retry-after: 1"),
        "{}",
        refused[0].head
    );
    assert!(refused[0].head.contains("ratelimit-limit: 5"));
    assert_eq!(server.ask("GET", "/healthz", "").status, 200);
    server.stop();
}

#[test]
fn browsers_are_let_in_from_where_the_operator_says() {
    let data = tempfile::tempdir().unwrap();
    let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n\
                     Access-Control-Request-Headers: authorization\r\n";
    let server = TestServer::start(data.path());
    let answer = server.ask_with("OPTIONS", "/users/ada/tokens/abc", preflight);
    assert!(
        !answer.head.contains("access-control-allow"),
        "{}",
        answer.head
    );
    server.stop();
    let config = Config {
        cors_origins: vec!["https://app.example".to_owned()],
        ..Config::default()
    };
    let server = TestServer::start_with(data.path(), config);
    let answer = server.ask_with("OPTIONS", "/users/ada/tokens/abc", preflight);
    assert_eq!(answer.status, 200);
    for said in [
        "access-control-allow-origin: https://app.example",
        "access-control-allow-methods: put",
        "access-control-allow-headers: authorization",
    ] {
        assert!(answer.head.contains(said), "{}", answer.head);
    }
    let other = preflight.replace("app.example", "evil.example");
    let answer = server.ask_with("OPTIONS", "/users/ada/tokens/abc", &other);
    assert!(!answer.head.contains("evil.example"), "{}", answer.head);
    let headers = format!("Origin: https://app.example\r\nAuthorization: Bearer {KEY}\r\n");
    let answer = server.ask_with("GET", "/users/ada/tokens", &headers);
    assert!(
        answer
            .head
            .contains("access-control-allow-origin: https://app.example")
    );
    for said in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
    ] {
        assert!(answer.head.contains(said), "{}", answer.head);
    }
    server.stop();
}

/// A certificate for this machine, its key, and who vouches for it, each in a file.
fn certificate(directory: &Path) -> [String; 3] {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let vouching = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let files = [
        ("certificate.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
        ("authority.pem", vouching.pem()),
    ];
    files.map(|(name, text)| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

#[test]
fn connections_are_encrypted_where_there_is_a_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key, authority] = certificate(directory.path());
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let arguments = ["--tls-certificate", &*certificate, "--tls-key", &*key];
    let served = Served::start(&data, &arguments, &log);
    assert!(served.url.starts_with("https://127.0.0.1:"));
    let trusted = served.muster(&["key", "list", "--ca-certificate", &authority]);
    assert_eq!(done(&trusted), "");
    let address = served.url.strip_prefix("https://").unwrap();
    let mut plain = TcpStream::connect(address).unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: m\r\n\r\n")
        .unwrap();
    let mut received = Vec::new();
    let _ = plain.read_to_end(&mut received);
    assert!(
        !received.starts_with(b"HTTP"),
        "what is not encrypted is not answered"
    );
    // Whoever connects and says nothing holds up nobody.
    let _silent: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    done(&served.muster(&["key", "list", "--ca-certificate", &authority]));
    served.stop();
}

/// Hundreds of connections that say nothing, or little by little, leave the others at their usual speed.
#[test]
fn idle_and_slow_connections_hold_up_nobody() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let idle: Vec<TcpStream> = (0..400).map(|_| server.connect()).collect();
    let mut slow: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    for (byte, round) in b"PUT /profiles/slow HTTP/1.1\r\nHost: m\r\n"
        .iter()
        .zip(0..)
    {
        for stream in &mut slow {
            stream.write_all(&[*byte]).unwrap();
        }
        let answer = server.ask("PUT", &format!("/profiles/u{round}"), r#"{"profile":{}}"#);
        assert_eq!(answer.status, 200);
    }
    let asked = Instant::now();
    assert_eq!(server.ask("GET", "/profiles/u1", "").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(5));
    drop((idle, slow));
    server.stop();
}

/// Whoever sends slowly takes no room; and that a server is alive is told however busy it is.
#[test]
fn a_slow_body_takes_no_room_and_a_busy_server_says_that_it_lives() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start_with(
        data.path(),
        Config {
            requests_max: 1,
            ..Config::default()
        },
    );
    let mut slow: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut slow {
        let head = format!(
            "PUT /profiles/slow HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Length: 14\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
    }
    assert_eq!(
        server.ask("PUT", "/profiles/u", r#"{"profile":{}}"#).status,
        200
    );
    drop(slow);
    server.stop();

    let server = TestServer::start_with(
        data.path(),
        Config {
            requests_max: 0,
            ..Config::default()
        },
    );
    let busy = server.ask("GET", "/profiles/u", "");
    assert_eq!(busy.status, 503, "{}", busy.text);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.ask("GET", path, "").status, 200, "{path}");
    }
    server.stop();
}

/// A key is looked at when a request comes, and its body can take long: what it writes is looked at again
/// when that is decided.
#[test]
fn a_key_that_is_revoked_while_its_request_arrives_writes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let made = server.ask("POST", "/v1/keys", r#"{"name":"k","scopes":["admin"]}"#);
    let (id, key) = (&made.body["id"], made.body["key"].as_str().unwrap());
    let body = r#"{"name":"another","scopes":["admin"]}"#;
    let begin = |path: &str| {
        let mut stream = server.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut told = [0; 25];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "it was let in");
        stream
    };
    let end = |mut stream: TcpStream| {
        let rest = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        stream.write_all(rest.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let good = end(begin("/v1/keys"));
    assert!(good.starts_with("HTTP/1.1 201"), "{good}");
    let waiting = begin("/v1/keys");
    let revoked = server.ask("DELETE", &format!("/v1/keys/{}", id.as_str().unwrap()), "");
    assert_eq!(revoked.status, 204);
    let refused = end(waiting);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let newest = server.ask("GET", "/v1/events?order=desc&limit=1", "");
    assert_eq!(newest.body["items"][0]["type"], "key.revoked");
    server.stop();
}

/// A client that goes away in the middle of its request is not counted among those that wait for ever.
#[test]
fn a_request_that_is_given_up_is_in_flight_no_more() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let in_flight = || {
        let metrics = server.ask("GET", "/metrics", "").text;
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix("http_requests_in_flight "));
        line.unwrap().to_owned()
    };
    let mut streams: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut streams {
        let head = format!(
            "PUT /profiles/u HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {KEY}\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.read_exact(&mut [0; 25]).unwrap();
    }
    assert_eq!(in_flight(), "6", "five, and the question itself");
    drop(streams);
    let began = Instant::now();
    while in_flight() != "1" {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    server.stop();
}

/// The tokens of a key that stands in the environment end when another one stands there.
#[test]
fn another_key_in_the_environment_ends_the_tokens_of_the_first() {
    let data = tempfile::tempdir().unwrap();
    let issue = |server: &TestServer, key: &str| {
        let request = agent().post(format!("{}/auth/issue-token", server.url()));
        let request = request.header("Authorization", format!("Bearer {key}"));
        let asked = json!({"scope": "user_id:ada read:preferences", "expires_in": "1h"});
        let mut answer = request.send_json(asked).unwrap();
        let answer: Value = answer.body_mut().read_json().unwrap();
        answer["token"].as_str().unwrap().to_owned()
    };
    let own = |server: &TestServer, token: &str| {
        let url = format!("{}/users/ada/preferences", server.url());
        let request = agent()
            .get(url)
            .header("Authorization", format!("Bearer {token}"));
        request.call().unwrap().status().as_u16()
    };
    let with = |key: &str| {
        let config = Config {
            api_key: Some(key.to_owned()),
            ..Config::default()
        };
        TestServer::start_with(data.path(), config)
    };
    let server = with("the first key of the environment");
    let token = issue(&server, "the first key of the environment");
    assert_eq!(own(&server, &token), 200);
    server.stop();
    let server = with("the next key of the environment");
    assert_eq!(own(&server, &token), 401);
    server.stop();
    let server = with("the first key of the environment");
    assert_eq!(own(&server, &token), 200);
    server.stop();
}

/// Two requests where one was meant must never come of one connection's bytes.
#[test]
fn requests_that_can_be_read_in_two_ways_are_read_in_none() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let credential = format!("Authorization: Bearer {KEY}\r\n");
    let inner = format!("DELETE /profiles/victim HTTP/1.1\r\nHost: m\r\n{credential}\r\n");
    server.ask("PUT", "/profiles/victim", r#"{"profile":{"n":1}}"#);
    for headers in [
        "Content-Length: 0\r\nContent-Length: 5\r\n".to_owned(),
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Content-Length: +0\r\n".to_owned(),
        "Content-Length : 0\r\n".to_owned(),
        "X: a\r\n b\r\nContent-Length: 0\r\n".to_owned(),
        "X-Injected: a\rSet-Cookie: b\r\n".to_owned(),
    ] {
        let outer = format!("PUT /profiles/outer HTTP/1.1\r\nHost: m\r\n{credential}{headers}\r\n");
        let answer = server.raw(format!("{outer}{inner}").as_bytes());
        assert!(
            (400..500).contains(&answer.status),
            "{headers:?}: {} {}",
            answer.status,
            answer.text
        );
        let left = server.ask("GET", "/profiles/victim", "");
        assert_eq!(left.status, 200, "{headers:?} smuggled a request in");
    }
    server.stop();
}
