use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::client::{KEY, TestServer};

#[test]
fn a_stop_does_not_wait_for_clients_that_never_finish() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let mut half_a_body = server.connect();
    let head = format!(
        "PUT /profiles/late HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 25\r\n\r\n{{\"profile\":"
    );
    half_a_body.write_all(head.as_bytes()).unwrap();
    let mut half_a_head = server.connect();
    half_a_head.write_all(b"GET /healthz HTT").unwrap();
    assert_eq!(server.ask("GET", "/healthz", "").status, 200);
    let asked = Instant::now();
    server.stop();
    assert!(
        asked.elapsed() < Duration::from_secs(9),
        "supervisors kill after ten"
    );
}

/// A body that no handler reads must not become the beginning of the next request.
#[test]
fn a_connection_goes_on_after_a_body_that_nobody_wanted() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let mut stream = server.connect();
    for _ in 0..3 {
        let request = format!(
            "DELETE /profiles/nobody HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Length: 2\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(b"{}").unwrap();
        let mut received = [0; 1024];
        let count = stream.read(&mut received).unwrap();
        let answer = String::from_utf8_lossy(&received[..count]).to_ascii_lowercase();
        assert!(
            answer.starts_with("http/1.1 204") && !answer.contains("connection: close"),
            "{answer}"
        );
    }
    let large = format!(
        "DELETE /profiles/nobody HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Length: 100000\r\n\r\n"
    );
    let answer = server.raw(large.as_bytes());
    assert_eq!(answer.status, 204);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    server.stop();
}

#[test]
fn a_page_ends_before_it_becomes_too_large() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start(data.path());
    let text = "x".repeat(200 * 1024);
    for n in 0..40 {
        let body = format!(r#"{{"profile":{{"text":"{text}"}}}}"#);
        assert_eq!(
            server
                .ask("PUT", &format!("/profiles/u{n:02}"), &body)
                .status,
            200
        );
    }
    let (mut path, mut seen) = ("/profiles?limit=1000".to_owned(), 0);
    loop {
        let page = server.ask("GET", &path, "");
        assert!(page.text.len() < 6 * 1024 * 1024);
        seen += page.body["items"].as_array().unwrap().len();
        assert_eq!(page.body["count"], 40);
        let Some(cursor) = page.body["paging"]["cursor"].as_str() else {
            break;
        };
        path = format!("/profiles?limit=1000&cursor={cursor}");
    }
    assert_eq!(seen, 40);
    server.stop();
}
