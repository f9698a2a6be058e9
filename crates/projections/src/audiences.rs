//! Audiences: who is in them, exactly, as of the last event.
//!
//! An index answers a write by looking only at the predicates that it makes true or false of
//! somebody, and through them at the audiences concerned; a new rule is algebra on sets. What is
//! true is defined elsewhere, by [`types::filter::Group::matches`], and the index agrees with it at
//! every position.

mod audience;
mod changes;
mod column;
mod columns;
mod define;
mod fold;
mod joined;
mod person;
mod predicates;
mod recent;
mod row;
mod rows;
mod saved;
mod scratch;
mod sets;
mod settle;
mod sorted;
mod state;
mod steps;
mod tests_of_column;
mod views;

use std::ops::Bound;
use std::sync::Arc;

use events::AudienceDefined;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use types::filter::Group;
use types::{AudienceId, PageLimit, Position, SubjectId, Timestamp};

pub use self::changes::{ChangePlace, MembershipChange, RememberedChanges};
use self::columns::{Wanted, build_all};
pub use self::joined::Occasion;
pub use self::person::SelfCheck;
pub(crate) use self::state::{Others, Sets, State};
pub use self::steps::{MembershipStep, MembershipSteps, StepPlace};
pub use self::views::{AudienceOfMember, AudienceView, MemberView, MembersPage, Unreadable};
use crate::attributes::Attributes;

/// The audiences.
///
/// One lock, taken for writing once per committed group, for reading once per question. Whoever
/// needs lists or tenants too locks them first.
#[derive(Default)]
pub struct Audiences {
    state: RwLock<State>,
    /// Held by whoever builds columns beside the writer: one at a time.
    building: Mutex<()>,
}

impl Audiences {
    /// As [`crate::Projection::VERSION`].
    pub(crate) const VERSION: u16 = 1;

    /// Every audience that holds the person, in the order of their ids.
    pub fn of_subject(&self, subject: SubjectId) -> Vec<AudienceId> {
        let state = self.state.read();
        let holding = state.numbers_holding(subject, None);
        holding.map(|(id, _)| id.clone()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.state.read().audiences.iter().flatten().count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often somebody joined an audience or left one since the read models were built.
    pub fn change_count(&self) -> u64 {
        self.state.read().recent.people
    }

    pub fn get(&self, audience: &AudienceId) -> Option<AudienceView> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        Some(state.view(number))
    }

    /// One page in the order of the ids, and whether there are more.
    pub fn page(&self, after: Option<&AudienceId>, limit: PageLimit) -> (Vec<AudienceView>, bool) {
        let state = self.state.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = state
            .numbers
            .range::<AudienceId, _>((from, Bound::Unbounded));
        let mut page = Vec::new();
        let mut bytes = 0;
        for (_, number) in range {
            if page.len() == limit.rows() || bytes > PageLimit::BYTES_MAX {
                return (page, true);
            }
            let view = state.view(*number);
            let filter = view.filter.as_ref().map_or(0, |it| it.as_str().len());
            bytes += view.name.len() + view.description.len() + filter;
            page.push(view);
        }
        (page, false)
    }

    /// What the audience is, as the event says that defined it last.
    pub fn definition(&self, audience: &AudienceId) -> Option<AudienceDefined> {
        let state = self.state.read();
        let audience = state.audience(*state.numbers.get(audience)?);
        Some(AudienceDefined {
            name: audience.name.clone(),
            description: audience.description.clone(),
            filter: audience.rule.as_ref().map(|rule| rule.document.clone()),
            version: audience.versions.last(),
        })
    }

    pub fn rule(&self, audience: &AudienceId) -> Option<Arc<Group>> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        let rule = state.audience(number).rule.as_ref();
        rule.map(|rule| Arc::clone(&rule.group))
    }

    /// Where the audience began, or the first of those that had the id before it and are remembered.
    /// Nothing if there is none now.
    pub fn began(&self, audience: &AudienceId) -> Option<Position> {
        self.state.read().began(audience)
    }

    /// The id that follows in the order of ids.
    pub fn following(&self, audience: Option<&AudienceId>) -> Option<AudienceId> {
        let state = self.state.read();
        let from = audience.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = state
            .numbers
            .range::<AudienceId, _>((from, Bound::Unbounded));
        range.next().map(|(id, _)| id.clone())
    }

