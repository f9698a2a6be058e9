//! Audiences: who is in them, exactly, as of the last event.
//!
//! An index answers a write by looking only at the predicates that it makes true or false of
//! somebody, and through them at the audiences concerned; a new rule is algebra on sets. What is
//! true is defined elsewhere, by [`types::filter::Group::matches`], and the index agrees with it at
//! every position.

mod audience;
mod column;
mod columns;
mod define;
mod joined;
mod predicates;
mod recent;
mod row;
mod rows;
mod sets;
mod sorted;
mod state;
mod tests_of_column;

use std::ops::Bound;
use std::sync::Arc;

use events::AudienceDefined;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::RoaringBitmap;
use types::filter::{Condition, Group, GroupOperator, Rule, Set};
use types::{AudienceId, JsonDocument, PageLimit, Position, SubjectId, Timestamp};

use self::columns::{Wanted, build};
pub use self::joined::Occasion;
use self::recent::Change;
use self::row::RowFacts;
pub(crate) use self::state::{Others, State};
use crate::lists::State as ListsState;
use crate::{Digest, Profiles};

/// The audiences.
///
/// One lock, taken for writing once per committed group, for reading once per question. Whoever
/// needs the lists too locks them first.
#[derive(Default)]
pub struct Audiences {
    state: RwLock<State>,
    /// Held by whoever builds columns beside the writer: one at a time.
    building: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceView {
    pub id: AudienceId,
    pub name: String,
    pub description: String,
    /// In the shape of the API's current answers.
    pub filter: Option<JsonDocument>,
    pub operator: Option<GroupOperator>,
    pub version: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub member_count: u64,
    /// Sets that the rule asks about and that do not exist: nobody is in them.
    pub unknown_sets: Vec<Set>,
    pub unreadable: Vec<Unreadable>,
}

/// How many people hold something at a path that an operator of the rule cannot read. It does not
/// match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub path: String,
    pub operator: &'static str,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberView {
    pub subject: SubjectId,
    pub joined: Occasion,
    /// The version of the rule in force then.
    pub version: u32,
}

/// One page of the members of an audience.
#[derive(Clone, Debug)]
pub struct MembersPage {
    pub items: Vec<MemberView>,
    pub more: bool,
    pub rule: Option<Arc<Group>>,
}

/// An audience seen by one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceOfMember {
    pub id: AudienceId,
    pub name: String,
    pub member: MemberView,
    pub rule: Option<Arc<Group>>,
}

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

/// How one audience stands to what its rule says, for some of the people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheck {
    /// Where to go on; nothing after the last one.
    pub next: Option<SubjectId>,
    /// People for whom the index and the rule disagree.
    pub divergent: Vec<SubjectId>,
}

impl Audiences {
    pub fn get(&self, lists: &crate::Lists, audience: &AudienceId) -> Option<AudienceView> {
        let lists = lists.read();
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        Some(state.view(number, &lists))
    }

