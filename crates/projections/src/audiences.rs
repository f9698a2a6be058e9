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
mod fold;
mod joined;
mod predicates;
mod recent;
mod row;
mod rows;
mod scratch;
mod sets;
mod settle;
mod sorted;
mod state;
mod tests_of_column;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use events::AudienceDefined;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::RoaringBitmap;
use types::filter::{Condition, Group, GroupOperator, Rule, Set, join_reasons};
use types::{AudienceId, JsonDocument, PageLimit, Position, SubjectId, Timestamp};

use self::audience::{Audience, Versions};
use self::columns::{Wanted, build_all};
pub use self::joined::Occasion;
use self::predicates::PredicateId;
use self::predicates::Question;
use self::recent::Change;
use self::sets::At;
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
    /// The leaves because of which the person is in it.
    pub reason: String,
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

/// Changes that are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedChanges {
    pub items: Vec<MembershipChange>,
    pub more: bool,
    /// Where to go on: after the last of these, or after everything that has happened so far.
    pub next: ChangePlace,
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
        state.numbers.get(audience)?;
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
        profiles: &Profiles,
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
            match build_all(&missing, profiles, still_wanted) {
                Some(columns) => {
                    for column in columns {
                        self.state.write().columns.finish(column, profiles);
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

impl State {
    fn view(&self, number: u32) -> AudienceView {
        let audience = self.audience(number);
        let rule = audience.rule.as_ref();
        AudienceView {
            id: audience.id.clone(),
            name: audience.name.clone(),
            description: audience.description.clone(),
            filter: rule.map(|rule| rule.document.clone()),
            operator: rule.map(|rule| rule.group.operator),
            version: audience.versions.last(),
            created_at: audience.created.at,
            updated_at: audience.updated_at,
            member_count: audience.members.len(),
            unknown_sets: rule.map_or_else(Vec::new, |rule| self.unknown_sets(&rule.group)),
            unreadable: rule.map_or_else(Vec::new, |rule| self.unreadable(&rule.group)),
        }
    }

    fn unknown_sets(&self, rule: &Group) -> Vec<Set> {
        let mut unknown: Vec<Set> = Vec::new();
        for set in rule.sets() {
            let known = match set {
                Set::List(_) => {
                    let question = Question::Set(set.clone());
                    let predicate = self.predicates.find(&question);
                    let live = predicate.and_then(|it| self.predicates.live_lists.get(&it));
                    live.is_some_and(|live| !live.is_empty())
                }
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

    pub(crate) fn members(
        &self,
        audience: &AudienceId,
        after: Option<SubjectId>,
        limit: PageLimit,
    ) -> Option<MembersPage> {
        let number = *self.numbers.get(audience)?;
        let audience = self.audience(number);
        let mut rows = audience.members.iter();
        if let Some(after) = after {
            // No person has the largest number, so adding one loses nobody.
            rows.advance_to(after.0.saturating_add(1));
        }
        let items = rows.by_ref().take(limit.rows());
        let items = items.map(|row| self.member(number, row)).collect();
        Some(MembersPage {
            items,
            more: rows.next().is_some(),
            rule: audience.rule.as_ref().map(|rule| Arc::clone(&rule.group)),
        })
    }

    fn member(&self, number: u32, row: u32) -> MemberView {
        let audience = self.audience(number);
        let joined = self.joined(audience, number, row);
        MemberView {
            subject: SubjectId(row),
            joined,
            version: audience.versions.at(joined.position),
        }
    }

    /// Where the audience began, or the first of those that had the id before it and are remembered.
    fn began(&self, audience: &AudienceId) -> Option<Position> {
        let number = *self.numbers.get(audience)?;
        let created = self.audience(number).created.position;
        let former = self.former.get(audience).and_then(|it| it.front());
        Some(former.map_or(created, |former| former.created))
    }

    fn levels_above(&self, audience: &AudienceId, at_most: usize) -> usize {
        let asking = |id: &AudienceId| {
            let question = Question::Set(Set::Audience(id.clone()));
            let predicate = self.predicates.find(&question);
            let dependents = predicate.map(|it| self.predicates.get(it).all_dependents());
            dependents.into_iter().flatten()
        };
        // Level by level: the audiences at the beginning of each row of this length.
        let mut level: BTreeSet<u32> = asking(audience).collect();
        let mut levels = 0;
        while !level.is_empty() && levels < at_most {
            levels += 1;
            let next = level.iter().flat_map(|it| asking(&self.audience(*it).id));
            level = next.collect();
        }
        levels
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

    fn changes(
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
            digest.number(audience.versions.0.len() as u64);
            for (position, version) in &audience.versions.0 {
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

    /// What the rule says of some people by itself, compared with who is in the audience: of those
    /// from a number on, as many as have so many bytes of profiles. Where to go on, and about whom
    /// the two disagree.
    pub(crate) fn check(
        &self,
        audience: &AudienceId,
        from: SubjectId,
        bytes_max: usize,
        others: Others<'_>,
    ) -> Option<(Option<SubjectId>, Vec<SubjectId>)> {
        let number = *self.numbers.get(audience)?;
        let audience = self.audience(number);
        let rule = audience.rule.as_ref().map(|rule| &rule.group);
        let mut divergent = Vec::new();
        let mut bytes = 0;
        for row in from.0..others.profiles.end() {
            if bytes >= bytes_max {
                return Some((Some(SubjectId(row)), divergent));
            }
            let document = others.profiles.document(SubjectId(row));
            // Somebody without a profile costs a look, too.
            bytes += 64 + document.as_ref().map_or(0, |it| it.as_str().len());
            let facts = document.map(|document| PersonFacts {
                profile: document.to_object(),
                document_bytes: document.as_str().len(),
                state: self,
                lists: others.lists,
                row,
            });
            let holds = match (&facts, rule) {
                (Some(facts), Some(rule)) => rule.matches(facts),
                _ => false,
            };
            if holds != audience.members.contains(row) {
                divergent.push(SubjectId(row));
            }
        }
        Some((None, divergent))
    }

    pub(crate) fn facts<'a>(
        &'a self,
        subject: SubjectId,
        others: Others<'a>,
    ) -> Option<PersonFacts<'a>> {
        let document = others.profiles.document(subject)?;
        Some(PersonFacts {
            profile: document.to_object(),
            document_bytes: document.as_str().len(),
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

    /// The audiences after this one in the order of ids, with the name, the person's membership and
    /// the rule, of those that hold the person.
    pub(crate) fn holding(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
    ) -> impl Iterator<Item = (&AudienceId, &str, MemberView, Option<&Arc<Group>>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self
            .numbers
            .range::<AudienceId, _>((from, Bound::Unbounded));
        range.filter_map(move |(id, number)| {
            let audience = self.audience(*number);
            let holds = audience.members.contains(subject.0);
            let rule = audience.rule.as_ref().map(|it| &it.group);
            holds.then(|| {
                (
                    id,
                    audience.name.as_str(),
                    self.member(*number, subject.0),
                    rule,
                )
            })
        })
    }

    /// The audience's rule and version, and the person's membership.
    pub(crate) fn standing(
        &self,
        audience: &AudienceId,
        subject: Option<SubjectId>,
    ) -> Option<Standing<'_>> {
        let number = *self.numbers.get(audience)?;
        let audience = self.audience(number);
        let rule = audience.rule.as_ref().map(|it| &it.group);
        let member = subject
            .filter(|subject| audience.members.contains(subject.0))
            .map(|subject| self.member(number, subject.0));
        Some(Standing {
            rule,
            version: audience.versions.last(),
            member,
        })
    }

    /// As [`State::members_of`], for those outside.
    /// At a time that is not before the last event.
    pub(crate) fn accepted_by(
        &self,
        rule: &Group,
        lists: &ListsState,
        now: Timestamp,
    ) -> Option<RoaringBitmap> {
        let now = now.max(self.last.at);
        self.members_of(rule, At { lists, now })
    }

    pub(crate) fn set(&self, set: &Set, lists: &ListsState) -> RoaringBitmap {
        self.rows_of_set(set, lists).into_owned()
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

/// How somebody stands to an audience.
pub(crate) struct Standing<'a> {
    pub(crate) rule: Option<&'a Arc<Group>>,
    pub(crate) version: u32,
    pub(crate) member: Option<MemberView>,
}

/// What a rule can ask about one person, the profile as it is stored.
pub(crate) struct PersonFacts<'a> {
    profile: serde_json::Map<String, serde_json::Value>,
    document_bytes: usize,
    state: &'a State,
    lists: &'a ListsState,
    row: u32,
}

impl PersonFacts<'_> {
    /// About how much was read to know them.
    pub(crate) fn bytes(&self) -> usize {
        self.document_bytes
    }
}

impl types::filter::Facts for PersonFacts<'_> {
    fn attribute(&self, path: &types::AttributePath) -> Option<&serde_json::Value> {
        path.resolve(&self.profile)
    }

    fn is_member(&self, set: &Set) -> bool {
        self.state.is_member(set, self.row, self.lists)
    }

    fn now(&self) -> Timestamp {
        self.state.last.at
    }
}
