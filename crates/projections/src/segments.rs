use std::sync::Arc;

use roaring::{MultiOps as _, RoaringBitmap};
use serde_json::Value;
use types::filter::{Group, Set};
use types::{AudienceId, PageLimit, SubjectId};

use crate::audiences::Others;
use crate::{MemberView, ReadModels, SelfCheck};

/// Times that a preview has the index prepared before it goes on without.
const PREPARATIONS_MAX: usize = 2;

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

impl ReadModels {
    /// Everybody whom the rule accepts, and of how many people with a stored profile.
    pub fn preview(&self, rule: &Group, sample_max: usize) -> (Preview, u64) {
        let rows = self.accepted_by(rule);
        let total = self.audiences.read().population().len();
        (Preview::of(&rows, sample_max), total)
    }

    /// Who would join and who would leave if this were the audience's rule; nothing if there is no
    /// such audience.
    pub fn compare(
        &self,
        audience: &AudienceId,
        rule: &Group,
        sample_max: usize,
    ) -> Option<Comparison> {
        let set = Set::Audience(audience.clone());
        let accepted = self.accepted_by(rule);
        let members = {
            let lists = self.lists.read();
            let audiences = self.audiences.read();
            audiences
                .known(audience)
                .then(|| audiences.set(&set, &lists))
        }?;
        Some(Comparison {
            joining: Preview::of(&(&accepted - &members), sample_max),
            leaving: Preview::of(&(&members - &accepted), sample_max),
        })
    }

    fn accepted_by(&self, rule: &Group) -> RoaringBitmap {
        for _ in 0..PREPARATIONS_MAX {
            self.audiences.prepare(&self.profiles, rule);
            let lists = self.lists.read();
            let audiences = self.audiences.read();
            if let Some(rows) = audiences.accepted_by(rule, &lists) {
                return rows;
            }
        }
        // Others asked for so many paths meanwhile that ours were dropped: asking everybody takes
        // long and needs no index.
        let rows = 0..self.profiles.end();
        rows.filter(|row| {
            self.with_facts(SubjectId(*row), |facts| rule.matches(facts)) == Some(true)
        })
        .collect()
    }

    fn with_facts<T>(
        &self,
        subject: SubjectId,
        ask: impl FnOnce(&crate::audiences::PersonFacts<'_>) -> T,
    ) -> Option<T> {
        let lists = self.lists.read();
        let audiences = self.audiences.read();
        let others = Others {
            profiles: &self.profiles,
            lists: &lists,
        };
        audiences.facts(subject, others).map(|facts| ask(&facts))
    }

    /// The leaves because of which a rule holds of somebody, or does not; nothing about somebody
    /// without a profile.
    pub fn reason(&self, rule: &Group, subject: SubjectId) -> String {
        let reason = self.with_facts(subject, |facts| rule.reason(facts));
        reason.unwrap_or_default()
    }

    /// Why somebody is in the audience or not. `None` if there is no such audience.
    pub fn explain(
        &self,
        audience: &AudienceId,
        subject: Option<SubjectId>,
    ) -> Option<Explanation> {
        let version = self.audiences.definition(audience)?.version;
        let rule: Option<Arc<Group>> = self.audiences.rule(audience);
        let explained = subject.and_then(|subject| {
            self.with_facts(subject, |facts| rule.map(|rule| rule.explain(facts)))
        });
        let member = subject.and_then(|subject| self.audiences.member(audience, subject));
        Some(Explanation {
            has_profile: explained.is_some(),
            member,
            version,
            rule: explained.flatten(),
        })
    }

    /// One page of a combination of sets.
    pub fn combine(
        &self,
        combination: &Combination,
        after: Option<SubjectId>,
        limit: PageLimit,
    ) -> Result<QueryPage, UnknownSet> {
        let rows = self.rows_of(combination)?;
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

    fn rows_of(&self, combination: &Combination) -> Result<RoaringBitmap, UnknownSet> {
        let each = |parts: &[Combination]| {
            let rows = parts.iter().map(|part| self.rows_of(part));
            rows.collect::<Result<Vec<_>, _>>()
        };
        Ok(match combination {
            Combination::Set(set) => {
                let lists = self.lists.read();
                let audiences = self.audiences.read();
                let known = match set {
                    Set::List(pattern) => lists.any_matching(pattern),
                    Set::Audience(audience) => audiences.known(audience),
                    Set::Tenant(_) | Set::TenantTree(_) => false,
                };
                if !known {
                    return Err(UnknownSet(set.clone()));
                }
                audiences.set(set, &lists)
            }
            Combination::Union(parts) => each(parts)?.union(),
            Combination::Intersect(parts) => each(parts)?.intersection(),
            Combination::Except(parts) => each(parts)?.difference(),
        })
    }

    /// Compares some of the people, from a number on, with what the rule of the audience says of
    /// each. Nothing changes meanwhile, so the answer is exact; it is to be kept short for that
    /// reason. `None` if there is no such audience.
    pub fn check_audience(
        &self,
        audience: &AudienceId,
        from: SubjectId,
        people_max: u32,
    ) -> Option<SelfCheck> {
        let lists = self.lists.read();
        let audiences = self.audiences.read();
        let end = self.profiles.end();
        let until = from.0.saturating_add(people_max).min(end);
        let others = Others {
            profiles: &self.profiles,
            lists: &lists,
        };
        let divergent = audiences.check(audience, from.0..until, others)?;
        Some(SelfCheck {
            next: (until < end).then_some(SubjectId(until)),
            divergent,
        })
    }
}
