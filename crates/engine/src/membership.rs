use std::ops::ControlFlow;

use events::{Event, SubjectEvent};
use projections::{ChangePlace, MembershipChange, MembershipSteps, RememberedChanges, StepPlace};
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

    /// Who joined which audience and left which after the place up to the position, of one audience or of
    /// all, not more steps than asked for. What happened lately is remembered; for what happened before,
    /// the log is replayed, and whoever asks meanwhile is told to come again.
    pub fn membership_steps(
        &self,
        after: StepPlace,
        through: Position,
        of: Option<&AudienceId>,
        at_most: usize,
        still_wanted: &dyn Fn() -> bool,
    ) -> Result<MembershipSteps, HistoryError> {
        let audiences = &self.read_models.audiences;
        if let Some(steps) = audiences.steps(after, through, of, at_most) {
            return Ok(steps);
        }
        let _alone = self.replaying.try_lock().ok_or(HistoryError::Busy)?;
        let before = Position(after.position.0.saturating_sub(1));
        let snapshots = self.snapshots.as_ref();
        let nearest = snapshots.and_then(|it| it.nearest(&self.store.log, Until::Position(before)));
        let past = nearest.unwrap_or_default().read_models;
        let mut found = MembershipSteps {
            items: Vec::new(),
            through: after,
        };
        each_piece(&self.store, past.checkpoint().next(), |piece| {
            // What one event did is remembered as a whole until the next one, so it is picked up event
            // by event.
            let before = piece.partition_point(|it| it.position < after.position);
            past.apply(&piece[..before], &[]);
            for envelope in &piece[before..] {
                if envelope.position > through {
                    return Ok(ControlFlow::Break(()));
                }
                past.apply(std::slice::from_ref(envelope), &[]);
                if let Event::Subject(SubjectEvent::Erased(_)) = &envelope.event {
                    // Who is erased has left everything before, and what is remembered goes with this.
                    found.through = found.through.max(StepPlace::after(envelope.position));
                    continue;
                }
                let room = at_most - found.items.len();
                let steps = past
                    .audiences
                    .steps(found.through, envelope.position, of, room);
                let steps = steps.expect("what one event did is remembered until the next");
                found.items.extend(steps.items);
                found.through = found.through.max(steps.through);
                if found.items.len() == at_most || !still_wanted() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
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
