use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::providers::Providers;
use crate::secret::Secret;

/// How many attempts are under way at once with one provider, unless its limits say otherwise.
pub(crate) const CONCURRENCY: usize = 32;
/// With SMTP every attempt has a connection of its own.
pub(crate) const SMTP_CONCURRENCY: usize = 16;

/// Which providers there are, and how they are reached. A channel without one is written to the log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProvidersConfig {
    pub smtp: Option<SmtpConfig>,
    pub fcm: Option<FcmConfig>,
    pub apns: Option<ApnsConfig>,
    pub expo: Option<ExpoConfig>,
    pub twilio: Option<TwilioConfig>,
    pub webhook: Option<WebhookConfig>,
}

impl ProvidersConfig {
    /// Whether providers could be made of it: what is wrong should be told at the start.
    pub fn check(&self) -> Result<(), ConfigError> {
        Providers::new(self).map(drop)
    }
}

/// A server that takes e-mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// `smtp://host:port` or `smtps://host:port`, with user and password where the server wants them.
    pub url: Secret,
    /// What is asked of a server behind `smtp://`; `smtps://` is encrypted from the start.
    #[serde(default)]
    pub tls: SmtpTls,
    /// Certificates in PEM of authorities that vouch for the server, beside those that are built in.
    pub ca_file: Option<PathBuf>,
    /// Who e-mails are from: an address, or a name and an address.
    pub from: String,
    pub reply_to: Option<String>,
    #[serde(default)]
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// Nothing is sent to a server that does not offer STARTTLS.
    #[default]
    Required,
    /// STARTTLS where it is offered. Whoever sits between can take the offer away.
    Opportunistic,
    None,
}

/// Firebase Cloud Messaging, HTTP v1.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcmConfig {
    /// The key file of a service account, as Google gives it out.
    pub service_account_file: Option<PathBuf>,
    /// What would be in that file.
    pub service_account: Option<Secret>,
    /// The project, if it is not that of the service account.
    pub project_id: Option<String>,
    #[serde(default = "fcm_base_url")]
    pub base_url: String,
    /// Where tokens are asked for, if not where the service account says.
    pub token_url: Option<String>,
    #[serde(default)]
    pub limits: Limits,
}

/// Apple Push Notification service, with a provider token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsConfig {
    /// The key file (`.p8`), as Apple gives it out.
    pub key_file: Option<PathBuf>,
    /// What would be in that file.
    pub key: Option<Secret>,
    pub key_id: String,
    pub team_id: String,
    /// The bundle id of the app.
    pub topic: String,
    #[serde(default = "apns_base_url")]
    pub base_url: String,
    #[serde(default)]
    pub limits: Limits,
}

/// Expo's push service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpoConfig {
    pub access_token: Option<Secret>,
    #[serde(default = "expo_base_url")]
    pub base_url: String,
    #[serde(default)]
    pub limits: Limits,
}

/// Twilio's text messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwilioConfig {
    pub account_sid: String,
    pub auth_token: Secret,
    /// The number or name that messages are from; this or the messaging service has to be given.
    pub from: Option<String>,
    pub messaging_service_sid: Option<String>,
    #[serde(default = "twilio_base_url")]
    pub base_url: String,
    #[serde(default)]
    pub limits: Limits,
}

/// Webhooks to people's own URLs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Signs what is sent; nothing is signed without it.
    pub secret: Option<Secret>,
    /// Whether this machine and private networks may be asked.
    pub allow_private: bool,
    pub limits: Limits,
}

/// How a provider is treated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Attempts at once; 32, and 16 with SMTP.
    pub concurrency: Option<usize>,
    /// How long one attempt may take. Half of it may go into connecting.
    pub timeout_ms: u64,
    pub attempts_max: u32,
    pub backoff_first_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: None,
            timeout_ms: 15_000,
            attempts_max: 5,
            backoff_first_ms: 500,
            backoff_max_ms: 60_000,
        }
    }
}

impl Limits {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Whoever is not connected by then has been handed nothing, and another attempt is safe.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.timeout() / 2
    }

    pub(crate) fn backoff_first(&self) -> Duration {
        Duration::from_millis(self.backoff_first_ms)
    }

    pub(crate) fn backoff_max(&self) -> Duration {
        Duration::from_millis(self.backoff_max_ms)
    }

    pub(crate) fn check(&self, provider: &'static str) -> Result<(), ConfigError> {
        let wrong = |setting, expected| ConfigError::Invalid {
            provider,
            setting,
            expected,
        };
        if !matches!(self.concurrency, None | Some(1..=10_000)) {
            return Err(wrong("limits.concurrency", "from 1 to 10000"));
        }
        if !matches!(self.timeout_ms, 10..=600_000) {
            return Err(wrong("limits.timeout_ms", "from 10 to 600000"));
        }
        if !matches!(self.attempts_max, 1..=100) {
            return Err(wrong("limits.attempts_max", "from 1 to 100"));
        }
        if self.backoff_max_ms > 3_600_000 || self.backoff_first_ms > self.backoff_max_ms {
            let expected = "no less than backoff_first_ms, and at most 3600000";
            return Err(wrong("limits.backoff_max_ms", expected));
        }
        Ok(())
    }
}

/// Why no providers can be made of the settings. Says nothing of what they are: some are secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{provider}.{setting} has to be {expected}")]
    Invalid {
        provider: &'static str,
        setting: &'static str,
        expected: &'static str,
    },
    #[error("the file of {provider}.{setting} cannot be read")]
    Unreadable {
        provider: &'static str,
        setting: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the client of {provider} cannot be made")]
    Client { provider: &'static str },
}

/// What is given as a file or as itself, and as only one of them.
pub(crate) fn file_or_text(
    provider: &'static str,
    (file_setting, file): (&'static str, Option<&PathBuf>),
    text: Option<&Secret>,
) -> Result<Secret, ConfigError> {
    match (file, text) {
        (Some(file), None) => {
            let read = std::fs::read_to_string(file);
            let text = read.map_err(|source| ConfigError::Unreadable {
                provider,
                setting: file_setting,
                source,
            })?;
            Ok(Secret::new(text))
        }
        (None, Some(text)) => Ok(text.clone()),
        (Some(_), Some(_)) | (None, None) => Err(ConfigError::Invalid {
            provider,
            setting: file_setting,
            expected: "given, or the same as text, but not both",
        }),
    }
}

fn fcm_base_url() -> String {
    "https://fcm.googleapis.com".to_owned()
}

fn apns_base_url() -> String {
    "https://api.push.apple.com".to_owned()
}

fn expo_base_url() -> String {
    "https://exp.host".to_owned()
}

fn twilio_base_url() -> String {
    "https://api.twilio.com".to_owned()
}
