//! Every maximum that a caller can meet, by name.

use types::filter::RuleLimits;

/// An id of any kind, in bytes.
pub const ID_BYTES_MAX: usize = types::ID_BYTES_MAX;
/// A profile as JSON text, in bytes.
pub const PROFILE_BYTES_MAX: usize = 256 * 1024;
/// Arrays and objects within each other in a profile, the profile itself included.
pub const PROFILE_LEVELS_MAX: usize = 32;
/// Operations in one JSON Patch.
pub const PATCH_OPERATIONS_MAX: usize = 256;
/// The body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Recipients named in one request.
pub const RECIPIENTS_MAX: usize = 10_000;
/// Lists to which one person is subscribed, deleted ones included.
pub const USER_LISTS_MAX: usize = 10_000;
/// Lists named in one request.
pub const LISTS_MAX: usize = 1_000;
/// The name of a list or an audience, in bytes.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Preferences of a list or a subscription as JSON text, in bytes.
pub const PREFERENCES_BYTES_MAX: usize = 16 * 1024;
/// People named in one bulk event; a larger request writes several.
pub const EVENT_SUBJECTS_MAX: usize = 1_000;
/// The id that a caller gives a request, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Attributes by which one request filters profiles.
pub const FILTERS_MAX: usize = 16;
/// Events that a feed looks at for one page, whether they match or not.
pub const EVENTS_EXAMINED_MAX: usize = 10_000;
/// The description of an audience, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 4_096;
/// The rule of an audience.
pub const RULE_LIMITS: RuleLimits = RuleLimits {
    levels_max: 16,
    leaves_max: 256,
    paths_max: 32,
    path_bytes_max: 512,
    operand_bytes_max: 1_024,
};
/// Audiences that ask about each other in a row.
pub const AUDIENCE_LEVELS_MAX: usize = 16;
/// People whom a preview or a comparison names, at most.
pub const SAMPLE_MAX: usize = 100;
/// Moments at which one backtest counts, at most.
pub const BACKTEST_POINTS_MAX: usize = 1_000;
/// Sets that one query combines, at most.
pub const QUERY_SETS_MAX: usize = 64;
/// Combinations within each other in one query.
pub const QUERY_LEVELS_MAX: usize = 8;
/// Properties, user profile or the profile of a membership of a tenant as JSON text, in bytes.
pub const TENANT_DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Tenants within each other.
pub const TENANT_LEVELS_MAX: usize = 32;
/// Levels of a tenant's ancestry that are loaded unless set otherwise, the tenant's own included.
pub const TENANT_LEVELS_LOADED: usize = 4;
/// Tenants of which one person is a member.
pub const USER_TENANTS_MAX: usize = 1_000;
/// Topics, in all sections together; and those for which a tenant has defaults.
pub const TOPICS_MAX: usize = 1_000;
/// All topics together, with what is kept with them, in bytes: they are shown all at once.
pub const TOPICS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Sections of topics.
pub const SECTIONS_MAX: usize = 1_000;
/// What is kept with a topic, and its digest, as JSON text, each, in bytes.
pub const TOPIC_DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Topics that one request chooses about.
pub const CHOICES_MAX: usize = 50;
/// Choices of one person, in all contexts together.
pub const USER_CHOICES_MAX: usize = 10_000;
/// Snoozes of one choice.
pub const SNOOZES_MAX: usize = 16;
/// Device tokens of one person.
pub const USER_TOKENS_MAX: usize = 100;
/// How long a device token lasts when nothing else is said, in nanoseconds: 60 days.
pub const TOKEN_LIFETIME: u64 = 60 * 24 * 60 * 60 * 1_000_000_000;
/// Device, tracking or properties of a token as JSON text, each, in bytes.
pub const TOKEN_DOCUMENT_BYTES_MAX: usize = 16 * 1024;
/// Why a token has its status, in bytes.
pub const TOKEN_REASON_BYTES_MAX: usize = 1_024;
/// Settings or snippets of a brand as JSON text, each, in bytes.
pub const BRAND_DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Users named in one request.
pub const USERS_MAX: usize = 1_000;
/// API keys that are good.
pub const KEYS_MAX: usize = 10_000;
/// Webhooks that there are.
pub const WEBHOOKS_MAX: usize = 100;
/// Types that one webhook names.
pub const WEBHOOK_TYPES_MAX: usize = 64;
/// Where a webhook is told, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// An idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept for an idempotency key, at least and unless something else is said, in
/// nanoseconds: 24 hours.
pub const IDEMPOTENCY_LIFETIME: u64 = 24 * 60 * 60 * 1_000_000_000;
/// The longest that it is kept, in nanoseconds: 365 days.
pub const IDEMPOTENCY_LIFETIME_MAX: u64 = 365 * IDEMPOTENCY_LIFETIME;
/// Whoever a key acts for, as the caller says it, in bytes.
pub const ACTOR_BYTES_MAX: usize = 256;
/// People for whom one user token can be.
pub const TOKEN_USERS_MAX: usize = 100;
/// The longest that a user token lasts, in seconds: 366 days.
pub const USER_TOKEN_LIFETIME_MAX: u64 = 366 * 24 * 60 * 60;
/// Entity tags in one condition.
pub const ENTITY_TAGS_MAX: usize = 64;
/// A message without its recipients as JSON text, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// What is given for one recipient as JSON text, in bytes.
pub const GIVEN_BYTES_MAX: usize = 64 * 1024;
/// Recipients that one message names, each a person or a set of people.
pub const MESSAGE_TARGETS_MAX: usize = 1_000;
/// The longest that a message waits before it is sent, in nanoseconds: 366 days.
pub const DELAY_MAX: u64 = 366 * 24 * 60 * 60 * 1_000_000_000;
/// How long a message is tried unless something else is said, in nanoseconds: 72 hours.
pub const MESSAGE_TIMEOUT: u64 = 72 * 60 * 60 * 1_000_000_000;
/// Templates of one tenant, or of everybody, archived ones included.
pub const TEMPLATES_MAX: usize = 10_000;
/// One version of a template as JSON text, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 256 * 1024;
/// People named in one request to a bulk job.
pub const BULK_USERS_MAX: usize = 10_000;
/// Bulk jobs, ended ones included.
pub const BULK_JOBS_MAX: usize = 100_000;
/// Different things that one person can have done.
pub const TRACKED_EVENTS_MAX: usize = 1_000;
/// The name of something that was done, in bytes.
pub const TRACKED_NAME_BYTES_MAX: usize = 256;
/// What is known of something that was done as JSON text, in bytes.
pub const TRACKED_PROPERTIES_BYTES_MAX: usize = 64 * 1024;
/// Messages of an inbox named in one request.
pub const INBOX_MARKS_MAX: usize = 1_000;
