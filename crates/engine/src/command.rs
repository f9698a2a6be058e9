use domain::limits::{
    BULK_JOBS_MAX, PREFERENCES_BYTES_MAX, PROFILE_LEVELS_MAX, SECTIONS_MAX, TRACKED_EVENTS_MAX,
    USER_LISTS_MAX, USER_TENANTS_MAX,
};
use domain::{
    AudienceCommand, AudienceRefusal, BrandRefusal, BulkRefusal, Change, ChoiceRequest,
    InvalidMember, KeyRefusal, ListCommand, ListRefusal, MessageRefusal, PreferenceRefusal,
    ProfileCommand, ProfileRefusal, SectionRefusal, TemplateCommand, TemplateRefusal,
    TenantCommand, TenantRefusal, TokenRefusal, TopicPut, TopicRefusal, WebhookCommand,
    WebhookRefusal,
};
use events::{
    Actor, BrandDetails, KeyIssued, KeyUserTokenIssued, MessageOutcome, MessageTarget,
    PreferencePagePublished, SectionDetails, TokenDetails,
};
use serde_json::{Map, Value};
use types::{
    AudienceId, BrandId, Choice, DeviceToken, InboxMark, JsonDocument, JsonPatch, ListId,
    MessageId, QuietHours, SectionId, StreamVersion, SubjectId, TemplateKey, TenantId, Timestamp,
    TopicId, UserId,
};

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
    Tenant {
        tenant: TenantId,
        command: TenantCommand,
    },
    /// Make one person a member of several tenants.
    JoinTenants {
        user_id: UserId,
        tenants: Vec<(TenantId, Change<JsonDocument>)>,
    },
    LeaveTenant {
        user_id: UserId,
        tenant: TenantId,
    },
    LeaveEveryTenant {
        user_id: UserId,
    },
    Section {
        section: SectionId,
        edit: Edit<SectionDetails>,
    },
    Topic {
        section: SectionId,
        topic: TopicId,
        edit: Edit<TopicPut>,
    },
    RemoveDigest {
        section: SectionId,
        topic: TopicId,
    },
    PublishPreferencePage(PreferencePagePublished),
    Brand {
        brand: BrandId,
        edit: Edit<BrandDetails>,
    },
    /// What one person chooses, in a tenant or everywhere.
    Choose {
        user_id: UserId,
        tenant: Option<TenantId>,
        choices: Choices,
    },
    RecipientPreferences {
        user_id: UserId,
        /// Replaces those that are there.
        preferences: Option<JsonDocument>,
    },
    /// Merge into one person's preferences of the older form (RFC 7396).
    MergeRecipientPreferences {
        user_id: UserId,
        changes: JsonDocument,
    },
    QuietHours {
        user_id: UserId,
        quiet_hours: Option<QuietHours>,
    },
    /// Register devices of one person; others stay.
    RegisterTokens {
        user_id: UserId,
        tokens: Vec<(DeviceToken, TokenDetails)>,
    },
    PatchToken {
        user_id: UserId,
        token: DeviceToken,
        patch: JsonPatch,
    },
    RemoveToken {
        user_id: UserId,
        token: DeviceToken,
    },
    /// Write many people, each as a whole or not at all.
    UpsertUsers(Vec<UserUpsert>),
    /// Remove everything that is known about a person.
    DeleteUser {
        user_id: UserId,
    },
    /// Remove everything that is known about a person, and destroy the key of all that the log says of
    /// them.
    EraseUser {
        user_id: UserId,
    },
    /// Note that time has passed, if that moves somebody over the edge of a window.
    AdvanceClock,
    IssueKey(KeyToIssue),
    /// Issue a key that is good for the same as another, which then ends at this time, or now.
    ReplaceKey {
        id: String,
        successor: Box<KeyToIssue>,
        ends_at: Option<Timestamp>,
    },
    RevokeKey {
        id: String,
    },
    /// Note that a key had a token of users issued.
    NoteUserToken {
        key: String,
        issued: KeyUserTokenIssued,
    },
    Webhook {
        id: String,
        command: WebhookCommand,
    },
    /// Note that keys were used, each last at this time.
    NoteKeyUse(Vec<(String, Timestamp)>),
    /// Accept a message that is to be sent.
    Send(Box<NewMessage>),
    /// Write down whom a message is for, as everything stands now.
    ResolveMessage {
        id: MessageId,
        targets: Vec<MessageTarget>,
        /// The people whom it names, in the order in which it does.
        named: Vec<SubjectId>,
    },
    /// Write down what became of a message for some people. Whoever is settled stays so.
    SettleMessage {
        id: MessageId,
        settlements: Vec<Settlement>,
    },
    /// Send a message to nobody any more, or not to these people.
    CancelMessage {
        id: MessageId,
        people: Option<Vec<SubjectId>>,
    },
    ArchiveMessage {
        id: MessageId,
    },
    CreateBulkJob {
        job: MessageId,
        message: JsonDocument,
        definition: JsonDocument,
    },
    IngestUsers {
        job: MessageId,
        users: Vec<Recipient>,
    },
    RunBulkJob {
        job: MessageId,
    },
    Template {
        key: TemplateKey,
        command: TemplateCommand,
    },
    /// Note that a person did something elsewhere.
    Track {
        user_id: UserId,
        event: String,
        properties: Option<JsonDocument>,
    },
    /// Note what a person did with messages of the inbox.
    MarkInbox {
        user_id: UserId,
        mark: InboxMark,
        messages: InboxSelection,
    },
}

