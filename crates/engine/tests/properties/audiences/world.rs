use std::collections::{BTreeMap, BTreeSet};

use projections::ReadModels;
use serde_json::{Map, Value, json};
use types::filter::{Facts, Group, Set};
use types::{
    AttributePath, AudienceId, ListId, SubjectId, TenantId, Timestamp, UserId, merge_patch,
    without_nulls,
};

/// Few enough that everything happens to everybody.
pub(crate) const FEW: usize = 9;
/// Enough that events are worked out by sets, and that people join in cohorts.
pub(crate) const CROWD: usize = 1_500;
pub(crate) const AUDIENCES: usize = 6;
pub(crate) const LISTS: [&str; 4] = ["a", "b", "a.x", "a.x.y"];

/// Few enough that they come to be within each other in every way.
pub(crate) const TENANTS: usize = 5;

pub(crate) fn tenant_id(tenant: usize) -> TenantId {
    TenantId::parse(&format!("t{tenant}")).unwrap()
}

pub(crate) fn user_id(who: usize) -> UserId {
    UserId::parse(&format!("person {who}")).unwrap()
}

pub(crate) fn list_id(list: usize) -> ListId {
    ListId::parse(LISTS[list]).unwrap()
}

pub(crate) fn audience_id(audience: usize) -> AudienceId {
    AudienceId::parse(&format!("audience {audience}")).unwrap()
}

pub(crate) fn who(models: &ReadModels, subject: SubjectId) -> usize {
    let user_id = models.subjects.user_id(subject).unwrap();
    user_id.as_str()["person ".len()..].parse().unwrap()
}

/// What is true, in the plainest form.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) profiles: BTreeMap<usize, Map<String, Value>>,
    /// Whether it is live, and who is in it.
    pub(crate) lists: BTreeMap<usize, (bool, BTreeSet<usize>)>,
    pub(crate) audiences: BTreeMap<usize, Option<Group>>,
    /// Those that are there, with their parents.
    pub(crate) tenants: BTreeMap<usize, Option<usize>>,
    /// Who is a member of which, whether it is there or not.
    pub(crate) memberships: BTreeMap<usize, BTreeSet<usize>>,
    /// What people did, as rules see it: under `$events`.
    pub(crate) tracked: BTreeMap<usize, Map<String, Value>>,
}

impl World {
    pub(crate) fn merge(&mut self, who: usize, changes: Map<String, Value>) {
        let mut after = self.profiles.get(&who).cloned().unwrap_or_default();
        merge_patch(&mut after, changes);
        // Merging nothing into nothing makes nothing.
        if self.profiles.contains_key(&who) || !after.is_empty() {
            self.profiles.insert(who, after);
        }
    }

    pub(crate) fn replace(&mut self, who: usize, profile: Map<String, Value>) {
        if let Value::Object(profile) = without_nulls(Value::Object(profile)) {
            self.profiles.insert(who, profile);
        }
    }

    pub(crate) fn track(&mut self, who: usize, event: &str, at: Timestamp) {
        let at = json!(at.to_rfc3339_millis());
        let tracked = self.tracked.entry(who).or_default();
        let events = tracked.entry("$events").or_insert_with(|| json!({}));
        let event = &mut events[event];
        if event.is_null() {
            *event = json!({"count": 0, "first_at": at, "last_at": at});
        }
        event["count"] = json!(event["count"].as_u64().unwrap() + 1);
        event["last_at"] = at;
    }

    pub(crate) fn subscribe(&mut self, list: usize, people: BTreeSet<usize>, overwrite: bool) {
        let entry = self.lists.entry(list).or_default();
        if !entry.0 || overwrite {
            entry.1.clear();
        }
        entry.0 = true;
        entry.1.extend(people);
    }

    pub(crate) fn unsubscribe(&mut self, list: usize, who: usize) {
        if let Some((true, members)) = self.lists.get_mut(&list) {
            members.remove(&who);
        }
    }

    pub(crate) fn put_tenant(&mut self, tenant: usize, parent: Option<usize>) {
        self.tenants.insert(tenant, parent);
        assert!(
            self.lineage(tenant).len() <= TENANTS,
            "a tenant above itself"
        );
    }

    pub(crate) fn delete_tenant(&mut self, tenant: usize) {
        self.tenants.remove(&tenant);
        self.memberships.remove(&tenant);
    }

    pub(crate) fn leave_all(&mut self, who: usize) {
        for members in self.memberships.values_mut() {
            members.remove(&who);
        }
    }

    pub(crate) fn delete_user(&mut self, who: usize) {
        self.profiles.remove(&who);
        for (_, members) in self.lists.values_mut() {
            members.remove(&who);
        }
        self.leave_all(who);
        self.tracked.remove(&who);
    }

    /// The tenant and its ancestors; not more than there are, although there be a cycle.
    fn lineage(&self, tenant: usize) -> Vec<usize> {
        let parent = |tenant: &usize| self.tenants.get(tenant).copied().flatten();
        std::iter::successors(Some(tenant), parent)
            .take(TENANTS + 1)
            .collect()
    }

    pub(crate) fn members(&self, rule: Option<&Group>, now: Timestamp) -> BTreeSet<usize> {
        let Some(rule) = rule else {
            return BTreeSet::new();
        };
        let people = self.profiles.keys().copied();
        people
            .filter(|who| {
                rule.matches(&Person {
                    world: self,
                    who: *who,
                    now,
                })
            })
            .collect()
    }
}

struct Person<'a> {
    world: &'a World,
    who: usize,
    now: Timestamp,
}

impl Facts for Person<'_> {
    fn attribute(&self, path: &AttributePath) -> Option<&Value> {
        let tracked = || path.resolve(self.world.tracked.get(&self.who)?);
        path.resolve(&self.world.profiles[&self.who])
            .or_else(tracked)
    }

    fn is_member(&self, set: &Set) -> bool {
        match set {
            Set::Tenant(tenant) => self.is_member(|it| tenant_id(it) == *tenant),
            Set::TenantTree(root) => self.is_member(|it| {
                let mut lineage = self.world.lineage(it).into_iter();
                lineage.any(|it| tenant_id(it) == *root)
            }),
            Set::List(pattern) => self.world.lists.iter().any(|(list, (live, members))| {
                *live && pattern.matches(&list_id(*list)) && members.contains(&self.who)
            }),
            // From scratch means here, too: the other audience's rule, not its members.
            Set::Audience(audience) => (0..AUDIENCES)
                .filter(|number| audience_id(*number) == *audience)
                .filter_map(|number| self.world.audiences.get(&number)?.as_ref())
                .any(|rule| rule.matches(self)),
        }
    }

    fn now(&self) -> Timestamp {
        self.now
    }
}

impl Person<'_> {
    fn is_member(&self, of: impl Fn(usize) -> bool) -> bool {
        let mut memberships = self.world.memberships.iter();
        memberships.any(|(tenant, members)| members.contains(&self.who) && of(*tenant))
    }
}
