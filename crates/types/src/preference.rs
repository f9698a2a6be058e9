use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::named::named;

named! {
    /// A way of reaching somebody.
    pub enum Channel {
        DirectMessage = "direct_message",
        Email = "email",
        Push = "push",
        Sms = "sms",
        Webhook = "webhook",
        Inbox = "inbox",
    }
}

named! {
    /// Whether somebody receives what belongs to a topic.
    pub enum PreferenceStatus {
        OptedIn = "OPTED_IN",
        OptedOut = "OPTED_OUT",
        /// Nobody can opt out. A default only: never somebody's own choice.
        Required = "REQUIRED",
    }
}

named! {
    /// What people may set for a topic besides the status.
    pub enum PreferenceControl {
        Snooze = "snooze",
        ChannelPreferences = "channel_preferences",
    }
}

/// What is to hold for one topic: a default, or somebody's own choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub status: PreferenceStatus,
    /// The only channels to use; nothing where the choice does not speak of channels.
    pub routing: Option<Vec<Channel>>,
}

/// A time in which somebody is not to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snooze {
    /// From the beginning of time where it is not given.
    pub start: Option<Timestamp>,
    /// The first moment at which it is over.
    pub until: Timestamp,
}

impl Snooze {
    pub fn covers(self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && at < self.until
    }
}