/// Which messages of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxSelection {
    /// All that are not archived, or of one tenant only.
    All { tenant: Option<TenantId> },
    These {
        ids: Vec<MessageId>,
        /// Only those of this tenant, if one is given.
        tenant: Option<TenantId>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    pub id: MessageId,
    /// Courier's message without `to`.
    pub message: JsonDocument,
    pub targets: Vec<NewTarget>,
    /// It is not sent before.
    pub delayed_until: Option<Timestamp>,
    /// Nothing of it is sent from then on.
    pub expires_at: Option<Timestamp>,
    /// Which message it is sent instead of.
    pub resends: Option<MessageId>,
}

/// Whom a new message is for.
#[derive(Clone, Debug, PartialEq)]
pub enum NewTarget {
    Person(Recipient),
    /// Anything but a person.
    Many(MessageTarget),
}

/// One person to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    pub user_id: UserId,
    /// What is given for this message, as `Given` of the read models writes it.
    pub given: JsonDocument,
    /// The profile that the person gets who has none.
    pub profile: Option<Map<String, Value>>,
}

/// What became of a message for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub subject: SubjectId,
    pub outcome: MessageOutcome,
    /// By what the provider knows it.
    pub receipt: Option<String>,
    /// What now lies in the inbox.
    pub inbox: Option<JsonDocument>,
    /// Devices that turned out to be gone, and why.
    pub dead_tokens: Vec<(DeviceToken, String)>,
}

/// What to do with something that is written as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<D> {
    /// There must be none yet.
    Create(D),
    /// There must be one.
    Replace(D),
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choices {
    Set(TopicId, ChoiceRequest),
    Clear(TopicId),
    /// Those that are refused do not hold up the others. Of a topic that is named twice the last counts,
    /// here and below.
    SetMany(Vec<(TopicId, ChoiceRequest)>),
    /// All of them or none, and whatever is not named is cleared.
    ReplaceAll(Vec<(TopicId, ChoiceRequest)>),
}

/// One person and what to write about them. What is not named stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct UserUpsert {
    pub user_id: UserId,
    /// Merged into the profile, which comes to be if there is none, empty or not.
    pub profile: Option<Map<String, Value>>,
    pub lists: Vec<(ListId, Option<JsonDocument>)>,
    pub tenants: Vec<(TenantId, Change<JsonDocument>)>,
    /// By context and topic; of one that is made twice the last counts.
    pub choices: Vec<((Option<TenantId>, TopicId), ChoiceRequest)>,
    pub recipient_preferences: Option<JsonDocument>,
    pub quiet_hours: Option<QuietHours>,
    pub tokens: Vec<(DeviceToken, TokenDetails)>,
    /// Take the choices as they were made elsewhere, whatever the topics are here.
    pub restore: bool,
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

