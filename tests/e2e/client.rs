use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use server::{Config, Server, Stopped};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "a key";

/// Longer than anything takes that works.
const DEADLINE: Duration = Duration::from_mins(1);

/// The server in this process, stopped in good order by [`TestServer::stop`].
pub(crate) struct TestServer {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<Stopped>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body as it came, and as JSON.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl TestServer {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, Config::default())
    }

    /// With these settings, but for the place; and with a key.
    pub(crate) fn start_with(data: &Path, config: Config) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Config {
            data_dir: data.to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_key: config.api_key.or_else(|| Some(KEY.to_owned())),
            ..config
        };
        let server = runtime.block_on(Server::start(&config)).unwrap();
        let address = server.address();
        let (stop, told) = oneshot::channel();
        let running = runtime.spawn(server.run(async {
            let _ = told.await;
        }));
        Self {
            runtime,
            address,
            stop,
            running,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        let stopped = self.runtime.block_on(self.running).unwrap().unwrap();
        assert!(matches!(stopped, Stopped::Asked), "{stopped:?}");
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.raw(
            format!(
                "{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
                 Authorization: Bearer {KEY}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    }

    /// As [`TestServer::ask`] without a body, with these headers.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.raw(
            format!("{method} {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n{headers}\r\n")
                .as_bytes(),
        )
    }

    /// Asks for the path until the answer holds the text, for what the server does by itself.
    pub(crate) fn ask_until(&self, path: &str, text: &str) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answer = self.ask("GET", path, "");
            if answer.text.contains(text) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {}", answer.text);
            // Asking again at once would take the time from what is waited for, and from other tests.
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Posts the body with an idempotency key.
    pub(crate) fn once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let length = body.len();
        let answer = self.raw(
            format!(
                "POST {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\
                 Authorization: Bearer {KEY}\r\nIdempotency-Key: {key}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        assert!(answer.status < 300, "{path}: {}", answer.text);
        answer
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends exactly these bytes.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // The server may answer, and hang up, before it has read everything.
        let _ = stream.write_all(request);
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        let text = String::from_utf8(received).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let text = body.to_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            text,
            body,
        }
    }
}

impl Answer {
    pub(crate) fn position(&self) -> u64 {
        let header = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix("muster-position: "));
        header
            .expect("every answer has a position")
            .parse()
            .unwrap()
    }
}