    /// One page in the order of the ids, and whether there are more.
    pub fn page(
        &self,
        lists: &crate::Lists,
        after: Option<&AudienceId>,
        limit: PageLimit,
    ) -> (Vec<AudienceView>, bool) {
        let lists = lists.read();
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
            let view = state.view(*number, &lists);
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
            version: audience.version(),
        })
    }

    pub fn rule(&self, audience: &AudienceId) -> Option<Arc<Group>> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        let rule = state.audience(number).rule.as_ref();
        rule.map(|rule| Arc::clone(&rule.group))
    }

    /// Where the audience began.
    pub fn created(&self, audience: &AudienceId) -> Option<Position> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        Some(state.audience(number).created.position)
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
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        let audience = state.audience(number);
        let mut rows = audience.members.iter();
        if let Some(after) = after {
            // No person has the largest number, so adding one loses nobody.
            rows.advance_to(after.0.saturating_add(1));
        }
        let items: Vec<MemberView> = rows
            .by_ref()
            .take(limit.rows())
            .map(|row| state.member(number, row))
            .collect();
        Some(MembersPage {
            more: rows.next().is_some(),
            items,
            rule: audience.rule.as_ref().map(|rule| Arc::clone(&rule.group)),
        })
    }

    /// The membership of one person; `None` if there is no such audience, or the person is not in
    /// it.
    pub fn member(&self, audience: &AudienceId, subject: SubjectId) -> Option<MemberView> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        let is_member = state.audience(number).members.contains(subject.0);
        is_member.then(|| state.member(number, subject.0))
    }

    /// One page of the audiences of a person by id, and whether there are more.
    pub fn of_subject(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
        limit: PageLimit,
    ) -> (Vec<AudienceOfMember>, bool) {
        let state = self.state.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = state
            .numbers
            .range::<AudienceId, _>((from, Bound::Unbounded));
        let mut holding =
            range.filter(|(_, number)| state.audience(**number).members.contains(subject.0));
        let items = holding
            .by_ref()
            .take(limit.rows())
            .map(|(id, number)| {
                let audience = state.audience(*number);
                AudienceOfMember {
                    id: id.clone(),
                    name: audience.name.clone(),
                    member: state.member(*number, subject.0),
                    rule: audience.rule.as_ref().map(|it| Arc::clone(&it.group)),
                }
            })
            .collect();
        (items, holding.next().is_some())
    }

    /// Membership as it changed after the place, oldest first, and whether there is more. `None` if
    /// there is no such audience, or if what happened then is no longer remembered:
    /// [`Audiences::remembers_after`] tells.
    pub fn changes(
        &self,
        audience: &AudienceId,
        after: ChangePlace,
        limit: PageLimit,
    ) -> Option<(Vec<MembershipChange>, bool)> {
        let state = self.state.read();
        let number = *state.numbers.get(audience)?;
        Some(state.changes(number, after, limit.rows()))
    }

    /// Whether every change after this position is remembered.
    pub fn remembers_after(&self, audience: &AudienceId, position: Position) -> bool {
        let state = self.state.read();
        let Some(number) = state.numbers.get(audience) else {
            return true;
        };
        // Before an audience was there nothing changed in it.
        let created = state.audience(*number).created.position;
        let first = Position(created.0.saturating_sub(1));
        position.max(first) >= state.recent.complete_after()
    }

    /// When the next relative window may change for somebody, if ever.
    pub fn next_crossing(&self) -> Option<Timestamp> {
        self.state.read().next_crossing()
    }

    /// Whether by this time some window has changed for somebody since the last event.
    pub fn window_changes_by(&self, now: Timestamp) -> bool {
        self.state.read().window_changes_by(now)
    }

    /// Sees to it that the index has whatever the rule asks for. Reading every profile for a path of
    /// which nobody asked before takes long; it is done here, beside the writer, and not by it.
    pub fn prepare(&self, profiles: &Profiles, rule: &Group) {
        let wanted = Wanted::of(rule);
        let there = |wanted: &Wanted| {
            let state = self.state.read();
            let column = state.columns.get(&wanted.path);
            column.is_some_and(|column| column.orders().covers(wanted.orders))
        };
        if wanted.iter().all(there) {
            return;
        }
        let _one_at_a_time = self.building.lock();
        let missing = self.state.write().columns.begin(wanted);
        for Wanted { path, orders } in missing {
            let mut column = build(&path, 0..profiles.end(), profiles);
            column.keep(orders);
            self.state.write().columns.finish(column, profiles);
        }
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

impl State {
    fn view(&self, number: u32, lists: &ListsState) -> AudienceView {
        let audience = self.audience(number);
        let rule = audience.rule.as_ref();
        AudienceView {
            id: audience.id.clone(),
            name: audience.name.clone(),
            description: audience.description.clone(),
            filter: rule.map(|rule| rule.document.clone()),
            operator: rule.map(|rule| rule.group.operator),
            version: audience.version(),
            created_at: audience.created.at,
            updated_at: audience.updated_at,
            member_count: audience.members.len(),
            unknown_sets: rule.map_or_else(Vec::new, |rule| self.unknown_sets(&rule.group, lists)),
            unreadable: rule.map_or_else(Vec::new, |rule| self.unreadable(&rule.group)),
        }
    }

    fn unknown_sets(&self, rule: &Group, lists: &ListsState) -> Vec<Set> {
        let mut unknown: Vec<Set> = Vec::new();
        for set in rule.sets() {
            let known = match set {
                Set::List(pattern) => lists.any_matching(pattern),
                Set::Audience(audience) => self.numbers.contains_key(audience),
                Set::Tenant(_) | Set::TenantTree(_) => false,
            };
            if !known && !unknown.contains(set) {
                unknown.push(set.clone());
            }
        }
        unknown
    }

    fn unreadable(&self, rule: &Group) -> Vec<Unreadable> {
        let mut counts: Vec<Unreadable> = Vec::new();
        for leaf in rule.leaves() {
            let Rule::Attribute(Condition {
                path,
                operator,
                tests,
                ..
            }) = leaf
            else {
                continue;
            };
            let column = self.columns.get(path);
            let count = column.zip(tests.first());
            let count = count.map_or(0, |(column, test)| column.unreadable(test));
            let unreadable = Unreadable {
                path: path.as_str().to_owned(),
                operator: operator.name(),
                count,
            };
            if count > 0 && !counts.contains(&unreadable) {
                counts.push(unreadable);
            }
        }
        counts
    }

    fn member(&self, number: u32, row: u32) -> MemberView {
        let audience = self.audience(number);
        let joined = self.joined(audience, number, row);
        MemberView {
            subject: SubjectId(row),
            joined,
            version: audience.version_at(joined.position),
        }
    }

    fn changes(
        &self,
        number: u32,
        after: ChangePlace,
        rows_max: usize,
    ) -> (Vec<MembershipChange>, bool) {
        let audience = self.audience(number);
        let leaves = audience.rule.as_ref().map_or(&[][..], |rule| &rule.leaves);
        let labels: Vec<&Arc<str>> = leaves
            .iter()
            .map(|leaf| &self.predicates.get(*leaf).label)
            .collect();
        let mut found: Vec<MembershipChange> = Vec::new();
        for change in self.recent.from(after.position) {
            let occasion = change.occasion();
            let told = |row: u32| {
                let place = ChangePlace {
                    position: occasion.position,
                    subject: SubjectId(row),
                };
                place <= after
            };
            let one = |row: u32, joined: bool, reason: String| MembershipChange {
                subject: SubjectId(row),
                joined,
                occasion,
                version: audience.version_at(occasion.position),
                reason,
            };
            match &**change {
                Change::Row {
                    row,
                    joined,
                    left,
                    because,
                    ..
                } => {
                    let has_joined = joined.binary_search(&number).is_ok();
                    if told(*row) || (!has_joined && left.binary_search(&number).is_err()) {
                        continue;
                    }
                    let mut reason = reason_of(because, &labels);
                    if reason.is_empty() {
                        // Nothing became true or false but that there is a profile.
                        let what = if has_joined { "created" } else { "deleted" };
                        reason = format!("the profile was {what}");
                    }
                    found.push(one(*row, has_joined, reason));
                }
                Change::Audience {
                    audience,
                    joined,
                    left,
                    because,
                    ..
                } if *audience == number => {
                    let both = joined | left;
                    let rows = both.iter().filter(|row| !told(*row));
                    let room = (rows_max + 1).saturating_sub(found.len());
                    for row in rows.take(room) {
                        found.push(one(row, joined.contains(row), because.to_string()));
                    }
                }
                Change::Audience { .. } => {}
            }
            // One event can tell of several people, one by one, and not in the order of rows.
            let last = found.get(rows_max).map(|change| change.occasion.position);
            if last.is_some_and(|last| last < occasion.position) {
                break;
            }
            if found.len() > rows_max && matches!(&**change, Change::Audience { .. }) {
                break;
            }
        }
        found.sort_by_key(MembershipChange::place);
        let end = MembershipChange::page_end(&found, rows_max);
        let more = end < found.len();
        found.truncate(end);
        (found, more)
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        for (id, number) in &self.numbers {
            let audience = self.audience(*number);
            digest.text(id.as_str());
            digest.text(&audience.name);
            digest.text(&audience.description);
            let rule = audience.rule.as_ref();
            digest.optional_text(rule.map(|rule| rule.document.as_str()));
            digest.number(audience.created.position.0);
            digest.number(audience.created.at.0);
            digest.number(audience.updated_at.0);
            digest.number(audience.versions.len() as u64);
            for (position, version) in &audience.versions {
                digest.number(position.0);
                digest.number(u64::from(*version));
            }
            digest.number(audience.members.len());
            for row in &audience.members {
                let joined = self.joined(audience, *number, row);
                digest.number(u64::from(row));
                digest.number(joined.position.0);
                digest.number(joined.at.0);
            }
        }
        digest.number(self.last.at.0);
    }

    /// What the rule says of these people by itself, compared with who is in the audience.
    pub(crate) fn check(
        &self,
        audience: &AudienceId,
        rows: std::ops::Range<u32>,
        others: Others<'_>,
    ) -> Option<Vec<SubjectId>> {
        let number = *self.numbers.get(audience)?;
        let audience = self.audience(number);
        let rule = audience.rule.as_ref().map(|rule| Arc::clone(&rule.group));
        let divergent = rows.filter(|row| {
            let document = others.profiles.document(SubjectId(*row));
            let facts = document.map(|document| PersonFacts {
                profile: document.to_object(),
                state: self,
                lists: others.lists,
                row: *row,
            });
            let holds = match (&facts, &rule) {
                (Some(facts), Some(rule)) => rule.matches(facts),
                _ => false,
            };
            holds != audience.members.contains(*row)
        });
        Some(divergent.map(SubjectId).collect())
    }

    pub(crate) fn facts<'a>(
        &'a self,
        subject: SubjectId,
        others: Others<'a>,
    ) -> Option<PersonFacts<'a>> {
        let document = others.profiles.document(subject)?;
        Some(PersonFacts {
            profile: document.to_object(),
            state: self,
            lists: others.lists,
            row: subject.0,
        })
    }

    pub(crate) fn population(&self) -> &RoaringBitmap {
        &self.population
    }

    pub(crate) fn known(&self, audience: &AudienceId) -> bool {
        self.numbers.contains_key(audience)
    }

    /// As [`State::members_of`], for those outside.
    pub(crate) fn accepted_by(&self, rule: &Group, lists: &ListsState) -> Option<RoaringBitmap> {
        self.members_of(rule, lists)
    }

    pub(crate) fn set(&self, set: &Set, lists: &ListsState) -> RoaringBitmap {
        self.rows_of_set(set, lists).into_owned()
    }
}

