//! A target of webhooks: a real server on a real socket, which behaves as it is told to.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Answers with this status.
    Answer(u16),
    /// Reads it and answers nothing.
    Hang,
    /// Hangs up.
    Cut,
    /// Sends whoever asks to the same place again.
    Redirect,
    /// Answers with 200 and a body that does not end.
    Flood,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    pub(crate) reaction: Reaction,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn was_taken(&self) -> bool {
        matches!(self.reaction, Reaction::Answer(200..=299) | Reaction::Flood)
    }
}

type React = dyn Fn(&Value) -> Reaction + Send + Sync;

pub(crate) struct WebhookTarget {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    react: Mutex<Arc<React>>,
}

impl WebhookTarget {
    pub(crate) fn start(react: impl Fn(&Value) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?of=us", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Condvar::new(),
            react: Mutex::new(Arc::new(react)),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { url, shared }
    }

    /// From now on it behaves so.
    pub(crate) fn react(&self, react: impl Fn(&Value) -> Reaction + Send + Sync + 'static) {
        *self.shared.react.lock().unwrap() = Arc::new(react);
    }

    /// What was received, once that is enough.
    #[track_caller]
    pub(crate) fn wait_until(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let began = Instant::now();
        let mut received = self.shared.received.lock().unwrap();
        while !enough(&received) {
            let left = DEADLINE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "{} came: {received:?}", received.len());
            received = self.shared.arrived.wait_timeout(received, left).unwrap().0;
        }
        received.clone()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut line, mut headers) = (String::new(), HashMap::new());
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("POST /hook?of=us HTTP/1.1"), "{line}");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let react = Arc::clone(&self.react.lock().unwrap());
        let reaction = react(&serde_json::from_str(&body).unwrap());
        // Whoever is told may forget it at once: what counts is that it was taken.
        self.received.lock().unwrap().push(Received {
            headers,
            body,
            reaction,
        });
        self.arrived.notify_all();
        let mut stream = reader.into_inner();
        let close = "Connection: close\r\nContent-Length: 2\r\n\r\n{}";
        let _ = match reaction {
            Reaction::Answer(status) => {
                stream.write_all(format!("HTTP/1.1 {status} Whatever\r\n{close}").as_bytes())
            }
            Reaction::Redirect => {
                let head = "HTTP/1.1 307 Elsewhere\r\nLocation: /hook?of=us\r\n";
                stream.write_all(format!("{head}{close}").as_bytes())
            }
            Reaction::Cut => Ok(()),
            Reaction::Hang => stream.read(&mut [0]).map(|_| ()),
            Reaction::Flood => flood(&mut stream),
        };
    }
}

fn flood(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    loop {
        stream.write_all(&[b'x'; 4 * 1024])?;
    }
}
