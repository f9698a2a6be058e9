use std::sync::Arc;

use types::filter::join_reasons;
use types::{AudienceId, Position, SubjectId};

use super::audience::{Audience, Versions};
use super::joined::Occasion;
use super::predicates::PredicateId;
use super::recent::Change;
use super::state::State;

/// One change of the membership of one audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipChange {
    pub subject: SubjectId,
    pub joined: bool,
    pub occasion: Occasion,
    pub version: u32,
    /// What became true or false, so that this followed.
    pub reason: String,
}

impl MembershipChange {
    pub fn place(&self) -> ChangePlace {
        ChangePlace {
            position: self.occasion.position,
            subject: self.subject,
        }
    }

    /// Where a page of so many rows ends. In one event somebody can leave by the clock and come back
    /// by what they hold: the two are told together, for they have one place.
    pub fn page_end(changes: &[Self], rows_max: usize) -> usize {
        let mut end = rows_max.min(changes.len());
        while end > 0 && end < changes.len() && changes[end].place() == changes[end - 1].place() {
            end += 1;
        }
        end
    }
}

/// Where to go on in the changes of an audience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangePlace {
    pub position: Position,
    /// The last one told of those at the position.
    pub subject: SubjectId,
}

/// Changes that are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedChanges {
    pub items: Vec<MembershipChange>,
    pub more: bool,
    /// Where to go on: after the last of these, or after everything that has happened so far.
    pub next: ChangePlace,
}

impl State {
    /// Where the audience began, or the first of those that had the id before it and are remembered.
    pub(super) fn began(&self, audience: &AudienceId) -> Option<Position> {
        let number = *self.numbers.get(audience)?;
        let created = self.audience(number).created.position;
        let former = self.former.get(audience).and_then(|it| it.front());
        Some(former.map_or(created, |former| former.created))
    }

    /// Whether there is such an audience, or one is remembered.
    pub(super) fn was_ever(&self, audience: &AudienceId) -> bool {
        self.numbers.contains_key(audience) || self.former.contains_key(audience)
    }

    /// What an audience was called in changes, and which version was in force.
    fn incarnations(&self, id: &AudienceId) -> Vec<(u32, &Versions)> {
        let former = self.former.get(id).into_iter().flatten();
        let mut incarnations: Vec<(u32, &Versions)> = former
            .map(|former| (former.number, &former.versions))
            .collect();
        if let Some(number) = self.numbers.get(id) {
            incarnations.push((*number, &self.audience(*number).versions));
        }
        incarnations
    }

    /// What the rule asked that was in force at the position, as reasons write it; nothing if that is
    /// not remembered.
    fn labels_at(&self, audience: &Audience, position: Position) -> Vec<Arc<str>> {
        let until = |(until, _): &&(Position, Vec<Arc<str>>)| position < *until;
        if let Some((_, labels)) = audience.former_labels.iter().find(until) {
            return labels.clone();
        }
        let leaves = audience.rule.as_ref().map_or(&[][..], |rule| &rule.leaves);
        let label = |leaf: &PredicateId| Arc::clone(&self.predicates.get(*leaf).label);
        leaves.iter().map(label).collect()
    }

    pub(super) fn changes(
        &self,
        id: &AudienceId,
        after: ChangePlace,
        rows_max: usize,
    ) -> (Vec<MembershipChange>, bool) {
        let incarnations = self.incarnations(id);
        let present = self.numbers.get(id).map(|number| self.audience(*number));
        let mut found: Vec<MembershipChange> = Vec::new();
        // Told of one position is all or the beginning, in the order of the people; a position is
        // gathered before the next is looked at, because its parts come in any order.
        let mut cut_short = false;
        for change in self.recent.from(after.position) {
            let occasion = change.occasion();
            let position = occasion.position;
            if found.len() > rows_max
                && found
                    .last()
                    .is_some_and(|it| it.occasion.position < position)
            {
                cut_short = true;
                break;
            }
            let told = |row: u32| {
                let subject = SubjectId(row);
                ChangePlace { position, subject } <= after
            };
            let one =
                |versions: &Versions, row: u32, joined: bool, reason: String| MembershipChange {
                    subject: SubjectId(row),
                    joined,
                    occasion,
                    version: versions.at(position),
                    reason,
                };
            for (number, versions) in &incarnations {
                match &**change {
                    Change::Row {
                        row,
                        joined,
                        left,
                        because,
                        ..
                    } => {
                        let has_joined = joined.binary_search(number).is_ok();
                        if told(*row) || (!has_joined && left.binary_search(number).is_err()) {
                            continue;
                        }
                        let labels = present.map(|it| self.labels_at(it, position));
                        let labels = labels.unwrap_or_default();
                        let reason = reason_of(because, &labels, has_joined);
                        found.push(one(versions, *row, has_joined, reason));
                    }
                    Change::Audience {
                        audience,
                        joined,
                        left,
                        because,
                        ..
                    } if audience == number => {
                        let both = joined | left;
                        let mut rows = both.iter().filter(|row| !told(*row));
                        for row in rows.by_ref().take(rows_max + 1) {
                            let reason = because.to_string();
                            found.push(one(versions, row, joined.contains(row), reason));
                        }
                    }
                    Change::Audience { .. } => {}
                }
            }
        }
        found.sort_by_key(MembershipChange::place);
        let end = MembershipChange::page_end(&found, rows_max);
        let more = cut_short || end < found.len();
        found.truncate(end);
        (found, more)
    }
}

/// The predicates that turned and about which the rule asks; all that turned if none of them is known
/// to be asked.
fn reason_of(because: &[(Arc<str>, bool)], labels: &[Arc<str>], joined: bool) -> String {
    let tell = |(label, is_true): &(Arc<str>, bool)| format!("{label} => {is_true}");
    let asked = because.iter().filter(|(label, _)| labels.contains(label));
    let mut told: Vec<String> = asked.map(tell).collect();
    if told.is_empty() {
        told = because.iter().map(tell).collect();
    }
    if told.is_empty() {
        // Nothing turned but that there is a profile.
        let what = if joined { "created" } else { "deleted" };
        told.push(format!("the profile was {what}"));
    }
    join_reasons(told)
}
