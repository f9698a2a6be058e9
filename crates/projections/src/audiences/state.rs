use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use events::{AudienceEvent, Envelope, Event, ListEvent, ListMemberEvent, ProfileEvent};
use roaring::RoaringBitmap;
use types::filter::Moment;
use types::{AudienceId, ListId, StreamId, SubjectId, Timestamp};

use super::audience::{Audience, Former};
use super::columns::Columns;
use super::joined::{COHORT_MIN, Cohort, Occasion, SingleJoins};
use super::predicates::{PredicateId, Predicates};
use super::recent::{Change, Recent};
use super::row::{RowChange, Scratch};
use super::sets::At;
use crate::Profiles;
use crate::lists::State as Lists;

/// From as many people on, an event is worked out by sets and not person by person.
const SETS_FROM: usize = 1_024;
/// Cohorts of one audience; beyond that the smallest is told member by member.
const COHORTS_MAX: usize = 256;

/// No time that anybody will see.
const NEVER: Moment = Moment::LATEST;

/// Everything that is known about audiences, as of the last event.
#[derive(Debug)]
pub(crate) struct State {
    /// Place and time of the last event; its time is the present of windows.
    pub(super) last: Occasion,
    /// Everybody with a stored profile.
    pub(super) population: RoaringBitmap,
    /// By row, when the profile came to be; of no meaning for others.
    arrivals: Vec<Occasion>,
    pub(super) numbers: BTreeMap<AudienceId, u32>,
    /// By number; nothing where an audience was deleted.
    pub(super) audiences: Vec<Option<Box<Audience>>>,
    /// Those that were deleted, by id, the latest of each.
    pub(super) former: HashMap<AudienceId, VecDeque<Former>>,
    pub(super) columns: Columns,
    pub(super) predicates: Predicates,
    /// Columns with predicates by which others are reached only.
    pub(super) access_columns: BTreeMap<u32, usize>,
    /// The audiences that predicates ask about, where there are such.
    pub(super) targets: HashMap<PredicateId, u32>,
    /// Audiences that hold of people of whom nothing is true.
    pub(super) held_by_default: BTreeSet<u32>,
    pub(super) single_joins: SingleJoins,
    pub(super) recent: Recent,
    /// Before this no window changes for anybody.
    next_crossing: Moment,
    scratch: Scratch,
}

impl Default for State {
    fn default() -> Self {
        Self {
            last: Occasion::default(),
            population: RoaringBitmap::new(),
            arrivals: Vec::new(),
            numbers: BTreeMap::new(),
            audiences: Vec::new(),
            former: HashMap::new(),
            columns: Columns::default(),
            predicates: Predicates::default(),
            access_columns: BTreeMap::new(),
            targets: HashMap::new(),
            held_by_default: BTreeSet::new(),
            single_joins: SingleJoins::default(),
            recent: Recent::default(),
            next_crossing: NEVER,
            scratch: Scratch::default(),
        }
    }
}

/// What the other read models know, all of it as of the event that is being folded.
#[derive(Clone, Copy)]
pub(crate) struct Others<'a> {
    pub(crate) profiles: &'a Profiles,
    pub(crate) lists: &'a Lists,
}

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

