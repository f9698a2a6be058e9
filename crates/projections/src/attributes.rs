use memchr::memmem;
use types::{JsonDocument, SubjectId};

use crate::{Profiles, TRACKED_EVENTS, Tracked};

/// [`TRACKED_EVENTS`], as it begins wherever it is written out in JSON.
const NAME: &[u8] = b"$events";

/// What rules can ask about people: their profiles as they are stored, and beside its members, as
/// [`TRACKED_EVENTS`], what they did.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub(crate) profiles: &'a Profiles,
    pub(crate) tracked: &'a Tracked,
}

impl Attributes<'_> {
    /// Nothing of somebody without a stored profile.
    pub(crate) fn document(&self, subject: SubjectId) -> Option<JsonDocument> {
        let document = self.profiles.document(subject)?;
        let events = self.tracked.document(subject);
        // What a profile says under the same name is no part of it.
        if events.is_none() && memmem::find(document.as_str().as_bytes(), NAME).is_none() {
            return Some(document);
        }
        let mut members = document.to_object();
        members.remove(TRACKED_EVENTS);
        members.extend(events.map(|events| (TRACKED_EVENTS.to_owned(), events)));
        Some(members.into())
    }

    /// All numbers of people with a profile are below it.
    pub(crate) fn end(&self) -> u32 {
        self.profiles.end()
    }
}