/// The flipped predicates that the rule asks about; all of them if it asks about none any more.
fn reason_of(because: &[(Arc<str>, bool)], labels: &[&Arc<str>]) -> String {
    let told = |only_asked: bool| {
        let asked = |label: &Arc<str>| labels.iter().any(|it| **it == *label);
        let told = because
            .iter()
            .filter(|(label, _)| !only_asked || asked(label));
        let told: Vec<String> = told
            .map(|(label, is_true)| format!("{label} => {is_true}"))
            .collect();
        told.join(", ")
    };
    let asked = told(true);
    if asked.is_empty() { told(false) } else { asked }
}

/// What a rule can ask about one person, the profile as it is stored.
pub(crate) struct PersonFacts<'a> {
    profile: serde_json::Map<String, serde_json::Value>,
    state: &'a State,
    lists: &'a ListsState,
    row: u32,
}

impl types::filter::Facts for PersonFacts<'_> {
    fn attribute(&self, path: &types::AttributePath) -> Option<&serde_json::Value> {
        path.resolve(&self.profile)
    }

    fn is_member(&self, set: &Set) -> bool {
        let facts = RowFacts {
            state: self.state,
            lists: self.lists,
            row: self.row,
        };
        facts.is_member(set)
    }

    fn now(&self) -> Timestamp {
        self.state.last.at
    }
}