impl State {
    pub(crate) fn apply(&mut self, envelope: &Envelope, others: Others<'_>) {
        self.last = Occasion {
            position: envelope.position,
            at: envelope.recorded_at,
        };
        let mut effects = Effects::default();
        let touched = self.touched_by(envelope);
        // A value is compared with windows as they stand at this event, not as they stood when they
        // last changed for somebody.
        if self.columns.windowed().any(|it| touched.contains(&it)) {
            self.windows_may_have_changed();
        }
        let mut crossing = self.move_windows();
        if !are_many(&crossing) {
            // Whom the event itself is about is worked out once, with all that changes.
            let own = |row: u32| envelope.subjects.contains(&SubjectId(row));
            (effects.rows, crossing) = crossing.into_iter().partition(|it| own(it.0));
        }
        if !crossing.is_empty() {
            let crossing = Effects {
                rows: crossing,
                ..Effects::default()
            };
            self.settle(crossing, others);
        }
        match &envelope.event {
            Event::Profile(event) => {
                if let Some(subject) = envelope.subjects.first() {
                    self.profile_changed(subject.0, event, &touched, others, &mut effects);
                }
                // With what people hold changes when they cross the edge of a window.
                if self.columns.windowed().any(|it| touched.contains(&it)) {
                    self.windows_may_have_changed();
                }
            }
            Event::ListMember(event) => {
                if let StreamId::List(list) | StreamId::ListMember(list, _) = &envelope.stream
                    && !matches!(event, ListMemberEvent::Updated(_))
                {
                    self.subscriptions_changed(list, &envelope.subjects, others, &mut effects);
                }
            }
            Event::List(event) => {
                if let StreamId::List(list) = &envelope.stream {
                    self.list_changed(list, event, others, &mut effects);
                }
            }
            Event::Audience(event) => {
                if let StreamId::Audience(audience) = &envelope.stream {
                    match event {
                        AudienceEvent::Defined(defined) => {
                            self.define(audience, defined, others, &mut effects);
                        }
                        AudienceEvent::Deleted(_) => self.delete(audience, others),
                    }
                }
            }
            Event::Subject(_) | Event::Clock(_) | Event::Key(_) => {}
        }
        self.settle(effects, others);
    }

    /// The columns whose value the event can change for the person that it is about.
    fn touched_by(&self, envelope: &Envelope) -> Vec<u32> {
        let (Event::Profile(event), Some(subject)) = (&envelope.event, envelope.subjects.first())
        else {
            return Vec::new();
        };
        match event {
            ProfileEvent::Updated(updated) if self.population.contains(subject.0) => {
                self.columns.touched_by(Some(&updated.changes.0))
            }
            ProfileEvent::Updated(_) | ProfileEvent::Deleted(_) => self.columns.touched_by(None),
        }
    }

    fn profile_changed(
        &mut self,
        row: u32,
        event: &ProfileEvent,
        touched: &[u32],
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        let there = self.population.contains(row);
        let document = matches!(event, ProfileEvent::Updated(_));
        if there == document && touched.is_empty() {
            return;
        }
        let document = document
            .then(|| others.profiles.document(SubjectId(row)))
            .flatten();
        let is_there = document.is_some();
        let mut flipped = Vec::new();
        self.columns
            .update(row, touched, document.as_ref(), self.last.at, &mut flipped);
        if there != is_there {
            if is_there {
                self.population.insert(row);
                let end = row as usize + 1;
                if self.arrivals.len() < end {
                    self.arrivals.resize(end, Occasion::default());
                }
                self.arrivals[end - 1] = self.last;
            } else {
                self.population.remove(row);
            }
            effects.presence = Some((row, is_there));
            // To audiences somebody without a profile is nobody: what is true of a newcomer
            // becomes true now.
            for list in others.lists.of_subject_live(SubjectId(row)) {
                flipped.extend(self.predicates.about_list(list));
            }
        }
        effects.rows.extend(flipped.into_iter().map(|it| (row, it)));
    }

    fn subscriptions_changed(
        &mut self,
        list: &ListId,
        subjects: &[SubjectId],
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        for predicate in self.predicates.about_list(list) {
            let Some(pattern) = self.predicates.pattern(predicate).cloned() else {
                continue;
            };
            let members = self.predicates.members.entry(predicate).or_default();
            for subject in subjects {
                let is_member = others.lists.is_member(&pattern, *subject);
                let changed = if is_member {
                    members.insert(subject.0)
                } else {
                    members.remove(subject.0)
                };
                if changed {
                    effects.rows.push((subject.0, predicate));
                }
            }
        }
    }

