use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How often a request is sent that does not get through. One that got through after all may arrive
/// twice, which only has the expiry of tokens that do not say theirs begin a moment later.
const ATTEMPTS_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// After so long nobody is asked again: whoever does not answer is asked twice.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest answer that is taken, in bytes: a page ends far earlier.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Which server to ask.
#[derive(Debug, Args)]
pub(super) struct Address {
    /// The server, over plain HTTP.
    #[arg(long, env = "MUSTER_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key that may read and write users.
    #[arg(long, env = "MUSTER_API_KEY", hide_env_values = true)]
    api_key: String,
}

/// A running server.
pub(super) struct Server {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

/// An answer that says that asking again would not help.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) problem: Problem,
}

/// What the server says is wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) code: Option<String>,
    pub(super) path: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server answered with {}: {}",
            self.status, self.problem.message
        )
    }
}

impl std::error::Error for Refused {}

impl Server {
    pub(super) fn at(address: &Address) -> anyhow::Result<Self> {
        if !address.url.starts_with("http://") {
            bail!("the URL must begin with http://");
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIME_MAX))
            .build();
        Ok(Self {
            agent: config.into(),
            url: address.url.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", address.api_key),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(path, None)
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> anyhow::Result<T> {
        self.ask(path, Some(body))
    }

    /// Asks until there is an answer that is not only a matter of time.
    fn ask<T: DeserializeOwned>(&self, path: &str, body: Option<&str>) -> anyhow::Result<T> {
        let mut pause = FIRST_PAUSE;
        let started = Instant::now();
        for attempt in 1..=ATTEMPTS_MAX {
            let again = match self.ask_once(path, body) {
                Ok((200, text)) => {
                    return serde_json::from_str(&text)
                        .with_context(|| format!("the answer of {path} is not as expected"));
                }
                Ok((429 | 503, _)) => anyhow!("the server is busy"),
                Ok((status, text)) => {
                    let problem = serde_json::from_str(&text).unwrap_or(Problem {
                        message: text,
                        code: None,
                        path: None,
                    });
                    return Err(Refused { status, problem }.into());
                }
                Err(error) => error,
            };
            if attempt == ATTEMPTS_MAX || started.elapsed() >= PATIENCE {
                return Err(again.context(format!("{} cannot be asked for {path}", self.url)));
            }
            thread::sleep(pause);
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    fn ask_once(&self, path: &str, body: Option<&str>) -> anyhow::Result<(u16, String)> {
        let url = format!("{}{path}", self.url);
        let mut response = match body {
            Some(body) => self
                .agent
                .post(&url)
                .header("Authorization", &self.authorization)
                .header("Content-Type", "application/json")
                .send(body)?,
            None => self
                .agent
                .get(&url)
                .header("Authorization", &self.authorization)
                .call()?,
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        Ok((status, body.read_to_string()?))
    }
}
