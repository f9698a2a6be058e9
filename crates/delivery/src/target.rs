use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use types::is_public_address;

use crate::options::DeliveryOptions;

/// How much of what a target answers is read, in bytes; nothing in it matters.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// Where a webhook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    secure: bool,
    host: String,
    port: u16,
}

/// Why something cannot be a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("a URL that begins with http:// or https://, names a host, and no user or password")]
    Malformed,
    #[error("a URL of the public internet: this machine and private networks are refused here")]
    Private,
}

impl Target {
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Malformed)?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(TargetError::Malformed),
        };
        let authority = uri.authority().ok_or(TargetError::Malformed)?;
        // A password in a URL would stand in the log.
        if authority.as_str().contains('@') || authority.host().is_empty() || url.contains('#') {
            return Err(TargetError::Malformed);
        }
        let has_port = !authority.as_str().ends_with(authority.host());
        let port = match authority.port_u16() {
            Some(0) => return Err(TargetError::Malformed),
            Some(port) => port,
            None if has_port => return Err(TargetError::Malformed),
            None if secure => 443,
            None => 80,
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            uri,
            secure,
            host,
            port,
        })
    }

    /// Whether it is private by its name alone. What its name leads to is looked at with each connection.
    pub fn check(&self, options: &DeliveryOptions) -> Result<(), TargetError> {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        let is_local = name == "localhost" || name.ends_with(".localhost");
        let is_private = self
            .host
            .parse::<IpAddr>()
            .is_ok_and(|it| !is_public_address(it));
        if (is_local || is_private) && !options.private_targets {
            return Err(TargetError::Private);
        }
        Ok(())
    }
}

/// Why a target was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It is no target any more.
    Malformed,
    /// Its name leads nowhere.
    Unresolved,
    /// Its name leads only to addresses that are refused.
    AddressRefused,
    Connection,
    Tls,
    TimedOut,
    /// It hung up, or did not speak HTTP.
    Cut,
    /// It leads elsewhere, where nobody is followed.
    Redirected(u16),
    Status(u16),
    /// What is to be told cannot be read here.
    Unreadable,
}

impl Failure {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_url",
            Self::Unresolved => "name_not_resolved",
            Self::AddressRefused => "address_refused",
            Self::Connection => "connection_failed",
            Self::Tls => "tls_failed",
            Self::TimedOut => "timed_out",
            Self::Cut => "connection_cut",
            Self::Redirected(_) => "redirected",
            Self::Status(_) => "status",
            Self::Unreadable => "unreadable",
        }
    }

    pub(crate) fn status(self) -> Option<u16> {
        match self {
            Self::Redirected(status) | Self::Status(status) => Some(status),
            Self::Malformed
            | Self::Unresolved
            | Self::AddressRefused
            | Self::Connection
            | Self::Tls
            | Self::TimedOut
            | Self::Cut
            | Self::Unreadable => None,
        }
    }
}

/// Sends to targets: one connection for each request, and no redirect is followed.
#[derive(Clone)]
pub(crate) struct Sender {
    tls: TlsConnector,
    options: DeliveryOptions,
}

