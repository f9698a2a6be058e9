use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What somebody asked of the server.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.expect("the header").to_str().expect("text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// What the server says to it.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

pub(crate) fn reply(status: u16, body: impl std::fmt::Display) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

impl Reply {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

type Answering = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// An HTTP server on loopback that remembers what it was asked.
#[derive(Clone)]
pub(crate) struct HttpServer {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    answering: Arc<Answering>,
}

impl HttpServer {
    /// `answering` is given what was asked, and how often anything was before.
    pub(crate) async fn start<F>(answering: F) -> Self
    where
        F: Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = Self {
            url: format!("http://{address}"),
            asked: Arc::default(),
            answering: Arc::new(answering),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn answer(State(server): State<HttpServer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
    };
    let before = {
        let mut all = server.asked.lock().expect("no panic");
        all.push(asked.clone());
        all.len() - 1
    };
    let reply = (server.answering)(&asked, before);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).expect("a response")
}

/// How a server that is no HTTP server treats whoever connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unfriendly {
    /// Takes everything and says nothing.
    Hangs,
    /// Takes the request and closes.
    HangsUp,
    /// Says something that is no HTTP.
    Babbles,
    /// Promises a body and never sends all of it.
    Dawdles,
    /// Sends a body without end.
    Floods,
}

/// The URL of such a server.
pub(crate) async fn unfriendly(manner: Unfriendly) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 16 * 1024];
                let _ = stream.read(&mut request).await;
                let written = match manner {
                    Unfriendly::Hangs => Ok(()),
                    Unfriendly::HangsUp => return,
                    Unfriendly::Babbles => stream.write_all(b"220 good day\r\n\r\n").await,
                    Unfriendly::Dawdles => {
                        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
                        stream.write_all(head).await
                    }
                    Unfriendly::Floods => {
                        let head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                        let mut written = stream.write_all(head).await;
                        while written.is_ok() {
                            written = stream.write_all(&[b' '; 8 * 1024]).await;
                        }
                        written
                    }
                };
                if written.is_ok() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    format!("http://{address}")
}

/// The URL of a port on which nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("http://{address}")
}
