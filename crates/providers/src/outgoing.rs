use std::fmt;

use rendering::Rendered;
use serde_json::{Map, Value};
use types::Channel;

/// What is to be carried to one person through one channel.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The idempotency key: the same for every attempt.
    pub message_id: String,
    pub address: Address,
    pub content: Rendered,
    /// How somebody leaves with one click, for the headers of an e-mail (RFC 8058).
    pub unsubscribe: Option<Unsubscribe>,
    /// What push notifications and webhooks are given beside the text.
    pub data: Map<String, Value>,
    /// What the message says about this channel or provider in particular. Either what the provider is to
    /// take, or that under the name of the channel or of the provider. What is malformed is ignored.
    pub overrides: Map<String, Value>,
    pub user_id: Option<String>,
    pub tenant_id: Option<String>,
}

/// How somebody leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    pub one_click_url: String,
}

/// Where somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Email(String),
    Phone(String),
    /// A registration token of Firebase.
    Fcm(String),
    /// A device token of Apple.
    Apns(String),
    /// A push token of Expo.
    Expo(String),
    Webhook(WebhookAddress),
}

impl Address {
    pub fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Sms,
            Self::Fcm(_) | Self::Apns(_) | Self::Expo(_) => Channel::Push,
            Self::Webhook(_) => Channel::Webhook,
        }
    }
}

/// Somebody's own URL, and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookAddress {
    pub url: String,
    pub method: WebhookMethod,
    pub headers: Vec<(String, String)>,
    pub authentication: WebhookAuthentication,
}

/// Without what may be secret in it: the path and the query, the values of headers.
impl fmt::Debug for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("WebhookAddress")
            .field("method", &self.method)
            .field("headers", &names)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookMethod {
    #[default]
    Post,
    Put,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub enum WebhookAuthentication {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Bearer {
        token: String,
    },
}

impl fmt::Debug for WebhookAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Bearer { .. } => "Bearer",
        })
    }
}