impl Sender {
    pub(crate) fn new(options: DeliveryOptions) -> Self {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            tls: TlsConnector::from(Arc::new(config)),
            options,
        }
    }

    /// Posts a JSON body; the status of the answer if that says that it was taken.
    pub(crate) async fn post(
        &self,
        target: &Target,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<u16, Failure> {
        let posted = timeout(
            self.options.time_max,
            self.post_at_once(target, headers, body),
        );
        let status = posted.await.map_err(|_| Failure::TimedOut)??;
        match status {
            200..=299 => Ok(status),
            300..=399 => Err(Failure::Redirected(status)),
            _ => Err(Failure::Status(status)),
        }
    }

    async fn post_at_once(
        &self,
        target: &Target,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<u16, Failure> {
        let request = request(target, headers, body).ok_or(Failure::Malformed)?;
        let stream = self.connect(target).await?;
        if !target.secure {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(target.host.clone()).map_err(|_| Failure::Malformed)?;
        let stream = self.tls.connect(name, stream).await;
        exchange(stream.map_err(|_| Failure::Tls)?, request).await
    }

    /// The address is looked at here, where it is connected to: whatever the name led to before, or will
    /// lead to later, does not matter.
    async fn connect(&self, target: &Target) -> Result<TcpStream, Failure> {
        let found = lookup_host((target.host.as_str(), target.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| Failure::Unresolved)?.collect();
        if found.is_empty() {
            return Err(Failure::Unresolved);
        }
        let allowed = |it: &SocketAddr| self.options.private_targets || is_public_address(it.ip());
        let mut failure = Failure::AddressRefused;
        for address in found.into_iter().filter(allowed) {
            match TcpStream::connect(address).await {
                // An address of this machine that is public is no less this machine.
                Ok(stream) if !self.options.private_targets && is_to_itself(&stream) => {
                    failure = Failure::AddressRefused;
                }
                Ok(stream) => {
                    // What is sent is whole; waiting for more would only delay it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(_) => failure = Failure::Connection,
            }
        }
        Err(failure)
    }
}

fn is_to_itself(stream: &TcpStream) -> bool {
    let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
    ends.is_some_and(|(local, peer)| local.ip() == peer.ip())
}

fn request(
    target: &Target,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Option<Request<Full<Bytes>>> {
    let path = target.uri.path_and_query().map_or("/", |it| it.as_str());
    let authority = target.uri.authority()?.as_str();
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(Bytes::from(body))).ok()
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<u16, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Cut)?;
    // The connection ends with the set, whatever becomes of the exchange.
    let mut connections = JoinSet::new();
    connections.spawn(async move {
        let _ = connection.await;
    });
    let response = sender.send_request(request).await;
    let response = response.map_err(|_| Failure::Cut)?;
    let status = response.status().as_u16();
    read_a_little(response).await;
    Ok(status)
}

/// Lets the target say what it has to say, up to a bound: it has answered already.
async fn read_a_little(response: Response<Incoming>) {
    let mut body = response.into_body();
    let mut bytes = 0;
    while bytes < ANSWER_BYTES_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_http_url_without_credentials() {
        let target = Target::parse("https://example.com/hook?a=1").expect("a target");
        assert_eq!((target.secure, target.port), (true, 443));
        let target = Target::parse("http://[2606:4700::1]:8080").expect("a target");
        assert_eq!((target.host.as_str(), target.port), ("2606:4700::1", 8080));
        for wrong in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com",
            "http://",
            "http:///x",
            "http://user:pass@example.com/",
            "http://user@example.com",
            "https://exa mple.com",
            "http://example.com:0/",
            "http://example.com:99999/",
            "http://example.com/#part",
            "http://example.com:/",
        ] {
            assert_eq!(Target::parse(wrong), Err(TargetError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_target_that_is_private_by_its_name_is_refused_unless_allowed() {
        let strict = DeliveryOptions::default();
        let open = DeliveryOptions {
            private_targets: true,
            ..strict
        };
        for private in [
            "http://127.0.0.1/",
            "http://localhost:9/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://[::1]/",
            "http://169.254.169.254/latest",
            "http://10.0.0.1/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            let target = Target::parse(private).expect("a target");
            assert_eq!(
                target.check(&strict),
                Err(TargetError::Private),
                "{private}"
            );
            assert_eq!(target.check(&open), Ok(()), "{private}");
        }
        let public = Target::parse("https://example.com/").expect("a target");
        assert_eq!(public.check(&strict), Ok(()));
    }

    /// A name that leads to this machine is refused where it is connected to, not where it is written.
    #[tokio::test]
    async fn what_a_name_leads_to_is_looked_at_when_it_is_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        // However an address is written, the operating system makes the same of it.
        for host in ["localhost", "127.1", "2130706433", "0x7f000001"] {
            let target = Target::parse(&format!("http://{host}:{port}/")).expect("a target");
            let sender = Sender::new(DeliveryOptions::default());
            let refused = sender.post(&target, &[], b"{}".to_vec()).await;
            assert_eq!(refused, Err(Failure::AddressRefused), "{host}");
        }
        let accepted = timeout(std::time::Duration::from_millis(100), listener.accept()).await;
        assert!(accepted.is_err(), "nobody came");
    }
}
