use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tokio::time::Instant;

use crate::config::{ConfigError, SmtpConfig, SmtpTls};
use crate::failure::Failure;
use crate::smtp::NAME;
use crate::smtp::reply::{Phase, failure};

/// Servers close what is idle, mostly after minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Connections to the server: opened when there is none at hand, and used again. There are never more than
/// attempts at once.
pub(super) struct Connections {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    connect_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

enum Encryption {
    FromTheStart(TlsParameters),
    Required(TlsParameters),
    Opportunistic(TlsParameters),
    None,
}

impl Connections {
    pub(super) fn new(config: &SmtpConfig) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::Invalid {
            provider: NAME,
            setting: "url",
            expected: "smtp:// or smtps://, with a host",
        };
        let url = Url::parse(config.url.reveal()).map_err(|_| invalid())?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host
            .ok_or_else(invalid)?
            .trim_matches(['[', ']'])
            .to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err(invalid());
        }
        let authority = config.ca_file.as_ref().map(read_authority).transpose()?;
        let tls = || {
            let tls = TlsParameters::builder(host.clone());
            let tls = authority
                .iter()
                .cloned()
                .fold(tls, TlsParametersBuilder::add_root_certificate);
            tls.build_rustls().map_err(|_| invalid())
        };
        let (encryption, default_port) = match (url.scheme(), config.tls) {
            ("smtps", _) => (Encryption::FromTheStart(tls()?), 465),
            ("smtp", SmtpTls::Required) => (Encryption::Required(tls()?), 587),
            ("smtp", SmtpTls::Opportunistic) => (Encryption::Opportunistic(tls()?), 25),
            ("smtp", SmtpTls::None) => (Encryption::None, 25),
            (_, _) => return Err(invalid()),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = url.password().unwrap_or_default();
        let credentials = (!url.username().is_empty())
            .then(|| Credentials::new(decoded(url.username()), decoded(password)));
        Ok(Self {
            port: url.port().unwrap_or(default_port),
            host,
            encryption,
            credentials,
            connect_timeout: config.limits.connect_timeout(),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// The one that was used last, for it is the least likely to have been closed.
    pub(super) fn take_idle(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock();
        idle.retain(|it| it.since.elapsed() < IDLE_MAX);
        idle.pop().map(|it| it.connection)
    }

    pub(super) fn give_back(&self, connection: AsyncSmtpConnection) {
        self.idle.lock().push(Idle {
            connection,
            since: Instant::now(),
        });
    }

    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let opened = self.open().await;
        opened.map_err(|error| failure(Phase::Connection, &error))?
    }

    async fn open(
        &self,
    ) -> Result<Result<AsyncSmtpConnection, Failure>, lettre::transport::smtp::Error> {
        let hello = ClientId::default();
        let from_the_start = match &self.encryption {
            Encryption::FromTheStart(tls) => Some(tls.clone()),
            Encryption::Required(_) | Encryption::Opportunistic(_) | Encryption::None => None,
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            Some(self.connect_timeout),
            &hello,
            from_the_start,
            None,
        )
        .await?;
        match &self.encryption {
            Encryption::Required(tls) => connection.starttls(tls.clone(), &hello).await?,
            Encryption::Opportunistic(tls) if connection.can_starttls() => {
                connection.starttls(tls.clone(), &hello).await?;
            }
            Encryption::Opportunistic(_) if self.credentials.is_some() => {
                let reason = "the server offers no encryption, and is not told a password without";
                return Ok(Err(Failure::unavailable(reason)));
            }
            Encryption::FromTheStart(_) | Encryption::Opportunistic(_) | Encryption::None => {}
        }
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            connection.auth(&mechanisms, credentials).await?;
        }
        Ok(Ok(connection))
    }
}

fn read_authority(file: &PathBuf) -> Result<Certificate, ConfigError> {
    let setting = "ca_file";
    let pem = std::fs::read(file).map_err(|source| ConfigError::Unreadable {
        provider: NAME,
        setting,
        source,
    })?;
    Certificate::from_pem(&pem).map_err(|_| ConfigError::Invalid {
        provider: NAME,
        setting,
        expected: "a file of certificates in PEM",
    })
}
