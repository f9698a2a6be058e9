use std::collections::{BTreeMap, BTreeSet, HashMap};

use types::TenantId;

/// Which tenant names which as its parent, whether that is there or not.
///
/// How deep a tree is below a tenant is kept and not searched for: whoever gives a tenant a parent has to
/// know it.
#[derive(Debug, Default)]
pub struct TenantTree {
    parents: HashMap<TenantId, TenantId>,
    children: HashMap<TenantId, BTreeSet<TenantId>>,
    /// Of every tenant that others name as their parent: with how many levels, themselves included,
    /// how many of them are below it.
    levels: HashMap<TenantId, BTreeMap<usize, usize>>,
}

impl TenantTree {
    pub fn parent(&self, tenant: &TenantId) -> Option<&TenantId> {
        self.parents.get(tenant)
    }

    /// Every tenant that has a parent, and that.
    pub fn parents(&self) -> impl Iterator<Item = (&TenantId, &TenantId)> {
        self.parents.iter()
    }

    /// The tenant and its ancestors, nearest first. The last may be one that is not there.
    pub fn lineage<'a>(&'a self, tenant: &'a TenantId) -> impl Iterator<Item = &'a TenantId> {
        std::iter::successors(Some(tenant), |tenant| self.parent(tenant))
    }

    /// Those that name the tenant as their parent, in the order of their ids.
    pub fn children(&self, tenant: &TenantId) -> Option<&BTreeSet<TenantId>> {
        self.children.get(tenant)
    }

    /// How many levels of tenants are below this one.
    pub fn levels_below(&self, tenant: &TenantId) -> usize {
        let levels = self.levels.get(tenant);
        let most = levels.and_then(|levels| levels.last_key_value());
        most.map_or(0, |(levels, _)| *levels)
    }

    /// Gives the tenant a parent, which must not be one of those below it, or none.
    pub fn set_parent(&mut self, tenant: &TenantId, parent: Option<&TenantId>) {
        if self.parent(tenant) == parent {
            return;
        }
        let levels = self.levels_below(tenant) + 1;
        if let Some(former) = self.parents.remove(tenant) {
            self.change_levels(former.clone(), Some(levels), None);
            if let Some(children) = self.children.get_mut(&former) {
                children.remove(tenant);
                if children.is_empty() {
                    self.children.remove(&former);
                }
            }
        }
        if let Some(parent) = parent {
            self.change_levels(parent.clone(), None, Some(levels));
            let children = self.children.entry(parent.clone()).or_default();
            children.insert(tenant.clone());
            self.parents.insert(tenant.clone(), parent.clone());
        }
    }

    /// A child of the tenant, with so many levels, has left it or come to it; whoever is above learns
    /// of it as far as it changes anything.
    fn change_levels(&mut self, tenant: TenantId, left: Option<usize>, come: Option<usize>) {
        let mut next = Some((tenant, left, come));
        while let Some((tenant, left, come)) = next.take() {
            let before = self.levels_below(&tenant);
            let counts = self.levels.entry(tenant.clone()).or_default();
            if let Some(levels) = come {
                *counts.entry(levels).or_default() += 1;
            }
            if let Some(levels) = left
                && let Some(count) = counts.get_mut(&levels)
            {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&levels);
                }
            }
            if counts.is_empty() {
                self.levels.remove(&tenant);
            }
            let after = self.levels_below(&tenant);
            if before != after {
                let parent = self.parent(&tenant).cloned();
                next = parent.map(|parent| (parent, Some(before + 1), Some(after + 1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENANTS: usize = 7;

    fn id(tenant: usize) -> TenantId {
        TenantId::parse(&format!("t{tenant}")).expect("an id")
    }

    /// The levels below, searched for.
    fn depth(parents: &[Option<usize>], of: usize) -> usize {
        let children = (0..TENANTS).filter(|it| parents[*it] == Some(of));
        let depths = children.map(|child| 1 + depth(parents, child));
        depths.max().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn levels_are_as_deep_as_the_tree(
            steps in proptest::collection::vec((0..TENANTS, proptest::option::of(0..TENANTS)), 0..60),
        ) {
            let mut tree = TenantTree::default();
            let mut parents = vec![None; TENANTS];
            for (tenant, parent) in steps {
                let mut above = std::iter::successors(parent, |it: &usize| parents[*it]);
                if above.any(|it| it == tenant) {
                    continue;
                }
                parents[tenant] = parent;
                tree.set_parent(&id(tenant), parent.map(id).as_ref());
                for of in 0..TENANTS {
                    prop_assert_eq!(tree.levels_below(&id(of)), depth(&parents, of));
                    prop_assert_eq!(tree.parent(&id(of)).cloned(), parents[of].map(id));
                    let children = tree.children(&id(of)).into_iter().flatten().cloned();
                    let expected = (0..TENANTS).filter(|it| parents[*it] == Some(of)).map(id);
                    prop_assert!(children.eq(expected));
                }
            }
        }
    }
}
