use types::{JsonDocument, SubjectId};

use crate::{Profiles, TRACKED_EVENTS, Tracked};

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
        let Some(events) = self.tracked.document(subject) else {
            return Some(document);
        };
        let mut members = document.to_object();
        members.insert(TRACKED_EVENTS.to_owned(), events);
        Some(members.into())
    }

    /// All numbers of people with a profile are below it.
    pub(crate) fn end(&self) -> u32 {
        self.profiles.end()
    }
}
