use std::cell::LazyCell;
use std::collections::BTreeMap;

use events::{
    AudienceEvent, Envelope, Event, ListEvent, ListMemberEvent, ProfileEvent, SubjectEvent,
};
use roaring::RoaringBitmap;
use types::filter::{Moment, Set};
use types::{ListId, StreamId, SubjectId, TenantId};

use super::joined::Occasion;
use super::predicates::{PredicateId, Question};
use super::settle::{Effects, are_many};
use super::state::{NEVER, Others, State};
use crate::TRACKED_EVENTS;

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
        if is_about_sets(&envelope.event) {
            // Lists and tenants are already as this event leaves them, so whoever crosses is worked
            // out together with those whom it is about, once the index knows the same.
            effects.rows = std::mem::take(&mut crossing);
        } else if !are_many(&crossing) {
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
            Event::Tenant(_) => {
                if let StreamId::Tenant(tenant) = &envelope.stream {
                    self.tenant_changed(tenant, others, &mut effects);
                }
            }
            Event::TenantMember(_) => {
                if let StreamId::Tenant(tenant) | StreamId::TenantMember(tenant, _) =
                    &envelope.stream
                {
                    self.memberships_changed(tenant, &envelope.subjects, others, &mut effects);
                }
            }
            Event::Subject(SubjectEvent::Erased(_)) => {
                // The log no longer tells in which audiences they were, and neither does memory.
                self.recent.forget(envelope.position);
            }
            Event::Subject(SubjectEvent::Registered(_))
            | Event::Section(_)
            | Event::Topic(_)
            | Event::PreferencePage(_)
            | Event::Preference(_)
            | Event::Token(_)
            | Event::Brand(_)
            | Event::Clock(_)
            | Event::Key(_)
            | Event::Webhook(_)
            | Event::Request(_)
            | Event::Message(_)
            | Event::Bulk(_)
            | Event::Template(_)
            | Event::Inbox(_) => {}
            Event::Track(_) => {
                if let Some(subject) = envelope.subjects.first()
                    && !touched.is_empty()
                {
                    self.attributes_changed(subject.0, &touched, others, &mut effects);
                }
            }
        }
        self.settle(effects, others);
    }

    /// The columns whose value the event can change for the person that it is about.
    fn touched_by(&self, envelope: &Envelope) -> Vec<u32> {
        let Some(subject) = envelope.subjects.first() else {
            return Vec::new();
        };
        let is_there = self.population.contains(subject.0);
        if is_there && matches!(envelope.event, Event::Track(_)) {
            return self.columns.of_member(TRACKED_EVENTS);
        }
        let Event::Profile(event) = &envelope.event else {
            return Vec::new();
        };
        match event {
            ProfileEvent::Updated(updated) if is_there => {
                self.columns.touched_by(updated.changes.known())
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
            .then(|| others.attributes.document(SubjectId(row)))
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
            for list in others.sets.lists.of_subject_live(SubjectId(row)) {
                flipped.extend(self.predicates.about_list(list));
            }
            if self.predicates.ask_about_tenants() {
                for tenant in others.sets.tenants.of_subject(SubjectId(row)) {
                    flipped.extend(self.about_membership(tenant, others));
                }
            }
        }
        effects.rows.extend(flipped.into_iter().map(|it| (row, it)));
    }

    /// What somebody did is another attribute; that they have a profile stays.
    fn attributes_changed(
        &mut self,
        row: u32,
        touched: &[u32],
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        let document = others.attributes.document(SubjectId(row));
        let mut flipped = Vec::new();
        let at = self.last.at;
        self.columns
            .update(row, touched, document.as_ref(), at, &mut flipped);
        if self.columns.windowed().any(|it| touched.contains(&it)) {
            self.windows_may_have_changed();
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
                let is_member = others.sets.lists.is_member(&pattern, *subject);
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
        let subscribers = others.sets.lists.subjects_of(list).unwrap_or(&nobody);
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
                    let now = others.sets.lists.union_of(&pattern);
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
                            |row: &u32| others.sets.lists.is_member(&pattern, SubjectId(*row));
                        leaving.iter().filter(|row| !elsewhere(row)).collect()
                    }
                }
            };
            *members ^= &changed;
            effects.turn(predicate, &changed);
        }
    }

    /// The predicates that are true of a member of this tenant.
    fn about_membership(&self, tenant: &TenantId, others: Others<'_>) -> Vec<PredicateId> {
        let lineage = others.sets.tenants.lineage(tenant);
        let trees = lineage.filter_map(|it| self.predicates.about_tree(it));
        let itself = self.predicates.about_tenant(tenant);
        itself.into_iter().chain(trees).collect()
    }

    fn memberships_changed(
        &mut self,
        tenant: &TenantId,
        subjects: &[SubjectId],
        others: Others<'_>,
        effects: &mut Effects,
    ) {
        if !self.predicates.ask_about_tenants() {
            return;
        }
        self.note_known(tenant, others);
        let tenants = others.sets.tenants;
        let about = self.about_membership(tenant, others);
        let about = about.into_iter();
        let about = about.map(|it| (it, self.predicates.get(it).question.clone()));
        let about: Vec<(PredicateId, Question)> = about.collect();
        for subject in subjects {
            // Worked out once for all predicates: a person may have many memberships, far down.
            let trees = LazyCell::new(|| tenants.trees_of(*subject));
            for (predicate, question) in &about {
                let is_member = match question {
                    Question::Set(Set::Tenant(tenant)) => tenants.is_member(tenant, *subject),
                    Question::Set(Set::TenantTree(root)) => trees.contains(root),
                    Question::Set(Set::List(_) | Set::Audience(_)) | Question::Attribute { .. } => {
                        continue;
                    }
                };
                let members = self.predicates.members.entry(*predicate).or_default();
                let changed = if is_member {
                    members.insert(subject.0)
                } else {
                    members.remove(subject.0)
                };
                if changed {
                    effects.rows.push((subject.0, *predicate));
                }
            }
        }
    }

    /// With a tenant's parent everybody below it comes into other trees, or leaves them.
    fn tenant_changed(&mut self, tenant: &TenantId, others: Others<'_>, effects: &mut Effects) {
        self.note_known(tenant, others);
        let tenants = others.sets.tenants;
        let details = tenants.details(tenant);
        let after = details.and_then(|details| details.parent_tenant_id.clone());
        let before = match &after {
            Some(parent) => self.parents.insert(tenant.clone(), parent.clone()),
            None => self.parents.remove(tenant),
        };
        if before == after || !self.predicates.ask_about_tenants() {
            return;
        }
        for parent in before.iter().chain(&after) {
            self.note_known(parent, others);
        }
        // Nothing above has changed, so the ancestors that it had are still those of its parent.
        let above = |parent: &Option<TenantId>| {
            let lineage = parent.iter().flat_map(|parent| tenants.lineage(parent));
            let trees =
                lineage.filter_map(|it| Some((it.clone(), self.predicates.about_tree(it)?)));
            trees.collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (above(&before), above(&after));
        if before == after {
            return;
        }
        // Everybody below the tenant has come into the trees of its new ancestors, and left those of
        // the old ones unless something else holds them there.
        let moved = tenants.rows_of_tree(tenant);
        for (root, predicate) in before.iter().chain(&after) {
            let members = self.predicates.members.entry(*predicate).or_default();
            let changed = match (before.contains_key(root), after.contains_key(root)) {
                (false, true) => &moved - &*members,
                (true, false) => (&moved & &*members) - tenants.rows_of_tree(root),
                (true, true) | (false, false) => continue,
            };
            *members ^= &changed;
            effects.turn(*predicate, &changed);
        }
    }

    /// Takes note of whether anybody knows of the tenant.
    pub(super) fn note_known(&mut self, tenant: &TenantId, others: Others<'_>) {
        let tenants = others.sets.tenants;
        let itself = self.predicates.about_tenant(tenant);
        let tree = self.predicates.about_tree(tenant);
        let about = [
            itself.map(|it| (it, tenants.is_known(tenant))),
            tree.map(|it| (it, tenants.is_known_tree(tenant))),
        ];
        for (predicate, known) in about.into_iter().flatten() {
            if known {
                self.predicates.known_tenants.insert(predicate);
            } else {
                self.predicates.known_tenants.remove(&predicate);
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
}

/// Whether the event changes who is in lists or tenants. Every event has been considered in
/// [`State::apply`].
fn is_about_sets(event: &Event) -> bool {
    matches!(
        event,
        Event::List(_) | Event::ListMember(_) | Event::Tenant(_) | Event::TenantMember(_)
    )
}
