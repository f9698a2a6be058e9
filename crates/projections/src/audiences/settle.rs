use std::collections::BTreeSet;
use std::sync::Arc;

use roaring::RoaringBitmap;

use super::joined::{COHORT_MIN, Cohort};
use super::predicates::PredicateId;
use super::recent::Change;
use super::row::RowChange;
use super::sets::At;
use super::state::{Others, State};

/// From as many people on, an event is worked out by sets and not person by person.
const SETS_FROM: usize = 1_024;
/// Cohorts of one audience; beyond that the smallest is told member by member.
const COHORTS_MAX: usize = 256;

/// What one event made true or false.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Of single people.
    pub(super) rows: Vec<(u32, PredicateId)>,
    /// Whose profile came or went.
    pub(super) presence: Option<(u32, bool)>,
    /// Predicates of which so much changed that their audiences are worked out anew.
    pub(super) sets: Vec<PredicateId>,
    /// An audience whose rule is another now.
    pub(super) redefined: Option<u32>,
}

impl Effects {
    /// The predicate is now another of these people.
    pub(super) fn turn(&mut self, predicate: PredicateId, changed: &RoaringBitmap) {
        if changed.len() >= SETS_FROM as u64 {
            self.sets.push(predicate);
        } else {
            self.rows.extend(changed.iter().map(|row| (row, predicate)));
        }
    }
}

impl State {
    /// Works out whose membership changes, and takes note of it.
    pub(super) fn settle(&mut self, effects: Effects, others: Others<'_>) {
        let Effects {
            mut rows,
            presence,
            sets,
            redefined,
        } = effects;
        rows.sort_unstable();
        if redefined.is_some() || !sets.is_empty() || are_many(&rows) {
            return self.settle_sets(&rows, presence, &sets, redefined, others);
        }
        if rows.is_empty() && presence.is_none() {
            return;
        }
        let mut changed: Vec<PredicateId> = Vec::new();
        for of_row in rows.chunk_by(|a, b| a.0 == b.0) {
            let row = of_row[0].0;
            let there = presence.filter(|(who, _)| *who == row).map(|it| it.1);
            changed.clear();
            for same in of_row.chunk_by(|a, b| a == b) {
                // What the clock and the event itself both turned is as it was before.
                if there.is_some() || same.len() % 2 == 1 {
                    changed.push(same[0].1);
                }
            }
            self.settle_row(row, &changed, there);
        }
        if let Some((row, there)) = presence
            && !rows.iter().any(|(who, _)| *who == row)
        {
            self.settle_row(row, &[], Some(there));
        }
    }

    /// As [`State::settle`], for an audience whose rule was defined or removed.
    pub(super) fn settle_redefined(&mut self, number: u32, others: Others<'_>) {
        let effects = Effects {
            redefined: Some(number),
            ..Effects::default()
        };
        self.settle(effects, others);
    }

    fn settle_row(&mut self, row: u32, changed: &[PredicateId], presence: Option<bool>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let RowChange {
            joined,
            left,
            because,
        } = self.row_change(row, changed, presence, &mut scratch);
        self.scratch = scratch;
        if joined.is_empty() && left.is_empty() {
            return;
        }
        for number in &joined {
            self.audience_mut(*number).members.insert(row);
        }
        for number in &left {
            self.audience_mut(*number).members.remove(row);
        }
        let audiences = &mut self.audiences;
        self.single_joins.remove(row, &left, |number| {
            let audience = audiences[number as usize].as_mut();
            let cohorts = audience.into_iter().flat_map(|it| &mut it.cohorts);
            for cohort in cohorts {
                if cohort.rows.remove(row) {
                    break;
                }
            }
        });
        // Whoever joins with the profile itself needs no word about it.
        if presence != Some(true) {
            self.single_joins.add(row, self.last, joined.clone());
        }
        self.recent.push(Change::Row {
            occasion: self.last,
            row,
            joined: joined.into(),
            left: left.into(),
            because: because.into(),
        });
    }

