use std::time::Duration;

use serde_json::{Map, Value};

use crate::named::named;
use crate::{BrandId, Channel, TenantId, TopicId, escaped_pointer};

mod read;

pub use read::InvalidMessage;

named! {
    /// Where a message to one person has got to.
    pub enum MessageStatus {
        Enqueued = "ENQUEUED",
        Delayed = "DELAYED",
        Routed = "ROUTED",
        Sent = "SENT",
        Delivered = "DELIVERED",
        Opened = "OPENED",
        Clicked = "CLICKED",
        Canceled = "CANCELED",
        Filtered = "FILTERED",
        /// There is no such template.
        Unmapped = "UNMAPPED",
        /// Nothing leads to the person.
        Unroutable = "UNROUTABLE",
        Undeliverable = "UNDELIVERABLE",
    }
}

named! {
    /// Why a message did not reach a person, in Courier's words.
    pub enum MessageReason {
        Bounced = "BOUNCED",
        Failed = "FAILED",
        Filtered = "FILTERED",
        NoChannels = "NO_CHANNELS",
        NoProviders = "NO_PROVIDERS",
        OptInRequired = "OPT_IN_REQUIRED",
        ProviderError = "PROVIDER_ERROR",
        Unpublished = "UNPUBLISHED",
        Unsubscribed = "UNSUBSCRIBED",
    }
}

named! {
    /// How many of the channels of a message are used.
    pub enum RoutingMethod {
        /// The first by which the person can be reached.
        Single = "single",
        All = "all",
    }
}

/// By which channels a message is to go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    pub method: RoutingMethod,
    pub steps: Vec<RoutingStep>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoutingStep {
    /// A channel, or a provider of one, by name.
    Named(String),
    Group(Routing),
}

/// What to tell, without whom: Courier's `message` (its SDK, `send_message_params.py`), as far as it has
/// a meaning here. What else it holds is kept with it and means nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub template: Option<String>,
    /// Title and body, or Elemental.
    pub content: Option<Value>,
    pub data: Map<String, Value>,
    pub brand_id: Option<BrandId>,
    /// The tenant in whose context everybody is told who has none of their own.
    pub tenant: Option<TenantId>,
    pub routing: Option<Routing>,
    /// By name of a channel.
    pub channels: Map<String, Value>,
    /// By name of a provider.
    pub providers: Map<String, Value>,
    pub event: Option<String>,
    pub tags: Vec<String>,
    pub trace_id: Option<String>,
    pub topic: Option<TopicId>,
    pub timeouts: Timeouts,
}

/// How long is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    pub message: Option<Duration>,
    pub by_channel: Vec<(String, Duration)>,
    pub by_provider: Vec<(String, Duration)>,
}

/// Groups of channels within each other.
pub(crate) const ROUTING_LEVELS_MAX: usize = 4;
/// Channels and providers that a message names.
pub(crate) const ROUTING_STEPS_MAX: usize = 64;
pub(crate) const TAGS_MAX: usize = 64;

impl Message {
    /// Reads a message that was accepted, or is to be. Bounds and kinds are those of what has a meaning;
    /// `null` is as if not given.
    ///
    /// # Errors
    /// The first member that is not as it must be.
    pub fn parse(message: &Map<String, Value>) -> Result<Self, InvalidMessage> {
        read::message(message)
    }

    /// What is set for a channel: the override of the channel, and over it that of the provider.
    pub fn overrides(&self, channel: Channel, provider: &str) -> Map<String, Value> {
        let of = |all: &Map<String, Value>, name: &str| {
            let set = all.get(name).and_then(|it| it.get("override"));
            set.and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let mut overrides = of(&self.channels, channel.name());
        crate::merge_patch(&mut overrides, of(&self.providers, provider));
        overrides
    }

    /// The providers that the message wants for a channel, first the one that it likes best.
    pub fn wanted_providers(&self, channel: Channel) -> Vec<String> {
        let set = self.channels.get(channel.name());
        let named = set
            .and_then(|it| it.get("providers"))
            .and_then(Value::as_array);
        let named = named.into_iter().flatten();
        named
            .filter_map(|it| Some(it.as_str()?.to_owned()))
            .collect()
    }
}

/// The place of a member within a message, as a JSON pointer.
pub(crate) fn pointer(parent: &str, name: &str) -> String {
    format!("{parent}/{}", escaped_pointer(name))
}

named! {
    /// What a person did with a message in the inbox, or undid.
    pub enum InboxMark {
        Opened = "opened",
        Read = "read",
        Unread = "unread",
        Archived = "archived",
        Unarchived = "unarchived",
        Clicked = "clicked",
    }
}
