mod saved;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use events::{
    Envelope, Event, OfPerson, Personal, TenantCreated, TenantDefaultPreferenceCleared,
    TenantDefaultPreferenceSet, TenantDetails, TenantEvent, TenantMemberEvent, TenantUpdated,
};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::{MultiOps as _, RoaringBitmap};
use serde::{Deserialize, Serialize};
use types::{BrandId, JsonDocument, ListId, PageLimit, StreamId, SubjectId, TenantId, Timestamp};

use crate::members::Members;
use crate::page::{Weigh, page};
use crate::{Digest, JoinKey, Projection, TenantTree};

/// Tenants and who is a member of them.
///
/// One lock, taken for writing once per committed group, for reading once per question. Whoever
/// needs the lists too locks them first.
#[derive(Default)]
pub struct Tenants {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    numbers: BTreeMap<TenantId, u32>,
    /// By number. A tenant that is named by memberships only has no details.
    tenants: Vec<StoredTenant>,
    /// The tenants of which the person is a member; by number, sorted.
    of_subject: HashMap<SubjectId, Vec<u32>>,
    /// Everybody who is a member of any tenant.
    everybody: RoaringBitmap,
    tree: TenantTree,
    /// How many tenants use a brand.
    brand_uses: HashMap<BrandId, usize>,
}

struct StoredTenant {
    id: TenantId,
    live: Option<LiveTenant>,
    members: Members,
}

#[derive(Serialize, Deserialize)]
struct LiveTenant {
    details: TenantDetails,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantView {
    pub id: TenantId,
    pub details: TenantDetails,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Without those of its descendants.
    pub user_count: usize,
}

/// One person's membership of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipView {
    pub tenant: TenantId,
    pub subject: SubjectId,
    pub joined: JoinKey,
    pub created_at: Timestamp,
    /// What is laid over the person's profile in this tenant.
    pub profile: Option<JsonDocument>,
}

/// Which tenants to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Only this tenant and those below it.
    pub within: Option<TenantId>,
    /// Only its direct children.
    pub parent: Option<TenantId>,
    /// Only those whose id or name begins so, whatever the case.
    pub prefix: Option<String>,
}

impl Tenants {
    pub fn get(&self, tenant: &TenantId) -> Option<TenantView> {
        self.state.read().get(tenant)?.view()
    }

    pub fn details(&self, tenant: &TenantId) -> Option<TenantDetails> {
        self.state.read().details(tenant).cloned()
    }

    /// Looks at the tenant, as long as nothing changes.
    pub fn with_details<T>(
        &self,
        tenant: &TenantId,
        look: impl FnOnce(&TenantDetails) -> T,
    ) -> Option<T> {
        self.state.read().details(tenant).map(look)
    }

    /// Whether there is such a tenant, or somebody is a member of it.
    pub fn is_known(&self, tenant: &TenantId) -> bool {
        self.state.read().is_known(tenant)
    }

    /// Whether anybody is a member of it, as somebody can be of a tenant that was never created.
    pub fn has_members(&self, tenant: &TenantId) -> bool {
        let state = self.state.read();
        state.get(tenant).is_some_and(|it| it.members.len() > 0)
    }

    /// How many people are members of the tenant or of a descendant, each counted once.
    pub fn user_count_with_descendants(&self, tenant: &TenantId) -> u64 {
        self.state.read().rows_of_tree(tenant).len()
    }