    /// As [`State::settle`], by sets: every audience that may be concerned is worked out anew.
    fn settle_sets(
        &mut self,
        rows: &[(u32, PredicateId)],
        presence: Option<(u32, bool)>,
        sets: &[PredicateId],
        redefined: Option<u32>,
        others: Others<'_>,
    ) {
        let mut changed: BTreeSet<PredicateId> = rows.iter().map(|(_, it)| *it).collect();
        changed.extend(sets);
        let mut due: BTreeSet<(u32, u32)> = BTreeSet::new();
        for predicate in &changed {
            due.extend(self.dependents_with_rank(*predicate));
        }
        if presence.is_some() {
            let held = self.held_by_default.iter();
            due.extend(held.map(|number| (self.rank(*number), *number)));
        }
        due.extend(redefined.map(|number| (self.rank(number), number)));
        while let Some((_, number)) = due.pop_first() {
            let because = match (redefined, &self.audience(number).rule) {
                (Some(redefined), Some(_)) if redefined == number => "the rule was defined".into(),
                (Some(redefined), None) if redefined == number => "the rule was removed".into(),
                _ => self.label_among(number, &changed, presence),
            };
            if self.recompute(number, &because, others)
                && let Some(predicate) = self.audience(number).as_set
            {
                changed.insert(predicate);
                due.extend(self.dependents_with_rank(predicate));
            }
        }
    }

    fn dependents_with_rank(&self, predicate: PredicateId) -> Vec<(u32, u32)> {
        let dependents = self.predicates.get(predicate).all_dependents();
        dependents
            .map(|number| (self.rank(number), number))
            .collect()
    }

    fn label_among(
        &self,
        number: u32,
        changed: &BTreeSet<PredicateId>,
        presence: Option<(u32, bool)>,
    ) -> Arc<str> {
        let rule = self.audience(number).rule.as_ref();
        let leaf = rule.and_then(|rule| rule.leaves.iter().find(|leaf| changed.contains(leaf)));
        match (leaf, presence) {
            (Some(leaf), _) => {
                let label = &self.predicates.get(*leaf).label;
                format!("{label} changed").into()
            }
            (None, Some((_, true))) => "the profile was created".into(),
            (None, Some((_, false))) => "the profile was deleted".into(),
            (None, None) => "the rule was defined".into(),
        }
    }

    /// Works the members of one audience out anew; whether they changed.
    fn recompute(&mut self, number: u32, because: &Arc<str>, others: Others<'_>) -> bool {
        let rule = self.audience(number).rule.as_ref();
        let members = rule.map_or_else(RoaringBitmap::new, |rule| {
            let group = Arc::clone(&rule.group);
            let at = At {
                sets: others.sets,
                now: self.last.at,
            };
            self.members_of(&group, at)
                .expect("every column that a rule asks for is there")
        });
        let (last, created) = (self.last, self.audience(number).created);
        let audience = self.audiences[number as usize]
            .as_deref_mut()
            .expect("only audiences that exist are looked at");
        let joined = &members - &audience.members;
        let left = &audience.members - &members;
        if joined.is_empty() && left.is_empty() {
            return false;
        }
        audience.members = members;
        for cohort in &mut audience.cohorts {
            cohort.rows -= &left;
        }
        audience.cohorts.retain(|cohort| !cohort.rows.is_empty());
        for row in self.single_joins.rows() & &left {
            self.single_joins.remove(row, &[number], |_| ());
        }
        // Whoever is in it from its beginning needs no word about it.
        if created != last && !joined.is_empty() {
            let cohort = Cohort {
                joined: last,
                rows: joined.clone(),
            };
            if joined.len() >= COHORT_MIN {
                audience.cohorts.push(cohort);
                if audience.cohorts.len() > COHORTS_MAX {
                    let by_size = |(_, cohort): &(usize, &Cohort)| cohort.rows.len();
                    let smallest = audience.cohorts.iter().enumerate().min_by_key(by_size);
                    let smallest = smallest.map_or(0, |(place, _)| place);
                    let cohort = audience.cohorts.swap_remove(smallest);
                    self.tell_singly(number, &cohort);
                }
            } else {
                self.tell_singly(number, &cohort);
            }
        }
        self.recent.push(Change::Audience {
            occasion: self.last,
            audience: number,
            joined,
            left,
            because: Arc::clone(because),
        });
        true
    }

    fn tell_singly(&mut self, number: u32, cohort: &Cohort) {
        for row in &cohort.rows {
            self.single_joins.add(row, cohort.joined, vec![number]);
        }
    }
}

/// Whether so many people are told of, in the order of their numbers, that sets are better.
pub(super) fn are_many(rows: &[(u32, PredicateId)]) -> bool {
    rows.len() >= SETS_FROM && rows.chunk_by(|a, b| a.0 == b.0).count() >= SETS_FROM
}