    pub fn count(&self, audience: &AudienceId) -> Option<u64> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        Some(state.audience(number).members.len())
    }

    /// One page of the members by their numbers, which is the order in which people first appeared:
    /// whatever is written between two pages, nobody moves from one to the other.
    pub fn members(
        &self,
        audience: &AudienceId,
        after: Option<SubjectId>,
        limit: PageLimit,
    ) -> Option<MembersPage> {
        self.state.read().members(audience, after, limit)
    }

    /// Membership as it changed after the place, oldest first, and whether there is more. `None` if
    /// there is no such audience, or if what happened then is no longer remembered:
    /// [`Audiences::remembers_after`] tells.
    pub fn changes(
        &self,
        audience: &AudienceId,
        after: ChangePlace,
        limit: PageLimit,
    ) -> Option<RememberedChanges> {
        let state = self.state.read();
        // One that was deleted tells who left with it.
        if !state.was_ever(audience) {
            return None;
        }
        let (items, more) = state.changes(audience, after, limit.rows());
        let last = items.last().filter(|_| more).map(MembershipChange::place);
        let seen = ChangePlace {
            position: state.last.position,
            subject: SubjectId(u32::MAX),
        };
        Some(RememberedChanges {
            items,
            more,
            next: last.unwrap_or(seen).max(after),
        })
    }

    /// Whether every change after this place is remembered.
    pub fn remembers_after(&self, audience: &AudienceId, after: ChangePlace) -> bool {
        let state = self.state.read();
        let forgotten = state.recent.complete_after();
        // Before the first audience with this id nothing changed in any.
        let began = state.began(audience).unwrap_or(Position::START);
        let whole = after.subject == SubjectId(u32::MAX);
        began > forgotten
            || after.position > forgotten
            || (after.position == forgotten && whole)
            || forgotten == Position::START
    }

    /// Who joined what and left what after the place up to the position, of one audience or of all, not more
    /// steps than asked for. `None` if not all of them are remembered: a replay finds them.
    pub fn steps(
        &self,
        after: StepPlace,
        through: Position,
        of: Option<&AudienceId>,
        at_most: usize,
    ) -> Option<MembershipSteps> {
        let gathered = self.state.read().gather(after, through, at_most)?;
        Some(gathered.steps(after, of, at_most))
    }

    /// How many audiences are in a row that ask about each other and at last about this one; not more
    /// than are asked for are counted.
    pub fn levels_above(&self, audience: &AudienceId, at_most: usize) -> usize {
        self.state.read().levels_above(audience, at_most)
    }

    /// When the next relative window may change for somebody, if ever.
    pub fn next_crossing(&self) -> Option<Timestamp> {
        self.state.read().next_crossing()
    }

    /// Whether by this time some window has changed for somebody since the last event.
    pub fn window_changes_by(&self, now: Timestamp) -> bool {
        self.state.read().window_changes_by(now)
    }

    /// Sees to it that the index has whatever the rule asks for, and keeps it until
    /// [`Audiences::unpin`]. Reading every profile for paths of which nobody asked before takes long;
    /// it is done here, beside the writer, and not by it, and given up when nobody waits any more.
    pub(crate) fn pin(
        &self,
        attributes: Attributes<'_>,
        rule: &Group,
        still_wanted: &dyn Fn() -> bool,
    ) -> Vec<u32> {
        let wanted = Wanted::of(rule);
        let there = {
            let state = self.state.read();
            let covers = |want: &Wanted| {
                let column = state.columns.get(&want.path);
                column.is_some_and(|column| column.orders().covers(want.orders))
            };
            wanted.iter().all(covers)
        };
        // Whoever finds everything there does not wait for those who build.
        let _one_at_a_time = (!there).then(|| self.building.lock());
        let (pinned, missing) = self.state.write().columns.pin(&wanted);
        if !missing.is_empty() {
            match build_all(&missing, attributes, still_wanted) {
                Some(columns) => {
                    for column in columns {
                        self.state.write().columns.finish(column, attributes);
                    }
                }
                None => self.state.write().columns.abandon(&missing),
            }
        }
        pinned
    }

    pub(crate) fn unpin(&self, pinned: &[u32]) {
        self.state.write().columns.unpin(pinned);
    }

    /// For questions that go over several read models.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// For folding a group of events without letting a reader in between.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}
