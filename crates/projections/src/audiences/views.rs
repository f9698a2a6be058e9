use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;
use types::filter::{Condition, Group, GroupOperator, Rule, Set};
use types::{AudienceId, JsonDocument, PageLimit, SubjectId, Timestamp};

use super::joined::Occasion;
use super::predicates::Question;
use super::sets::At;
use super::state::{Sets, State};
use crate::Digest;

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

/// How somebody stands to an audience.
pub(crate) struct Standing<'a> {
    pub(crate) rule: Option<&'a Arc<Group>>,
    pub(crate) version: u32,
    pub(crate) member: Option<MemberView>,
}

impl State {
    pub(super) fn view(&self, number: u32) -> AudienceView {
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
                Set::Tenant(_) | Set::TenantTree(_) => {
                    let question = Question::Set(set.clone());
                    let predicate = self.predicates.find(&question);
                    predicate.is_some_and(|it| self.predicates.known_tenants.contains(&it))
                }
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

    pub(super) fn levels_above(&self, audience: &AudienceId, at_most: usize) -> usize {
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

    pub(crate) fn population(&self) -> &RoaringBitmap {
        &self.population
    }

    pub(crate) fn known(&self, audience: &AudienceId) -> bool {
        self.numbers.contains_key(audience)
    }

    /// The audiences after this one that hold the person, in the order of ids, with their numbers.
    pub(crate) fn numbers_holding(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
    ) -> impl Iterator<Item = (&AudienceId, u32)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self
            .numbers
            .range::<AudienceId, _>((from, Bound::Unbounded));
        range
            .map(|(id, number)| (id, *number))
            .filter(move |(_, number)| self.audience(*number).members.contains(subject.0))
    }

    /// The same with the name, the person's membership and the rule.
    pub(crate) fn holding(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
    ) -> impl Iterator<Item = (&AudienceId, &str, MemberView, Option<&Arc<Group>>)> {
        let holding = self.numbers_holding(subject, after);
        holding.map(move |(id, number)| {
            let audience = self.audience(number);
            let rule = audience.rule.as_ref().map(|it| &it.group);
            let member = self.member(number, subject.0);
            (id, audience.name.as_str(), member, rule)
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
        sets: Sets<'_>,
        now: Timestamp,
    ) -> Option<RoaringBitmap> {
        let now = now.max(self.last.at);
        self.members_of(rule, At { sets, now })
    }

    pub(crate) fn set(&self, set: &Set, sets: Sets<'_>) -> RoaringBitmap {
        self.rows_of_set(set, sets).into_owned()
    }
}