impl Origin {
    /// Time passes by itself.
    pub fn clock() -> Self {
        Self {
            actor: Actor {
                id: "system".to_owned(),
                name: "clock".to_owned(),
                on_behalf_of: None,
            },
            ..Self::default()
        }
    }
}

/// No, and why; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Profile(#[from] ProfileRefusal),
    #[error(transparent)]
    List(#[from] ListRefusal),
    #[error("a person can be subscribed to at most {USER_LISTS_MAX} lists, deleted ones included")]
    TooManyLists,
    #[error(transparent)]
    Audience(#[from] AudienceRefusal),
    #[error(transparent)]
    Tenant(#[from] TenantRefusal),
    #[error("a person can be a member of at most {USER_TENANTS_MAX} tenants")]
    TooManyTenants,
    #[error(transparent)]
    Section(#[from] SectionRefusal),
    #[error("there can be at most {SECTIONS_MAX} sections")]
    TooManySections,
    #[error(transparent)]
    Topic(#[from] TopicRefusal),
    #[error(transparent)]
    Brand(#[from] BrandRefusal),
    #[error("there is no such brand")]
    UnknownBrand,
    #[error(transparent)]
    Preference(#[from] PreferenceRefusal),
    /// In the order of the request, from 0.
    #[error("{refusal}")]
    Choice {
        place: usize,
        refusal: PreferenceRefusal,
    },
    #[error("the preferences would be larger than {PREFERENCES_BYTES_MAX} bytes of JSON")]
    PreferencesTooLarge,
    #[error("the preferences would nest deeper than {PROFILE_LEVELS_MAX} levels")]
    PreferencesTooDeep,
    #[error("the preferences would be invalid: {} must be {}", .0.pointer, .0.expected)]
    InvalidPreferences(InvalidMember),
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    #[error(transparent)]
    Webhook(#[from] WebhookRefusal),
    #[error(transparent)]
    Message(#[from] MessageRefusal),
    #[error(transparent)]
    Bulk(#[from] BulkRefusal),
    #[error("there can be at most {BULK_JOBS_MAX} bulk jobs")]
    TooManyBulkJobs,
    #[error(transparent)]
    Template(#[from] TemplateRefusal),
    #[error("a person can have done at most {TRACKED_EVENTS_MAX} different things")]
    TooManyTrackedEvents,
    #[error("the key of whoever sent it has ended since")]
    CredentialEnded,
    /// With the version that is there instead, if it is.
    #[error("it is not in the state that the request rests on")]
    PreconditionFailed(Option<StreamVersion>),
    #[error("there is no such user")]
    UserNotFound,
    #[error("there is room for no more people: the numbers of 32 bits are used up")]
    SubjectsExhausted,
}

/// What a command has to tell besides that it took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Done,
    Choices(ChoicesOutcome),
    /// The people who were not written, by their places from 0.
    Users(Vec<(usize, Refusal)>),
    Removed(Removed),
    /// Those who were there already, by their places from 0.
    Duplicates(Vec<usize>),
    /// How many messages of an inbox were changed.
    Marked(usize),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChoicesOutcome {
    /// As they are stored.
    pub stored: Vec<(TopicId, Choice)>,
    pub refused: Vec<(TopicId, PreferenceRefusal)>,
    pub cleared: Vec<TopicId>,
}

/// What was removed of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is about another thing")]
pub struct Removed {
    pub profile: bool,
    pub tokens: Vec<DeviceToken>,
    /// Subscriptions to deleted lists count too.
    pub lists: Vec<ListId>,
    /// Audiences that the person leaves with the profile.
    pub audiences: Vec<AudienceId>,
    pub tenants: Vec<TenantId>,
    /// Choices, by context and topic.
    pub choices: Vec<(Option<TenantId>, TopicId)>,
    pub recipient_preferences: bool,
    pub quiet_hours: bool,
    pub tracked_events: bool,
    pub inbox: bool,
}
