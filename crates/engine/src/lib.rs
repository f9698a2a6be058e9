//! Where the log, the deciders and the read models meet.
//!
//! One writer thread decides, appends in groups and folds; readers ask the read models, which show
//! durable events only. The log is the one source: everything else is rebuilt from it.

mod backtest;
mod command;
mod entity;
mod event_json;
mod event_store;
mod executor;
mod handle;
mod history;
mod importer;
mod membership;
mod once;
mod past;
mod person_fields;
mod preference_log;
mod record;
mod replay;
mod sealing;
mod sequence;
mod snapshots;
mod stream_of;
mod stream_versions;
mod subscription;
mod tenant_history;
mod timeline;
mod write_model;

pub use domain::limits::TENANT_LEVELS_LOADED;
pub use event_log::Head;
pub use events::{
    Actor, BrandDetails, KeyIssued, KeyUserTokenIssued, PersonalChoice, PreferencePagePublished,
    SectionDetails, TenantDetails, TenantHistoryRecorded, TokenDetails, TopicDetails,
    WebhookRegistered,
};

pub use backtest::BacktestPoint;
pub use command::{
    Choices, ChoicesOutcome, Command, Edit, InboxSelection, KeyToIssue, NewMessage, NewTarget,
    Origin, Outcome, Recipient, Refusal, Removed, Settlement, SubscribeMode, Subscriber,
    UserUpsert,
};
pub use entity::{Entity, Expected};
pub use event_json::EventJson;
pub use event_store::{EventStore, EventStoreError};
pub use executor::{
    EngineOptions, GroupWritten, Observer, Writer, WriterFailure, start, start_observed,
};
pub use handle::{Committed, Engine, ExecuteError, Terms};
pub use history::{EventsPage, EventsQuery, History, HistoryError, Order, Outline, event_types};
pub use importer::{ImportError, Importer};
pub use membership::{ChangesPage, MembershipEvent};
pub use once::{Answer, Once, RequestKey};
pub use past::PastState;
pub use person_fields::FieldChange;
pub use preference_log::{PreferenceChange, PreferenceLogQuery};
pub use record::{RecordError, labels_of, to_envelope};
pub use replay::{Rebuilt, ReplayError, Until, check, replay, replay_on};
pub use sealing::SealError;
pub use sequence::SequenceError;
pub use snapshots::{Checksum, ChunkCipher, ChunkPlace, SnapshotError, Snapshots, Turn, Written};
pub use subscription::{Followed, Subscription};
pub use tenant_history::{TenantHead, tenant_of};
pub use timeline::{TimelineEvent, TimelinePage, TimelineQuery};
