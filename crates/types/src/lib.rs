//! Identifiers and value objects that mean the same everywhere.
//!
//! The ground floor: pure, without IO, and known to every other crate, so it must stay small.

mod attribute;
mod decimal;
pub mod filter;
mod hex;
mod ids;
mod json;
mod json_parse;
mod json_patch;
mod message;
mod named;
mod page;
mod pattern;
mod preference;
mod public_address;
mod quiet_hours;
mod stream;
mod time;
mod token;

pub use attribute::{AttributePath, InvalidPath, equals_operand};
pub use decimal::Decimal;
pub use hex::hex;
pub use ids::{
    AudienceId, BrandId, CommandId, DeviceToken, EventId, ID_BYTES_MAX, InvalidId, ListId,
    MessageId, SectionId, SubjectId, TemplateId, TenantId, TopicId, UserId, new_type_id,
};
pub use json::{
    JsonDocument, depth_within, escaped_key, escaped_pointer, merge_patch, merge_patch_between,
    without_nulls,
};
pub use json_parse::{JSON_VALUES_MAX, parse_json};
pub use json_patch::{InvalidPatch, JsonPatch, PatchLimits, PatchRefused};
pub use message::{
    InboxMark, InvalidMessage, Message, MessageReason, MessageStatus, Routing, RoutingMethod,
    RoutingStep, Timeouts,
};
pub use page::PageLimit;
pub use pattern::{InvalidPattern, ListPattern};
pub use preference::{Channel, Choice, PreferenceControl, PreferenceStatus, Snooze};
pub use public_address::is_public_address;
pub use quiet_hours::{MinuteOfDay, QuietHours, Weekday};
pub use stream::{Position, StreamId, StreamVersion, TemplateKey};
pub use time::{Clock, SystemClock, Timestamp};
pub use token::{ProviderKey, TokenStatus};
