//! Those who carry a message to a person: one trait, and one implementation for each kind.
//!
//! Knows the network and what is to be said; knows nothing of who is to be told, of preferences or of the
//! log. What comes of it is told to whoever asked, and recorded there.
//!
//! Around every provider stands a carrier, which is the same for all: so many
//! attempts at once, a time-out for each, retries with back-off, and a circuit breaker. Whatever was handed
//! over without an answer is not sent a second time, unless the other side can tell that it is the same.

mod address_check;
mod apns;
mod bearer;
mod breaker;
mod carrier;
mod config;
mod expo;
mod failure;
mod fcm;
mod http;
mod jwt;
mod log;
mod outcome;
mod outgoing;
mod overrides;
mod provider;
mod providers;
mod push;
mod retry;
mod secret;
mod smtp;
mod status;
mod twilio;
mod webhook;

pub use config::{
    ApnsConfig, ConfigError, ExpoConfig, FcmConfig, Limits, ProvidersConfig, SmtpConfig, SmtpTls,
    TwilioConfig, WebhookConfig,
};
pub use outcome::{FailureKind, Receipt, Undelivered};
pub use outgoing::{
    Address, Outgoing, Unsubscribe, WebhookAddress, WebhookAuthentication, WebhookMethod,
};
pub use providers::Providers;
pub use secret::Secret;
pub use status::{BreakerState, ProviderStatus};
