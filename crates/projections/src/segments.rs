use std::ops::Deref;
use std::sync::Arc;

use roaring::{MultiOps as _, RoaringBitmap};
use serde_json::Value;
use types::filter::{Group, Set};
use types::{AudienceId, PageLimit, SubjectId, Timestamp};

use crate::audiences::{Sets, State as AudiencesState};
use crate::read_models::Frozen;
use crate::{AudienceOfMember, MemberView, ReadModels, SelfCheck};

/// How many people, and some of them: spread evenly over all in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    pub count: u64,
    pub sample: Vec<SubjectId>,
}

/// What another rule would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub joining: Preview,
    pub leaving: Preview,
}

/// Sets of people, combined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Combination {
    Set(Set),
    /// In any of them.
    Union(Vec<Combination>),
    /// In all of them.
    Intersect(Vec<Combination>),
    /// In the first and in none of the others.
    Except(Vec<Combination>),
}

/// One page of a combination, by the numbers of the people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPage {
    pub count: u64,
    pub items: Vec<SubjectId>,
    pub more: bool,
}

/// A combination names a set that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSet(pub Set);

/// Why somebody is in an audience, or why not.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Somebody without a stored profile is in no audience.
    pub has_profile: bool,
    pub member: Option<MemberView>,
    pub version: u32,
    /// The rule with what every leaf found; nothing if there is no rule, or no profile.
    pub rule: Option<Value>,
}

impl Preview {
    fn of(rows: &RoaringBitmap, sample_max: usize) -> Self {
        let count = rows.len();
        let size = count.min(sample_max as u64);
        let nth = |place: u64| rows.select(u32::try_from(place * count / size).ok()?);
        Self {
            count,
            sample: (0..size).filter_map(nth).map(SubjectId).collect(),
        }
    }
}

/// What a rule needs of the index, held until it is dropped.
pub struct Prepared<M: Deref<Target = ReadModels>> {
    read_models: M,
    pinned: Vec<u32>,
}

impl<M: Deref<Target = ReadModels>> Drop for Prepared<M> {
    fn drop(&mut self) {
        self.read_models.audiences.unpin(&self.pinned);
    }
}

/// A member and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberWithReason {
    pub member: MemberView,
    pub reason: String,
}

impl ReadModels {
    /// Sees to it that the index has whatever the rule asks for, for as long as the answer is held.
    /// Reading every profile for a path of which nobody asked before takes long; who prepares first
    /// does not let the writer do it.
    pub fn prepare(
        self: &Arc<Self>,
        rule: &Group,
        still_wanted: &dyn Fn() -> bool,
    ) -> Prepared<Arc<Self>> {
        Prepared {
            pinned: self.audiences.pin(self.attributes(), rule, still_wanted),
            read_models: Arc::clone(self),
        }
    }

    /// Everybody whom the rule would accept now, and of how many people with a stored profile. Nothing
    /// if nobody wants to know any more.
    pub fn preview(
        &self,
        rule: &Group,
        now: Timestamp,
        sample_max: usize,
        still_wanted: &dyn Fn() -> bool,
    ) -> Option<(Preview, u64)> {
        let (rows, total) = self.accepted_by(rule, now, still_wanted, |audiences, _| {
            audiences.population().len()
        })?;
        Some((Preview::of(&rows, sample_max), total))
    }

    /// Who would join and who would leave if this were the audience's rule; nothing if there is no
    /// such audience, or nobody wants to know any more.
    pub fn compare(
        &self,
        audience: &AudienceId,
        rule: &Group,
        now: Timestamp,
        sample_max: usize,
        still_wanted: &dyn Fn() -> bool,
    ) -> Option<Comparison> {
        let set = Set::Audience(audience.clone());
        let (accepted, members) =
            self.accepted_by(rule, now, still_wanted, |audiences, sets| {
                let known = audiences.known(audience);
                known.then(|| audiences.set(&set, sets))
            })?;
        let members = members?;
        Some(Comparison {
            joining: Preview::of(&(&accepted - &members), sample_max),
            leaving: Preview::of(&(&members - &accepted), sample_max),
        })
    }