    /// One page of the tenants in the order of their ids, and whether there are more.
    pub fn page(
        &self,
        filter: &TenantFilter,
        after: Option<&TenantId>,
        limit: PageLimit,
    ) -> (Vec<TenantView>, bool) {
        let state = self.state.read();
        let prefix = filter.prefix.as_ref().map(|prefix| prefix.to_lowercase());
        let begins = |text: &str| match &prefix {
            Some(prefix) => text.to_lowercase().starts_with(prefix),
            None => true,
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let none = BTreeSet::new();
        let tenants: Box<dyn Iterator<Item = &TenantId>> = if let Some(parent) = &filter.parent {
            let children = state.tree.children(parent).unwrap_or(&none);
            Box::new(children.range::<TenantId, _>((from, Bound::Unbounded)))
        } else {
            let range = state.numbers.range::<TenantId, _>((from, Bound::Unbounded));
            Box::new(range.map(|(id, _)| id))
        };
        let is_within = |tenant: &&TenantId| {
            let within = filter.within.as_ref();
            within.is_none_or(|root| state.is_in_tree(tenant, root))
        };
        let views = tenants
            .filter(is_within)
            .filter_map(|id| state.get(id))
            .filter(|tenant| {
                let live = tenant.live.as_ref();
                live.is_some_and(|live| begins(tenant.id.as_str()) || begins(&live.details.name))
            })
            .filter_map(StoredTenant::view);
        page(views, limit)
    }

    /// One page of the members in the order in which they joined, and whether there are more. `None`
    /// if nobody knows of such a tenant.
    pub fn members(
        &self,
        tenant: &TenantId,
        after: Option<JoinKey>,
        limit: PageLimit,
    ) -> Option<(Vec<MembershipView>, bool)> {
        let state = self.state.read();
        let tenant = state.get(tenant).filter(|tenant| tenant.is_known())?;
        let members = tenant.members.after(after);
        let views = members.map(|member| MembershipView {
            tenant: tenant.id.clone(),
            subject: member.subject,
            joined: member.joined,
            created_at: member.created_at,
            profile: member.document.cloned(),
        });
        Some(page(views, limit))
    }

    /// One page of a person's memberships, in a tenant and those below it or anywhere, in the order of the tenants' ids, and whether there are more.
    pub fn memberships(
        &self,
        subject: SubjectId,
        within: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: PageLimit,
    ) -> (Vec<MembershipView>, bool) {
        let state = self.state.read();
        state.memberships(subject, within, after, limit)
    }

    pub fn membership(&self, tenant: &TenantId, subject: SubjectId) -> Option<MembershipView> {
        let state = self.state.read();
        state.get(tenant)?.membership(subject)
    }

    /// Every tenant of which the person is a member, in the order of their ids.
    pub fn of_subject(&self, subject: SubjectId) -> Vec<TenantId> {
        let state = self.state.read();
        let mut tenants: Vec<TenantId> = state.of_subject(subject).cloned().collect();
        tenants.sort_unstable();
        tenants
    }

    /// All members, in the order in which they joined.
    pub fn subjects(&self, tenant: &TenantId) -> Vec<SubjectId> {
        let state = self.state.read();
        let Some(tenant) = state.get(tenant) else {
            return Vec::new();
        };
        tenant.members.after(None).map(|it| it.subject).collect()
    }

    pub fn parent(&self, tenant: &TenantId) -> Option<TenantId> {
        self.state.read().tree.parent(tenant).cloned()
    }

    /// Whether the tenant is this one or below it.
    pub fn is_in_tree(&self, tenant: &TenantId, root: &TenantId) -> bool {
        self.state.read().is_in_tree(tenant, root)
    }

    /// Whether the person is a member of this tenant or of one below it.
    pub fn is_member_of_tree(&self, root: &TenantId, subject: SubjectId) -> bool {
        self.state.read().is_member_of_tree(root, subject)
    }

    /// Whether the list belongs to this tenant or to one below it.
    pub fn is_list_in_tree(&self, list: &ListId, root: &TenantId) -> bool {
        self.state.read().are_lists_in_tree(list.as_str(), root)
    }

    /// Whether all lists of which the ids begin so belong to this tenant or to ones below it, whatever follows.
    pub fn are_all_lists_in_tree(&self, beginning: &str, root: &TenantId) -> bool {
        let state = self.state.read();
        // Lists of a tenant whose own id begins so are that tenant's.
        let owners = TenantId::parse(beginning).into_iter().flat_map(|from| {
            let following = state.numbers.range(from..).map(|(tenant, _)| tenant);
            following.take_while(|tenant| tenant.as_str().starts_with(beginning))
        });
        let mut owners = owners.filter(|tenant| state.is_known(tenant));
        state.are_lists_in_tree(beginning, root)
            && owners.all(|tenant| state.is_in_tree(tenant, root))
    }

    /// When the tenant was created, if it is there.
    pub fn created_at(&self, tenant: &TenantId) -> Option<Timestamp> {
        let state = self.state.read();
        Some(state.get(tenant)?.live.as_ref()?.created_at)
    }

    /// How many tenants use the brand.
    pub fn brand_uses(&self, brand: &BrandId) -> usize {
        let state = self.state.read();
        state.brand_uses.get(brand).copied().unwrap_or_default()
    }

    /// How many levels of tenants are below this one.
    pub fn levels_below(&self, tenant: &TenantId) -> usize {
        self.state.read().tree.levels_below(tenant)
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

impl Weigh for TenantView {
    fn bytes(&self) -> usize {
        let details = &self.details;
        let documents = [&details.properties, &details.user_profile];
        let documents = documents.into_iter().flatten();
        let defaults = 128 * details.default_preferences.len();
        details.name.len() + defaults + documents.map(|it| it.as_str().len()).sum::<usize>()
    }
}

impl Weigh for MembershipView {
    fn bytes(&self) -> usize {
        self.profile.as_ref().map_or(0, |it| it.as_str().len())
    }
}

impl StoredTenant {
    fn is_known(&self) -> bool {
        self.live.is_some() || self.members.len() > 0
    }

    fn view(&self) -> Option<TenantView> {
        let live = self.live.as_ref()?;
        Some(TenantView {
            id: self.id.clone(),
            details: live.details.clone(),
            created_at: live.created_at,
            updated_at: live.updated_at,
            user_count: self.members.len(),
        })
    }

    fn membership(&self, subject: SubjectId) -> Option<MembershipView> {
        let member = self.members.get(subject)?;
        Some(MembershipView {
            tenant: self.id.clone(),
            subject,
            joined: member.joined,
            created_at: member.created_at,
            profile: member.document.cloned(),
        })
    }
}

impl State {
    fn get(&self, tenant: &TenantId) -> Option<&StoredTenant> {
        let number = self.numbers.get(tenant)?;
        Some(&self.tenants[*number as usize])
    }

    pub(crate) fn details(&self, tenant: &TenantId) -> Option<&TenantDetails> {
        let live = self.get(tenant)?.live.as_ref()?;
        Some(&live.details)
    }

    pub(crate) fn is_known(&self, tenant: &TenantId) -> bool {
        self.get(tenant).is_some_and(StoredTenant::is_known)
    }

    /// Whether there is such a tenant, or a membership or a child of it.
    pub(crate) fn is_known_tree(&self, root: &TenantId) -> bool {
        self.is_known(root) || self.tree.children(root).is_some()
    }

    /// The tenants of which the person is a member, in no order that means anything.
    pub(crate) fn of_subject(&self, subject: SubjectId) -> impl Iterator<Item = &TenantId> {
        let numbers = self.of_subject.get(&subject).map_or(&[][..], Vec::as_slice);
        let tenant = |number: &u32| &self.tenants[*number as usize].id;
        numbers.iter().map(tenant)
    }

    pub(crate) fn memberships(
        &self,
        subject: SubjectId,
        within: Option<&TenantId>,
        after: Option<&TenantId>,
        limit: PageLimit,
    ) -> (Vec<MembershipView>, bool) {
        let mut tenants: Vec<&TenantId> = self
            .of_subject(subject)
            .filter(|tenant| within.is_none_or(|root| self.is_in_tree(tenant, root)))
            .filter(|tenant| after.is_none_or(|after| *tenant > after))
            .collect();
        tenants.sort_unstable();
        let views = tenants
            .into_iter()
            .filter_map(|tenant| self.get(tenant)?.membership(subject));
        page(views, limit)
    }

    /// What is laid over the person's profile in this tenant.
    pub(crate) fn membership_profile(
        &self,
        tenant: &TenantId,
        subject: SubjectId,
    ) -> Option<&JsonDocument> {
        self.get(tenant)?.members.document(subject)
    }

    /// Everybody who is a member of any tenant.
    pub(crate) fn everybody(&self) -> &RoaringBitmap {
        &self.everybody
    }

    /// The tenant and its ancestors, nearest first. The last may be one that is not there.
    pub(crate) fn lineage<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> impl Iterator<Item = &'a TenantId> {
        self.tree.lineage(tenant)
    }

    /// The details of the tenant and its nearest ancestors, nearest first, as many as asked for.
    pub(crate) fn chain<'a>(
        &'a self,
        tenant: &'a TenantId,
        levels: usize,
    ) -> impl Iterator<Item = (&'a TenantId, &'a TenantDetails)> {
        let lineage = self.lineage(tenant).take(levels);
        lineage.filter_map(|tenant| Some((tenant, self.details(tenant)?)))
    }

    pub(crate) fn is_member(&self, tenant: &TenantId, subject: SubjectId) -> bool {
        let tenant = self.get(tenant);
        tenant.is_some_and(|tenant| tenant.members.contains(subject))
    }

    /// Every tenant in whose tree the person is by any membership: the tenants of which they are a member
    /// and all their ancestors, each looked at once.
    pub(crate) fn trees_of(&self, subject: SubjectId) -> HashSet<&TenantId> {
        let mut trees = HashSet::new();
        for tenant in self.of_subject(subject) {
            for ancestor in self.lineage(tenant) {
                if !trees.insert(ancestor) {
                    break;
                }
            }
        }
        trees
    }

    /// Lists of which the ids begin so belong to the tenant with the longest id that is a part of theirs
    /// up to a dot, and is that of a tenant.
    pub(crate) fn are_lists_in_tree(&self, beginning: &str, root: &TenantId) -> bool {
        let owner = beginning.rmatch_indices('.').find_map(|(dot, _)| {
            let tenant = TenantId::parse(&beginning[..dot]).ok()?;
            self.is_known(&tenant).then_some(tenant)
        });
        owner.is_some_and(|owner| self.is_in_tree(&owner, root))
    }

    pub(crate) fn is_in_tree(&self, tenant: &TenantId, root: &TenantId) -> bool {
        self.lineage(tenant).any(|ancestor| ancestor == root)
    }

    /// Whether the person is a member of the tenant or of one of its descendants.
    pub(crate) fn is_member_of_tree(&self, root: &TenantId, subject: SubjectId) -> bool {
        self.of_subject(subject)
            .any(|tenant| self.is_in_tree(tenant, root))
    }

    pub(crate) fn rows(&self, tenant: &TenantId) -> Option<&RoaringBitmap> {
        self.get(tenant).map(|tenant| tenant.members.subjects())
    }

    /// Everybody who is a member of the tenant or of one of its descendants.
    pub(crate) fn rows_of_tree(&self, root: &TenantId) -> RoaringBitmap {
        let mut members = Vec::new();
        let mut due = vec![root];
        while let Some(tenant) = due.pop() {
            members.extend(self.rows(tenant));
            due.extend(self.tree.children(tenant).into_iter().flatten());
        }
        members.union()
    }

    /// All tenants below this one, the nearest first.
    pub(crate) fn below(&self, root: &TenantId) -> Vec<TenantId> {
        let mut below: Vec<TenantId> = Vec::new();
        let mut looked_at = 0;
        below.extend(self.tree.children(root).into_iter().flatten().cloned());
        while let Some(tenant) = below.get(looked_at).cloned() {
            looked_at += 1;
            below.extend(self.tree.children(&tenant).into_iter().flatten().cloned());
        }
        below
    }

    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        match (&envelope.event, &envelope.stream) {
            (Event::Tenant(event), StreamId::Tenant(tenant)) => {
                self.apply_to_tenant(tenant, event, envelope.recorded_at);
            }
            (
                Event::TenantMember(event),
                StreamId::Tenant(tenant) | StreamId::TenantMember(tenant, _),
            ) => self.apply_to_members(tenant, event, envelope),
            _ => {}
        }
    }

