use serde_json::{Map, Value};
use types::{Channel, DeviceToken, ProviderKey, TokenStatus};

use crate::TokenView;

/// Where somebody can be reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Email(String),
    Phone(String),
    Device {
        provider: ProviderKey,
        token: String,
        /// One that is registered here, so that it can be marked when it turns out to be dead.
        registered: Option<DeviceToken>,
    },
    /// Courier's `webhook` of a profile.
    Webhook(Map<String, Value>),
    /// Always there.
    Inbox,
}

impl Address {
    /// All addresses of somebody on a channel, in the order in which they are to be used. `profile` is
    /// the one that holds.
    pub(crate) fn on(
        channel: Channel,
        profile: &Map<String, Value>,
        tokens: &[TokenView],
    ) -> Vec<Self> {
        let text = |name: &str| {
            let text = profile.get(name)?.as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        match channel {
            Channel::Email => text("email").map(Self::Email).into_iter().collect(),
            Channel::Sms => text("phone_number").map(Self::Phone).into_iter().collect(),
            Channel::Push => devices(profile, tokens),
            Channel::Webhook => {
                let webhook = profile.get("webhook").and_then(Value::as_object);
                let webhook = webhook.filter(|it| it.get("url").is_some_and(Value::is_string));
                webhook.cloned().map(Self::Webhook).into_iter().collect()
            }
            Channel::Inbox => vec![Self::Inbox],
            // No provider of these comes with Muster.
            Channel::DirectMessage => Vec::new(),
        }
    }

    /// Whether a profile says how somebody can be reached, in whatever way.
    pub(crate) fn is_contact(profile: &Map<String, Value>) -> bool {
        const MEMBERS: [&str; 10] = [
            "email",
            "phone_number",
            "firebaseToken",
            "apn",
            "expo",
            "webhook",
            "slack",
            "ms_teams",
            "discord",
            "pagerduty",
        ];
        MEMBERS.iter().any(|name| profile.contains_key(*name))
    }
}

fn devices(profile: &Map<String, Value>, tokens: &[TokenView]) -> Vec<Address> {
    let usable = tokens.iter().filter(|it| match it.details.status {
        TokenStatus::Active | TokenStatus::Unknown => true,
        TokenStatus::Failed | TokenStatus::Revoked => false,
    });
    let registered = usable.map(|it| Address::Device {
        provider: it.details.provider_key,
        token: it.token.as_str().to_owned(),
        registered: Some(it.token.clone()),
    });
    let mut devices: Vec<Address> = registered.collect();
    let of_provider = |name: &str| profile.get(name);
    let mut add = |provider: ProviderKey, value: Option<&Value>| {
        let texts: Vec<&str> = match value {
            Some(Value::String(token)) => vec![token],
            Some(Value::Array(tokens)) => tokens.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for text in texts {
            let is_known = devices
                .iter()
                .any(|it| matches!(it, Address::Device { token, .. } if token == text));
            if !text.is_empty() && !is_known {
                devices.push(Address::Device {
                    provider,
                    token: text.to_owned(),
                    registered: None,
                });
            }
        }
    };
    add(ProviderKey::FirebaseFcm, of_provider("firebaseToken"));
    for (provider, name) in [(ProviderKey::Apn, "apn"), (ProviderKey::Expo, "expo")] {
        let given = of_provider(name);
        add(provider, given.and_then(|it| it.get("token")));
        add(provider, given.and_then(|it| it.get("tokens")));
    }
    devices
}