    /// Whom the rule accepts, and what else is asked about the same moment.
    fn accepted_by<T>(
        &self,
        rule: &Group,
        now: Timestamp,
        still_wanted: &dyn Fn() -> bool,
        also: impl FnOnce(&AudiencesState, Sets<'_>) -> T,
    ) -> Option<(RoaringBitmap, T)> {
        let _prepared = Prepared {
            pinned: self.audiences.pin(self.attributes(), rule, still_wanted),
            read_models: self,
        };
        let frozen = self.frozen();
        let rows = frozen.audiences.accepted_by(rule, frozen.sets(), now)?;
        Some((rows, also(&frozen.audiences, frozen.sets())))
    }

    /// One page of the members of an audience, with reasons. It ends early when much had to be read
    /// for it. `None` if there is no such audience.
    pub fn members(
        &self,
        audience: &AudienceId,
        after: Option<SubjectId>,
        limit: PageLimit,
    ) -> Option<(Vec<MemberWithReason>, bool)> {
        let now = self.frozen();
        let (audiences, others) = (&now.audiences, now.others());
        let page = audiences.members(audience, after, limit)?;
        let mut items = Vec::with_capacity(page.items.len());
        let mut bytes = 0;
        for member in page.items {
            if bytes > PageLimit::BYTES_MAX {
                return Some((items, true));
            }
            let facts = audiences.facts(member.subject, others);
            let reason = page.rule.as_ref().zip(facts.as_ref());
            let reason = reason.map_or_else(String::new, |(rule, facts)| rule.reason(facts));
            bytes += reason.len() + facts.map_or(0, |facts| facts.bytes());
            items.push(MemberWithReason { member, reason });
        }
        Some((items, page.more))
    }

    /// One page of the audiences of a person by id, and whether there are more.
    pub fn audiences_of(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
        limit: PageLimit,
    ) -> (Vec<AudienceOfMember>, bool) {
        self.frozen().audiences_of(subject, after, limit)
    }

    /// Why somebody is in the audience or not, all of it at one moment. `None` if there is no such
    /// audience.
    pub fn explain(
        &self,
        audience: &AudienceId,
        subject: Option<SubjectId>,
    ) -> Option<Explanation> {
        let now = self.frozen();
        let (audiences, others) = (&now.audiences, now.others());
        let standing = audiences.standing(audience, subject)?;
        let facts = subject.and_then(|subject| audiences.facts(subject, others));
        Some(Explanation {
            has_profile: facts.is_some(),
            member: standing.member,
            version: standing.version,
            rule: facts.and_then(|facts| Some(standing.rule?.explain(&facts))),
        })
    }

    /// One page of a combination of sets, all of them at one moment.
    pub fn combine(
        &self,
        combination: &Combination,
        after: Option<SubjectId>,
        limit: PageLimit,
    ) -> Result<QueryPage, UnknownSet> {
        let rows = {
            let now = self.frozen();
            rows_of(combination, &now.audiences, now.sets())?
        };
        let mut page = rows.iter();
        if let Some(after) = after {
            page.advance_to(after.0.saturating_add(1));
        }
        let items = page.by_ref().take(limit.rows()).map(SubjectId).collect();
        Ok(QueryPage {
            count: rows.len(),
            items,
            more: page.next().is_some(),
        })
    }

    /// Compares some of the people, from a number on, with what the rule of the audience says of
    /// each: as many as have so many bytes of profiles. Nothing changes meanwhile, so the answer is
    /// exact; it is to be kept short for that reason. `None` if there is no such audience.
    pub fn check_audience(
        &self,
        audience: &AudienceId,
        from: SubjectId,
        bytes_max: usize,
    ) -> Option<SelfCheck> {
        let now = self.frozen();
        let (audiences, others) = (&now.audiences, now.others());
        let (next, divergent) = audiences.check(audience, from, bytes_max, others)?;
        Some(SelfCheck { next, divergent })
    }
}

impl Frozen<'_> {
    /// One page of the audiences of a person by id, and whether there are more.
    pub(crate) fn audiences_of(
        &self,
        subject: SubjectId,
        after: Option<&AudienceId>,
        limit: PageLimit,
    ) -> (Vec<AudienceOfMember>, bool) {
        let Some(facts) = self.audiences.facts(subject, self.others()) else {
            return (Vec::new(), false);
        };
        let mut holding = self.audiences.holding(subject, after);
        let items = holding.by_ref().take(limit.rows());
        let items = items.map(|(id, name, member, rule)| AudienceOfMember {
            id: id.clone(),
            name: name.to_owned(),
            member,
            reason: rule.map_or_else(String::new, |rule| rule.reason(&facts)),
        });
        (items.collect(), holding.next().is_some())
    }
}

fn rows_of(
    combination: &Combination,
    audiences: &AudiencesState,
    sets: Sets<'_>,
) -> Result<RoaringBitmap, UnknownSet> {
    let each = |parts: &[Combination]| {
        let rows = parts.iter().map(|part| rows_of(part, audiences, sets));
        rows.collect::<Result<Vec<_>, _>>()
    };
    Ok(match combination {
        Combination::Set(set) => {
            let known = match set {
                Set::List(pattern) => sets.lists.live_matching(pattern).next().is_some(),
                Set::Audience(audience) => audiences.known(audience),
                Set::Tenant(tenant) => sets.tenants.is_known(tenant),
                Set::TenantTree(root) => sets.tenants.is_known_tree(root),
            };
            if !known {
                return Err(UnknownSet(set.clone()));
            }
            audiences.set(set, sets)
        }
        Combination::Union(parts) => each(parts)?.union(),
        Combination::Intersect(parts) => each(parts)?.intersection(),
        Combination::Except(parts) => each(parts)?.difference(),
    })
}