    fn number_of(&mut self, tenant: &TenantId) -> u32 {
        *self.numbers.entry(tenant.clone()).or_insert_with(|| {
            self.tenants.push(StoredTenant {
                id: tenant.clone(),
                live: None,
                members: Members::default(),
            });
            u32::try_from(self.tenants.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn apply_to_tenant(&mut self, id: &TenantId, event: &TenantEvent, at: Timestamp) {
        let number = self.number_of(id) as usize;
        match event {
            TenantEvent::Created(TenantCreated(details))
            | TenantEvent::Updated(TenantUpdated(details)) => {
                let before = self.tenants[number].live.take();
                self.note_references(id, before.as_ref(), Some(details));
                self.tenants[number].live = Some(LiveTenant {
                    details: details.clone(),
                    created_at: before.map_or(at, |before| before.created_at),
                    updated_at: at,
                });
            }
            TenantEvent::Deleted(_) => {
                let before = self.tenants[number].live.take();
                self.note_references(id, before.as_ref(), None);
            }
            TenantEvent::HistoryRecorded(_) => {}
            TenantEvent::DefaultPreferenceSet(TenantDefaultPreferenceSet { topic, choice }) => {
                if let Some(live) = &mut self.tenants[number].live {
                    let defaults = &mut live.details.default_preferences;
                    defaults.insert(topic.clone(), choice.clone());
                    live.updated_at = at;
                }
            }
            TenantEvent::DefaultPreferenceCleared(TenantDefaultPreferenceCleared { topic }) => {
                if let Some(live) = &mut self.tenants[number].live {
                    live.details.default_preferences.remove(topic);
                    live.updated_at = at;
                }
            }
        }
    }

    /// Keeps the indexes by parent and by brand.
    fn note_references(
        &mut self,
        id: &TenantId,
        before: Option<&LiveTenant>,
        after: Option<&TenantDetails>,
    ) {
        let parent = after.and_then(|details| details.parent_tenant_id.as_ref());
        self.tree.set_parent(id, parent);
        let before = before.and_then(|live| live.details.brand_id.as_ref());
        let after = after.and_then(|details| details.brand_id.as_ref());
        if before == after {
            return;
        }
        if let Some(brand) = before
            && let Some(uses) = self.brand_uses.get_mut(brand)
        {
            *uses -= 1;
            if *uses == 0 {
                self.brand_uses.remove(brand);
            }
        }
        if let Some(brand) = after {
            *self.brand_uses.entry(brand.clone()).or_default() += 1;
        }
    }

    fn apply_to_members(
        &mut self,
        tenant: &TenantId,
        event: &TenantMemberEvent,
        envelope: &Envelope,
    ) {
        let number = self.number_of(tenant);
        let subjects = (0_u32..).zip(envelope.subjects.iter().copied());
        match event {
            TenantMemberEvent::Added(added) => {
                for (ordinal, subject) in subjects {
                    let profile = clear(added.profile.as_ref());
                    self.add(number, subject, ordinal, profile, envelope);
                }
            }
            TenantMemberEvent::ManyAdded(added) => {
                for (ordinal, subject) in subjects {
                    self.add(number, subject, ordinal, None, envelope);
                }
                let members = &mut self.tenants[number as usize].members;
                for OfPerson { place, value } in &added.profiles {
                    if let Some(subject) = envelope.subjects.get(*place as usize) {
                        members.set_document(*subject, value.known().cloned());
                    }
                }
            }
            TenantMemberEvent::Updated(updated) => {
                let members = &mut self.tenants[number as usize].members;
                for (_, subject) in subjects {
                    if members.contains(subject) {
                        members.set_document(subject, clear(updated.profile.as_ref()));
                    }
                }
            }
            TenantMemberEvent::Removed(_) | TenantMemberEvent::ManyRemoved(_) => {
                for (_, subject) in subjects {
                    self.remove(number, subject);
                }
            }
        }
    }

    fn add(
        &mut self,
        number: u32,
        subject: SubjectId,
        ordinal: u32,
        profile: Option<JsonDocument>,
        envelope: &Envelope,
    ) {
        let joined = JoinKey {
            position: envelope.position,
            ordinal,
        };
        let members = &mut self.tenants[number as usize].members;
        members.add(subject, joined, envelope.recorded_at, profile);
        self.everybody.insert(subject.0);
        let tenants = self.of_subject.entry(subject).or_default();
        if let Err(place) = tenants.binary_search(&number) {
            tenants.insert(place, number);
        }
    }

    fn remove(&mut self, number: u32, subject: SubjectId) {
        self.tenants[number as usize].members.remove(subject);
        if let Some(tenants) = self.of_subject.get_mut(&subject) {
            if let Ok(place) = tenants.binary_search(&number) {
                tenants.remove(place);
            }
            if tenants.is_empty() {
                self.of_subject.remove(&subject);
                self.everybody.remove(subject.0);
            }
        }
    }
}

fn clear(profile: Option<&Personal<JsonDocument>>) -> Option<JsonDocument> {
    profile.and_then(Personal::known).cloned()
}

impl Projection for Tenants {
    const NAME: &'static str = "tenants";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        self.state.write().apply(envelope);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (id, number) in &state.numbers {
            let tenant = &state.tenants[*number as usize];
            if !tenant.is_known() {
                continue;
            }
            digest.text(id.as_str());
            digest.number(u64::from(tenant.live.is_some()));
            if let Some(live) = &tenant.live {
                digest.json(&live.details);
                digest.number(live.created_at.0);
                digest.number(live.updated_at.0);
            }
            tenant.members.digest(digest);
        }
    }
}
