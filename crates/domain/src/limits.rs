//! Every maximum that a caller can meet, by name.

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
/// The name of a list, in bytes.
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
