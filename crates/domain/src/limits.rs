//! Every maximum that a caller can meet, by name.

use types::filter::RuleLimits;

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
/// Sets that one query combines, at most.
pub const QUERY_SETS_MAX: usize = 64;
/// Combinations within each other in one query.
pub const QUERY_LEVELS_MAX: usize = 8;
