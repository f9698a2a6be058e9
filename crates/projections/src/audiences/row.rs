use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value;
use types::filter::{Facts, Set, Stored};
use types::{AttributePath, SubjectId, Timestamp};

use super::predicates::{PredicateId, Question};
use super::scratch::Scratch;
use super::state::{Sets, State};

/// What changes for one person in one event.
#[derive(Debug, Default)]
pub(super) struct RowChange {
    /// Numbers of audiences, ascending.
    pub(super) joined: Vec<u32>,
    pub(super) left: Vec<u32>,
    /// What became true or false.
    pub(super) because: Vec<(Arc<str>, bool)>,
}

/// The values of one row, each read as a number or a time at most once.
struct Reading<'a> {
    state: &'a State,
    row: u32,
    values: Vec<OnceCell<Option<Stored<'a>>>>,
}

impl<'a> Reading<'a> {
    fn stored(&self, column: u32) -> Option<&Stored<'a>> {
        let read = || {
            let column = self.state.columns.column(column)?;
            column.value(self.row).map(Stored::new)
        };
        self.values[column as usize].get_or_init(read).as_ref()
    }

    fn is_true(&self, predicate: PredicateId) -> bool {
        let state = self.state;
        match &state.predicates.get(predicate).question {
            Question::Attribute { column, test } => {
                test.accepts(self.stored(*column), state.last.at)
            }
            Question::Set(Set::List(_) | Set::Tenant(_) | Set::TenantTree(_)) => {
                let members = state.predicates.members.get(&predicate);
                members.is_some_and(|members| members.contains(self.row))
            }
            Question::Set(Set::Audience(_)) => {
                let target = state.targets.get(&predicate);
                target.is_some_and(|number| state.audience(*number).members.contains(self.row))
            }
        }
    }
}

impl State {
    /// Which audiences the person joins and leaves now that these predicates are another of them,
    /// and with `presence` that the profile came or went. Nothing is taken note of.
    pub(super) fn row_change(
        &self,
        row: u32,
        changed: &[PredicateId],
        presence: Option<bool>,
        scratch: &mut Scratch,
    ) -> RowChange {
        let reading = Reading {
            state: self,
            row,
            values: (0..self.columns.len()).map(|_| OnceCell::new()).collect(),
        };
        scratch.begin(self.predicates.end(), self.audiences.len());
        let rank = |number| self.rank(number);
        let ask = |predicate| reading.is_true(predicate);
        let mut access: Option<Vec<PredicateId>> = None;
        let mut look = |scratch: &mut Scratch, predicate: PredicateId| {
            let predicate = self.predicates.get(predicate);
            scratch.look_at(predicate.dependents(None), rank);
            if predicate.has_access() {
                let access = access.get_or_insert_with(|| self.access_of(&reading));
                for through in access {
                    scratch.look_at(predicate.dependents(Some(*through)), rank);
                }
            }
        };
        for predicate in changed {
            scratch.turn(*predicate);
            look(scratch, *predicate);
        }
        if presence.is_some() {
            for number in &self.held_by_default {
                scratch.look_at(std::slice::from_ref(number), rank);
            }
        }
        let mut outcome = RowChange::default();
        let is_there = self.population.contains(row);
        while let Some(number) = scratch.next() {
            let audience = self.audience(number);
            let rule = audience.rule.as_ref();
            let holds = is_there
                && rule.is_some_and(|rule| {
                    let mut is_true = |predicate| scratch.is_true(predicate, ask);
                    rule.expression.holds(&mut is_true)
                });
            // Whether it held before follows from what turned, without a look at the members, of
            // whom there are far more than fit into the processor's caches. Where the profile came
            // or went it does not follow.
            let held = match presence {
                Some(_) => audience.members.contains(row),
                None => {
                    is_there
                        && rule.is_some_and(|rule| {
                            let mut was_true = |predicate| scratch.was_true(predicate, ask);
                            rule.expression.holds(&mut was_true)
                        })
                }
            };
            debug_assert_eq!(held, audience.members.contains(row));
            if holds == held {
                continue;
            }
            if holds {
                outcome.joined.push(number);
            } else {
                outcome.left.push(number);
            }
            if let Some(predicate) = audience.as_set {
                scratch.turn_to(predicate, holds);
                outcome
                    .because
                    .push((Arc::clone(&self.predicates.get(predicate).label), holds));
                look(scratch, predicate);
            }
        }
        if outcome.joined.is_empty() && outcome.left.is_empty() {
            return outcome;
        }
        outcome.joined.sort_unstable();
        outcome.left.sort_unstable();
        if !is_there {
            // Nothing else turned but that there is no profile any more.
            outcome.because.clear();
            return outcome;
        }
        for predicate in changed {
            let is_true = reading.is_true(*predicate);
            let label = Arc::clone(&self.predicates.get(*predicate).label);
            outcome.because.push((label, is_true));
        }
        outcome
    }

    /// The predicates true of the person by which audiences are reached.
    fn access_of(&self, reading: &Reading<'_>) -> Vec<PredicateId> {
        let mut found = Vec::new();
        for column in self.access_columns.keys() {
            let (Some(slot), Some(stored)) = (self.columns.slot(*column), reading.stored(*column))
            else {
                continue;
            };
            slot.tests.equal_to(stored, |predicate| {
                if self.predicates.get(predicate).is_access() {
                    found.push(predicate);
                }
            });
        }
        found
    }
}

/// What the index knows about one person, in the form in which the definition of truth asks.
pub(super) struct RowFacts<'a> {
    pub(super) state: &'a State,
    pub(super) sets: Sets<'a>,
    pub(super) now: Timestamp,
    pub(super) row: u32,
}

impl Facts for RowFacts<'_> {
    fn attribute(&self, path: &AttributePath) -> Option<&Value> {
        self.state.columns.get(path)?.value(self.row)
    }

    fn is_member(&self, set: &Set) -> bool {
        self.state.is_member(set, self.row, self.sets)
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

impl State {
    /// Whether the person is in the set, whatever rule asks.
    pub(super) fn is_member(&self, set: &Set, row: u32, sets: Sets<'_>) -> bool {
        match set {
            Set::List(pattern) => sets.lists.is_member(pattern, SubjectId(row)),
            Set::Audience(audience) => {
                let number = self.numbers.get(audience);
                number.is_some_and(|number| self.audience(*number).members.contains(row))
            }
            Set::Tenant(tenant) => sets.tenants.is_member(tenant, SubjectId(row)),
            Set::TenantTree(root) => sets.tenants.is_member_of_tree(root, SubjectId(row)),
        }
    }
}
