use types::{Channel, MessageReason, MessageStatus, RoutingMethod, Timestamp};

use super::Address;

/// What is to become of a message for one person, before anybody tries.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is not sent.
    Skip {
        status: MessageStatus,
        reason: Option<MessageReason>,
        /// In one word.
        because: String,
    },
    /// It is decided again at this time.
    Later {
        until: Timestamp,
        because: String,
    },
    Route(PlannedRoute),
}

/// By which channels, and by how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRoute {
    pub method: RoutingMethod,
    pub steps: Vec<PlannedStep>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PlannedStep {
    Channel(ChannelPlan),
    Group(PlannedRoute),
}

/// One channel for one person.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelPlan {
    /// As the message or the template names it.
    pub name: String,
    /// Nothing if the name is of no channel and of no provider that is known here.
    pub channel: Option<Channel>,
    /// The provider, if it is one that is named.
    pub provider: Option<String>,
    pub addresses: Vec<Address>,
    /// Why it cannot be used, in one word.
    pub unusable: Option<&'static str>,
}

/// The words for why a channel cannot be used.
pub(super) const UNKNOWN_CHANNEL: &str = "no_provider";
pub(super) const NO_ADDRESS: &str = "no_address";
pub(super) const NOT_CHOSEN: &str = "channel_not_chosen";

/// The channel that a name is of, and the provider if it is that of one.
pub(super) fn channel_named(name: &str) -> (Option<Channel>, Option<String>) {
    if let Some(channel) = Channel::parse(name) {
        return (Some(channel), None);
    }
    let of_provider = |channel, provider: &str| (Some(channel), Some(provider.to_owned()));
    match name {
        "smtp" => of_provider(Channel::Email, name),
        "fcm" | "firebase-fcm" => of_provider(Channel::Push, "fcm"),
        "apns" | "apn" => of_provider(Channel::Push, "apns"),
        "expo" => of_provider(Channel::Push, name),
        "twilio" => of_provider(Channel::Sms, name),
        _ => (None, None),
    }
}
