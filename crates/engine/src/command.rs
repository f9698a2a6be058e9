use domain::{
    AudienceCommand, AudienceRefusal, ListCommand, ListRefusal, ProfileCommand, ProfileRefusal,
};
use events::{Actor, KeyIssued};
use types::{AudienceId, JsonDocument, ListId, UserId};

/// Everything that can be asked of the write side.
#[derive(Clone, Debug)]
pub enum Command {
    Profile {
        user_id: UserId,
        command: ProfileCommand,
    },
    List {
        list: ListId,
        command: ListCommand,
    },
    /// Subscribe people to one list, which is created if there is no live one.
    Subscribe {
        list: ListId,
        subscribers: Vec<Subscriber>,
        mode: SubscribeMode,
    },
    Unsubscribe {
        list: ListId,
        user_id: UserId,
    },
    /// Subscribe one person to several lists; each is created if there is no live one.
    SubscribeToLists {
        user_id: UserId,
        lists: Vec<(ListId, Option<JsonDocument>)>,
    },
    /// End every subscription of a person, to deleted lists too.
    LeaveEveryList {
        user_id: UserId,
    },
    Audience {
        audience: AudienceId,
        command: AudienceCommand,
    },
    /// Note that time has passed, if that moves somebody over the edge of a window.
    AdvanceClock,
    IssueKey(KeyToIssue),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscriber {
    pub user_id: UserId,
    pub preferences: Option<JsonDocument>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeMode {
    /// Subscriptions that exist stay as they are.
    Add,
    /// Subscriptions that exist take over what is given here.
    Put,
    /// As `Put`, and whoever is not named leaves.
    Overwrite,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyToIssue {
    pub id: String,
    pub issued: KeyIssued,
}

/// Where a command comes from; recorded with every event that it leads to.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub actor: Actor,
    pub tenant_id: Option<String>,
    /// The id of the request, if the caller gave one.
    pub correlation_id: Option<String>,
}

/// No, and why; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Profile(#[from] ProfileRefusal),
    #[error(transparent)]
    List(#[from] ListRefusal),
    #[error(transparent)]
    Audience(#[from] AudienceRefusal),
    #[error("there is room for no more people: the numbers of 32 bits are used up")]
    SubjectsExhausted,
}
