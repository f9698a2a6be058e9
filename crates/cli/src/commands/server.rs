use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How often a request is sent that does not get through. One that got through after all may arrive
/// twice, which only has the expiry of tokens that do not say theirs begin a moment later.
const ATTEMPTS_MAX: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// After so long nobody is asked again: whoever does not answer is asked twice.
const AUTHORIZATION: &str = "Authorization";
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest answer that is taken, in bytes: a page ends far earlier.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Which server to ask.
#[derive(Debug, Args)]
pub(crate) struct Address {
    /// The server.
    #[arg(long, env = "MUSTER_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A key that may do what is asked.
    #[arg(long, env = "MUSTER_API_KEY", hide_env_values = true)]
    api_key: String,
    /// Who vouches for the server, as PEM, where it is nobody whom everybody knows.
    #[arg(long, env = "MUSTER_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

impl Address {
    pub(crate) fn of(url: String, api_key: String, ca_certificate: Option<PathBuf>) -> Self {
        Self {
            url,
            api_key,
            ca_certificate,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    agent: ureq::Agent,
    url: String,
    authorization: String,
}

/// An answer that says that asking again would not help.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) problem: Problem,
}

/// What the server says is wrong.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) path: Option<String>,
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
    pub(crate) fn at(address: &Address) -> anyhow::Result<Self> {
        let schemes = ["http://", "https://"];
        if !schemes.iter().any(|it| address.url.starts_with(it)) {
            bail!("the URL must begin with http:// or https://");
        }
        let mut tls = TlsConfig::builder();
        if let Some(path) = &address.ca_certificate {
            let cannot = || format!("{} cannot be used", path.display());
            let pem = fs::read(path).with_context(cannot)?;
            let known = Certificate::from_pem(&pem).with_context(cannot)?;
            tls = tls.root_certs(RootCerts::new_with_certs(&[known]));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_TIME_MAX))
            .tls_config(tls.build())
            .build();
        Ok(Self {
            agent: config.into(),
            url: address.url.trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", address.api_key),
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What is no JSON.
    pub(crate) fn get_bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let (status, bytes) = self.ask_patiently(path, Asking::Get)?;
        if status == 200 {
            return Ok(bytes);
        }
        answer::<Nothing>(path, status, &text(bytes)?)?;
        bail!("the answer of {path} is not as expected")
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(path, Asking::Get)
    }

    /// An answer that is read as it comes, however long it takes as long as something comes.
    pub(crate) fn stream(&self, path: &str) -> anyhow::Result<impl Read + use<>> {
        let url = format!("{}{path}", self.url);
        let asked = self
            .agent
            .get(&url)
            .config()
            .timeout_global(None)
            .timeout_recv_response(Some(ANSWER_TIME_MAX))
            .build();
        let mut response = asked
            .header(AUTHORIZATION, &self.authorization)
            .call()
            .with_context(|| format!("{} cannot be asked for {path}", self.url))?;
        let status = response.status().as_u16();
        if status != 200 {
            let text = response.body_mut().read_to_string()?;
            return Err(refused(status, &text).into());
        }
        Ok(response.into_body().into_reader())
    }

    /// For what has no answer.
    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.ask::<Nothing>(path, Asking::Delete).map(|_| ())
    }

    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &str) -> anyhow::Result<T> {
        self.ask(path, Asking::Post(body))
    }

    /// As [`Server::post`] for what is not to be done twice: what may have got through is not sent again.
    pub(crate) fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &str,
    ) -> anyhow::Result<T> {
        let (status, bytes) = self.ask_once(path, Asking::Post(body)).with_context(|| {
            format!(
                "{} cannot be asked for {path}, or did not answer: whether it is done is not known",
                self.url
            )
        })?;
        answer(path, status, &text(bytes)?)
    }

    fn ask<T: DeserializeOwned>(&self, path: &str, asking: Asking<'_>) -> anyhow::Result<T> {
        let (status, bytes) = self.ask_patiently(path, asking)?;
        answer(path, status, &text(bytes)?)
    }

    /// Asks until there is an answer that is not only a matter of time.
    fn ask_patiently(&self, path: &str, asking: Asking<'_>) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut pause = FIRST_PAUSE;
        let started = Instant::now();
        for attempt in 1..=ATTEMPTS_MAX {
            let again = match self.ask_once(path, asking) {
                Ok((429 | 503, _)) => anyhow!("the server is busy"),
                Ok(answered) => return Ok(answered),
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

    fn ask_once(&self, path: &str, asking: Asking<'_>) -> anyhow::Result<(u16, Vec<u8>)> {
        let url = format!("{}{path}", self.url);
        let agent = &self.agent;
        let mut response = match asking {
            Asking::Post(body) => agent
                .post(&url)
                .header(AUTHORIZATION, &self.authorization)
                .header("Content-Type", "application/json")
                .send(body)?,
            Asking::Get => agent
                .get(&url)
                .header(AUTHORIZATION, &self.authorization)
                .call()?,
            Asking::Delete => agent
                .delete(&url)
                .header(AUTHORIZATION, &self.authorization)
                .call()?,
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        Ok((status, body.read_to_vec()?))
    }
}

fn text(bytes: Vec<u8>) -> anyhow::Result<String> {
    String::from_utf8(bytes).context("the answer is not UTF-8")
}

fn answer<T: DeserializeOwned>(path: &str, status: u16, text: &str) -> anyhow::Result<T> {
    let text = match status {
        204 => "null",
        200 | 201 => text,
        _ => {
            return Err(refused(status, text).into());
        }
    };
    serde_json::from_str(text).with_context(|| format!("the answer of {path} is not as expected"))
}

fn refused(status: u16, text: &str) -> Refused {
    let problem = serde_json::from_str(text).unwrap_or_else(|_| Problem {
        message: text.to_owned(),
        code: None,
        path: None,
    });
    Refused { status, problem }
}

/// A value as it stands in a path or a query.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// Where a page ends.
#[derive(Deserialize)]
pub(crate) struct Paging {
    pub(crate) cursor: Option<String>,
}

/// What is asked, and with which body.
#[derive(Clone, Copy)]
enum Asking<'a> {
    Get,
    Post(&'a str),
    Delete,
}

/// An answer without a body.
#[derive(Deserialize)]
struct Nothing;
