use std::ops::ControlFlow;

use projections::{ChangePlace, MembershipChange, RememberedChanges};
use types::{AudienceId, PageLimit, Position, SubjectId};

use crate::history::{History, HistoryError};
use crate::replay::{Until, each_piece};

/// One page of how the membership of an audience changed.
#[derive(Debug, Default)]
pub struct ChangesPage {
    pub items: Vec<MembershipEvent>,
    pub more: bool,
    /// Where to go on: after the last of these, or after everything that has happened so far.
    pub next: ChangePlace,
}

/// A change of membership, and the event from which it followed.
#[derive(Debug)]
pub struct MembershipEvent {
    pub change: MembershipChange,
    /// The type of the event at the change's position.
    pub cause: String,
}

impl History {
    /// How the membership of the audience changed after the place, oldest first. What happened lately
    /// is remembered; for what happened before, the log is replayed, which takes as long as it does.
    /// Nothing if there is no such audience.
    pub fn audience_changes(
        &self,
        audience: &AudienceId,
        after: ChangePlace,
        limit: PageLimit,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<Option<ChangesPage>, HistoryError> {
        let audiences = &self.read_models.audiences;
        let Some(began) = audiences.began(audience) else {
            return Ok(None);
        };
        let RememberedChanges { items, more, next } =
            match audiences.changes(audience, after, limit) {
                Some(remembered) if audiences.remembers_after(audience, after) => remembered,
                _ => self.replayed_changes(audience, began, after, limit, still_wanted)?,
            };
        let causes = self.types_at(items.iter().map(|change| change.occasion.position))?;
        let items = items
            .into_iter()
            .zip(causes)
            .map(|(change, cause)| MembershipEvent { change, cause });
        Ok(Some(ChangesPage {
            items: items.collect(),
            more,
            next,
        }))
    }

    fn replayed_changes(
        &self,
        audience: &AudienceId,
        began: Position,
        after: ChangePlace,
        limit: PageLimit,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<RememberedChanges, HistoryError> {
        let _alone = self.replaying.try_lock().ok_or(HistoryError::Busy)?;
        let mut place = after.max(ChangePlace {
            position: Position(began.0.saturating_sub(1)),
            subject: SubjectId(u32::MAX),
        });
        // Of the place itself a part may be told already, and the rest be asked for.
        let before = Position(place.position.0.saturating_sub(1));
        let snapshots = self.snapshots.as_ref();
        let nearest = snapshots.and_then(|it| it.nearest(&self.store.log, Until::Position(before)));
        let past = nearest.unwrap_or_default().read_models;
        let mut found = Vec::new();
        // In a state of the past nothing has happened that came after it.
        let end = self.read_models.checkpoint();
        each_piece(&self.store, past.checkpoint().next(), |mut piece| {
            let within = piece.partition_point(|it| it.position <= end);
            let ends_here = within < piece.len();
            piece.truncate(within);
            // What one event did is remembered as a whole until the next one, so whatever may be asked
            // for is picked up event by event.
            let before = piece.partition_point(|it| it.position < place.position);
            past.apply(&piece[..before], &[]);
            for envelope in &piece[before..] {
                past.apply(std::slice::from_ref(envelope), &[]);
                let told = |after| past.audiences.changes(audience, after, PageLimit::MOST);
                while let Some(changes) = told(place) {
                    found.extend(changes.items);
                    place = changes.next;
                    if !changes.more {
                        break;
                    }
                    if found.len() > limit.rows() {
                        break;
                    }
                }
                if found.len() > limit.rows() || !still_wanted() {
                    break;
                }
            }
            let enough = ends_here || found.len() > limit.rows() || !still_wanted();
            Ok(if enough {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        let end = MembershipChange::page_end(&found, limit.rows());
        let more = end < found.len();
        found.truncate(end);
        let last = found.last().filter(|_| more).map(MembershipChange::place);
        Ok(RememberedChanges {
            items: found,
            more,
            next: last.unwrap_or(place),
        })
    }
}
