use std::collections::HashSet;

use domain::limits::TRACKED_EVENTS_MAX;
use events::{Personal, TrackForgotten, TrackRecorded};
use types::{JsonDocument, StreamId, SubjectId, UserId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn track(
        &mut self,
        user_id: &UserId,
        event: String,
        properties: Option<JsonDocument>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        self.room_for(1)?;
        if let Some(subject) = self.known(user_id) {
            let (count, has) = self.tracked_of(subject, &event);
            if !has && count >= TRACKED_EVENTS_MAX {
                return Err(Refusal::TooManyTrackedEvents);
            }
        }
        let subject = self.register(user_id, decided);
        let tracked = self.group.tracked.entry(subject).or_default();
        tracked.insert(event.clone());
        let recorded = TrackRecorded {
            event: Personal::Known(event),
            properties: properties.map(Personal::Known),
        };
        let stream = StreamId::Track(subject);
        self.record(stream, vec![subject], recorded.into(), decided);
        Ok(())
    }

    /// How many different things somebody did, at most, and whether this is one of them.
    fn tracked_of(&self, subject: SubjectId, event: &str) -> (usize, bool) {
        let committed = &self.committed.tracked;
        let (count, has) = if self.group.untracked.contains(&subject) {
            (0, false)
        } else {
            committed.has(subject, event)
        };
        let in_group = self.group.tracked.get(&subject);
        let also = in_group.is_some_and(|it| it.contains(event));
        (count + in_group.map_or(0, HashSet::len), has || also)
    }

    /// Forgets what somebody did; says whether there was anything.
    pub(super) fn forget_tracked(
        &mut self,
        subject: SubjectId,
        decided: &mut Vec<Decided>,
    ) -> bool {
        let in_group = self.group.tracked.remove(&subject).is_some();
        let is_gone = self.group.untracked.contains(&subject);
        if !in_group && (is_gone || !self.committed.tracked.knows(subject)) {
            return false;
        }
        self.group.untracked.insert(subject);
        let stream = StreamId::Track(subject);
        self.record(stream, vec![subject], TrackForgotten {}.into(), decided);
        true
    }
}