    fn list_changed(
        &mut self,
        list: &ListId,
        event: &ListEvent,
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        let nobody = RoaringBitmap::new();
        let subscribers = others.lists.subjects_of(list).unwrap_or(&nobody);
        for predicate in self.predicates.about_list(list) {
            let Some(pattern) = self.predicates.pattern(predicate).cloned() else {
                continue;
            };
            let live = self.predicates.live_lists.entry(predicate).or_default();
            let members = self.predicates.members.entry(predicate).or_default();
            let changed = match event {
                ListEvent::Updated(_) => continue,
                // A fresh list begins with nobody. A live list is never made anew by a decision, but
                // a history from elsewhere may say so.
                ListEvent::Created(_) if live.insert(list.clone()) => continue,
                ListEvent::Created(_) => {
                    let now = others.lists.union_of(&pattern);
                    &now ^ &*members
                }
                ListEvent::Restored(_) => {
                    live.insert(list.clone());
                    subscribers - &*members
                }
                ListEvent::Deleted(_) => {
                    live.remove(list);
                    let leaving = subscribers & &*members;
                    if live.is_empty() {
                        leaving
                    } else {
                        let elsewhere =
                            |row: &u32| others.lists.is_member(&pattern, SubjectId(*row));
                        leaving.iter().filter(|row| !elsewhere(row)).collect()
                    }
                }
            };
            *members ^= &changed;
            if changed.len() >= SETS_FROM as u64 {
                effects.sets.push(predicate);
            } else {
                let rows = changed.iter().map(|row| (row, predicate));
                effects.rows.extend(rows);
            }
        }
    }

    /// Moves every window to the present, and collects whom that changes.
    fn move_windows(&mut self) -> Vec<(u32, PredicateId)> {
        let mut crossing = Vec::new();
        let now = self.last.at;
        if Moment::from(now) < self.next_crossing {
            return crossing;
        }
        let mut next_crossing = NEVER;
        for number in self.columns.windowed().collect::<Vec<_>>() {
            let mut windows = self.columns.tests_mut(number).take_windows();
            if let Some(column) = self.columns.column(number) {
                for window in &mut windows {
                    window.crossing(column, now, |row| crossing.push((row, window.predicate)));
                    window.bounds = window.window.bounds(window.direction, now);
                    let next_change = window.next_change(column).unwrap_or(NEVER);
                    next_crossing = next_crossing.min(next_change);
                }
            }
            self.columns.tests_mut(number).put_windows(windows);
        }
        self.next_crossing = next_crossing;
        crossing.sort_unstable();
        crossing.dedup();
        crossing
    }

    /// To be called when a column or a window may have brought the next crossing nearer.
    pub(super) fn windows_may_have_changed(&mut self) {
        self.next_crossing = Moment::from(Timestamp(0));
    }

    /// When the next window may change for somebody, if ever.
    pub(crate) fn next_crossing(&self) -> Option<Timestamp> {
        let any = self.columns.windowed().next().is_some();
        any.then(|| self.next_crossing.to_timestamp())
    }

    /// Whether at that time some window has changed for somebody since the last event.
    pub(crate) fn window_changes_by(&self, now: Timestamp) -> bool {
        let slots = self
            .columns
            .windowed()
            .filter_map(|it| self.columns.slot(it));
        let mut changes = false;
        for slot in slots {
            let Some(column) = &slot.column else { continue };
            for window in slot.tests.windows() {
                window.crossing(column, now, |_| changes = true);
            }
        }
        changes
    }

    /// Works out whose membership changes, and takes note of it.
    fn settle(&mut self, effects: Effects, others: Others<'_>) {
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
                lists: others.lists,
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

    pub(super) fn audience(&self, number: u32) -> &Audience {
        self.audiences[number as usize]
            .as_deref()
            .expect("only audiences that exist are looked at")
    }

    pub(super) fn rank(&self, number: u32) -> u32 {
        self.audience(number).rank
    }

    /// Since when the member is in the audience.
    pub(super) fn joined(&self, audience: &Audience, number: u32, row: u32) -> Occasion {
        if self.single_joins.rows().contains(row)
            && let Some(joined) = self.single_joins.get(row, number)
        {
            return joined;
        }
        let cohort = audience.cohorts.iter().find(|it| it.rows.contains(row));
        if let Some(cohort) = cohort {
            return cohort.joined;
        }
        // From the beginning: of the audience or of the profile, whichever came later.
        let arrived = self.arrivals.get(row as usize).copied();
        arrived.unwrap_or_default().max(audience.created)
    }
}

/// Whether so many people are told of, in the order of their numbers, that sets are better.
fn are_many(rows: &[(u32, PredicateId)]) -> bool {
    rows.len() >= SETS_FROM && rows.chunk_by(|a, b| a.0 == b.0).count() >= SETS_FROM
}
