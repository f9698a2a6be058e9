use serde::{Deserialize, Serialize};
use types::{
    AudienceId, Channel, JsonDocument, ListId, MessageId, MessageReason, MessageStatus, Position,
    TenantId, Timestamp,
};

use crate::registry::aggregate_events;
use crate::subject_set::SubjectSet;
use crate::{OfPerson, Personal};

aggregate_events! {
    /// Everything that can happen to one call to send, whomever it reaches.
    pub enum MessageEvent {
        Accepted(MessageAccepted) = "message.accepted", v 1;
        Resolved(MessageResolved) = "message.resolved", v 1;
        Settled(MessageSettled) = "message.settled", v 1;
        Canceled(MessageCanceled) = "message.canceled", v 1;
        Archived(MessageArchived) = "message.archived", v 1;
    }
}

/// From here on it will be sent. Its subjects are the people who are named one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAccepted {
    /// Courier's message without `to`.
    pub message: MessageText,
    pub targets: Vec<MessageTarget>,
    /// It is not resolved before.
    pub delayed_until: Option<Timestamp>,
    /// Nothing of it is sent from then on.
    pub expires_at: Option<Timestamp>,
    /// Which message it is sent instead of.
    pub resends: Option<MessageId>,
}

/// What is told. To one person alone it may say anything about them; what is told to many is about nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageText {
    ToMany(JsonDocument),
    ToOne(Personal<JsonDocument>),
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageTarget {
    /// One person, with what was given for them in this message: Courier's recipient without the user id.
    Person(OfPerson<JsonDocument>),
    List {
        list: ListId,
        data: Option<JsonDocument>,
        /// Only those who are members of all of these tenants.
        members_of: Vec<TenantId>,
    },
    ListPattern {
        pattern: String,
        data: Option<JsonDocument>,
    },
    Audience {
        audience: AudienceId,
        data: Option<JsonDocument>,
        members_of: Vec<TenantId>,
    },
    Tenant {
        tenant: TenantId,
        data: Option<JsonDocument>,
        include_children: bool,
        include_parent: bool,
    },
    /// Whoever was gathered for this bulk job, with what was given for each.
    Bulk { job: MessageId },
}

/// Some of the people whom it is for. All are told by several events when they are many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageResolved {
    /// The targets as they stood after the event at this position.
    pub as_of: Position,
    /// Everybody is in one of them only.
    pub people: Vec<TargetPeople>,
    /// Targets that lead to nobody, and why. With the last event.
    pub problems: Vec<TargetProblem>,
    pub is_last: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPeople {
    /// Place among the targets, from 0.
    pub target: u32,
    /// In the context of which tenant they are told, if the target is one.
    pub tenant: Option<TenantId>,
    pub people: SubjectSet,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetProblem {
    /// Place among the targets, from 0.
    pub target: u32,
    pub problem: TargetTrouble,
}

/// Why a target leads to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetTrouble {
    /// There is no such list, audience or tenant, or not any more.
    NotThere,
    /// Nobody is in it.
    Empty,
    /// All who are in it are reached through an earlier target.
    ReachedAlready,
}

/// What became of it for some people, who are the subjects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSettled {
    /// Each with how many of the subjects it is of, in their order.
    pub outcomes: Vec<(MessageOutcome, u32)>,
    /// By what a provider knows it, of those of whom one said so; by ascending place.
    pub receipts: Vec<OfPerson<String>>,
}

/// What became of a message for a person, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageOutcome {
    pub status: MessageStatus,
    pub reason: Option<MessageReason>,
    /// What decided it, in one word.
    pub because: String,
    /// In whose context the person was told.
    pub tenant: Option<TenantId>,
    /// What became of each channel that was looked at, in that order.
    pub channels: Vec<ChannelOutcome>,
    /// The decision was made on the state as of this event, at this time.
    pub planned: Position,
    pub planned_at: Timestamp,
    /// It is decided again at this time: it is not settled yet.
    pub delayed_until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelOutcome {
    /// As the message names it.
    pub channel: String,
    pub provider: Option<String>,
    pub used: bool,
    /// In one word, or in the provider's words.
    pub because: String,
    pub attempts: u32,
}

/// It goes to nobody to whom it has not gone by now; or only not to the subjects, if there are any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCanceled {}

/// It is listed no more unless asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageArchived {}

impl MessageOutcome {
    /// The first channel by which it went, and through whom.
    pub fn carried_by(&self) -> Option<(Option<Channel>, Option<&str>)> {
        let used = self.channels.iter().find(|it| it.used)?;
        Some((Channel::parse(&used.channel), used.provider.as_deref()))
    }
}
