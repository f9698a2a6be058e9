use events::{MessageTarget, TargetProblem, TargetTrouble};
use roaring::RoaringBitmap;
use types::filter::Set;
use types::{ListPattern, SubjectId, TenantId};

use crate::ReadModels;
use crate::messages::ResolvedPeople;
use crate::read_models::Frozen;

/// Whom targets lead to, each person once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolution {
    /// Nobody is in two of them: whoever is reached twice is reached through the first.
    pub people: Vec<ResolvedPeople>,
    pub problems: Vec<TargetProblem>,
}

/// Some people of a target, in the context of a tenant.
type Part = (Option<TenantId>, RoaringBitmap);

impl ReadModels {
    /// Whom these targets lead to, as everything stands. People who are named stand in `named` at their
    /// places; one who is not known there is nobody yet.
    pub fn resolve(&self, targets: &[MessageTarget], named: &[Option<SubjectId>]) -> Resolution {
        let now = self.frozen();
        let mut resolution = Resolution::default();
        let mut reached = RoaringBitmap::new();
        for (place, target) in (0..).zip(targets) {
            let parts = match self.parts_of(&now, target, named) {
                Ok(parts) => parts,
                Err(problem) => {
                    let target = place;
                    resolution.problems.push(TargetProblem { target, problem });
                    continue;
                }
            };
            let before = resolution.people.len();
            let mut is_empty = true;
            for (tenant, mut people) in parts {
                is_empty &= people.is_empty();
                people -= &reached;
                if !people.is_empty() {
                    reached |= &people;
                    resolution.people.push(ResolvedPeople {
                        target: place,
                        tenant,
                        people,
                    });
                }
            }
            if resolution.people.len() == before && !matches!(target, MessageTarget::Person(_)) {
                let problem = if is_empty {
                    TargetTrouble::Empty
                } else {
                    TargetTrouble::ReachedAlready
                };
                let target = place;
                resolution.problems.push(TargetProblem { target, problem });
            }
        }
        resolution
    }

    fn parts_of(
        &self,
        now: &Frozen<'_>,
        target: &MessageTarget,
        named: &[Option<SubjectId>],
    ) -> Result<Vec<Part>, TargetTrouble> {
        let everywhere = |people| vec![(None, people)];
        match target {
            MessageTarget::Person(person) => {
                let subject = named.get(person.place as usize).copied().flatten();
                // Whoever was erased since is nobody.
                let subject = subject.filter(|it| self.subjects.user_id(*it).is_some());
                Ok(everywhere(subject.map(|it| it.0).into_iter().collect()))
            }
            MessageTarget::List {
                list, members_of, ..
            } => {
                let pattern = ListPattern::parse(list.as_str());
                let pattern = pattern.map_err(|_| TargetTrouble::NotThere)?;
                let live = now.lists.live_matching(&pattern).next();
                live.ok_or(TargetTrouble::NotThere)?;
                let people = now.lists.union_of(&pattern);
                Ok(everywhere(now.within(people, members_of)))
            }
            MessageTarget::ListPattern { pattern, .. } => {
                // It was looked at before it was accepted.
                let pattern = ListPattern::parse(pattern).map_err(|_| TargetTrouble::NotThere)?;
                let live = now.lists.live_matching(&pattern).next();
                live.ok_or(TargetTrouble::NotThere)?;
                Ok(everywhere(now.lists.union_of(&pattern)))
            }
            MessageTarget::Audience {
                audience,
                members_of,
                ..
            } => {
                if !now.audiences.known(audience) {
                    return Err(TargetTrouble::NotThere);
                }
                let set = Set::Audience(audience.clone());
                let people = now.audiences.set(&set, now.sets());
                Ok(everywhere(now.within(people, members_of)))
            }
            MessageTarget::Tenant {
                tenant,
                include_children,
                include_parent,
                ..
            } => {
                let people_of = |tenant: &TenantId| {
                    let people = now.tenants.rows(tenant).cloned();
                    (Some(tenant.clone()), people.unwrap_or_default())
                };
                if !now.tenants.is_known(tenant) {
                    return Err(TargetTrouble::NotThere);
                }
                let mut parts = vec![people_of(tenant)];
                if *include_children {
                    let below = now.tenants.below(tenant);
                    parts.extend(below.iter().map(people_of));
                }
                if *include_parent {
                    let above = now.tenants.lineage(tenant).skip(1);
                    parts.extend(above.map(people_of));
                }
                Ok(parts)
            }
            MessageTarget::Bulk { job } => {
                let people = self.bulk_jobs.people(job);
                Ok(everywhere(people.ok_or(TargetTrouble::NotThere)?))
            }
        }
    }
}

impl Frozen<'_> {
    fn within(&self, mut people: RoaringBitmap, tenants: &[TenantId]) -> RoaringBitmap {
        for tenant in tenants {
            match self.tenants.rows(tenant) {
                Some(members) => people &= members,
                None => people.clear(),
            }
        }
        people
    }
}
