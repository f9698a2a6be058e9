use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use types::{Clock as _, SystemClock};

use crate::address_check::{AddressRefused, PublicResolver};
use crate::config::{ConfigError, Limits};
use crate::failure::{Failure, Fault};
use crate::provider::Handover;

/// How much of an answer is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long the body of an answer is waited for once its head is there: the head says the most.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// Servers close what is idle; what we close first cannot be closed under a request.
const IDLE_MAX: Duration = Duration::from_secs(30);
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// Which addresses a client connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Whoever runs the server has chosen where it goes.
    Anywhere,
    /// Somebody else has.
    PublicOnly,
}

/// A client that follows no redirect, goes through no proxy, and trusts the authorities that are built in.
pub(crate) fn client(
    provider: &'static str,
    limits: &Limits,
    reach: Reach,
) -> Result<Client, ConfigError> {
    let failed = || ConfigError::Client { provider };
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| failed())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut client = Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(AGENT)
        .connect_timeout(limits.connect_timeout())
        .pool_idle_timeout(IDLE_MAX);
    if reach == Reach::PublicOnly {
        client = client.dns_resolver(Arc::new(PublicResolver));
    }
    client.build().map_err(|_| failed())
}

/// A base URL of the settings, with a path of segments under it.
pub(crate) fn url_under(
    provider: &'static str,
    base_url: &str,
    segments: &[&str],
) -> Result<Url, ConfigError> {
    let invalid = || ConfigError::Invalid {
        provider,
        setting: "base_url",
        expected: "a URL that begins with https:// or http://",
    };
    let mut url = Url::parse(base_url).map_err(|_| invalid())?;
    if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
        return Err(invalid());
    }
    url.path_segments_mut()
        .map_err(|()| invalid())?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

/// What a provider answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// At most so much as we read of one; less if the connection broke.
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Nothing if it is not what this provider would have said.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        let seconds_now = SystemClock.now().0 / 1_000_000_000;
        let seconds = u64::try_from(at.as_second()).ok()?;
        Some(Duration::from_secs(seconds.saturating_sub(seconds_now)))
    }

    /// Another attempt may go better, when the provider says.
    pub(crate) fn again(&self, fault: Fault, code: Option<&str>) -> Failure {
        Failure::Retry {
            after: self.retry_after(),
            fault,
            reason: self.reason(code),
        }
    }

    /// A success that does not say what one of this provider would say: somebody else may have answered.
    pub(crate) fn nonsense(&self) -> Failure {
        let status = self.status;
        Failure::Unknown(format!(
            "it answered {status}, but not what this provider would have answered"
        ))
    }

    pub(crate) fn reason(&self, code: Option<&str>) -> String {
        let status = self.status;
        match code.and_then(crate::failure::code) {
            Some(code) => format!("it answered {status} {code}"),
            None => format!("it answered {status}"),
        }
    }
}

/// Sends a request that hands nothing over, or hands over what `handover` is told of.
pub(crate) async fn ask(
    request: RequestBuilder,
    handover: Option<&Handover>,
) -> Result<Answer, Failure> {
    let mut response = send(request, handover).await?;
    let mut body = Vec::new();
    // What has come by then is what there is.
    let _ = timeout(BODY_TIME_MAX, read(&mut response, &mut body)).await;
    Ok(answer(response, body))
}

/// The same where only the head of the answer matters: nobody waits for the rest of it.
pub(crate) async fn ask_for_status(
    request: RequestBuilder,
    handover: &Handover,
) -> Result<Answer, Failure> {
    let response = send(request, Some(handover)).await?;
    Ok(answer(response, Vec::new()))
}

async fn send(request: RequestBuilder, handover: Option<&Handover>) -> Result<Response, Failure> {
    if let Some(handover) = handover {
        handover.begin();
    }
    let sent = request.send().await;
    sent.map_err(|error| unanswered(&error, handover.is_some()))
}

fn unanswered(error: &reqwest::Error, is_handed_over: bool) -> Failure {
    let mut source = error.source();
    while let Some(error) = source {
        if error.is::<AddressRefused>() {
            return Failure::Refused(AddressRefused.to_string());
        }
        source = error.source();
    }
    if error.is_builder() {
        return Failure::Malformed("no request can be made of it".to_owned());
    }
    if error.is_connect() || !is_handed_over {
        return Failure::unavailable("it could not be connected to");
    }
    Failure::Unknown("it was handed over, and the connection ended without an answer".to_owned())
}

async fn read(response: &mut Response, body: &mut Vec<u8>) {
    while body.len() < ANSWER_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
}

fn answer(mut response: Response, body: Vec<u8>) -> Answer {
    Answer {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body,
    }
}
