use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use events::codec::{Decoder, Encoder};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::filter::{Set, Test};
use types::{ListId, ListPattern, TenantId};

/// One question, whichever audiences ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct PredicateId(pub(super) u32);

impl PredicateId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) question: Question,
    /// As reasons write it.
    pub(super) label: Arc<str>,
    /// How many audiences ask it.
    users: usize,
    /// The audiences whose outcome can change with it, by the access predicate that must be true
    /// for that; `None` where there is none.
    dependents: HashMap<Option<PredicateId>, Vec<u32>>,
    /// How many audiences have it as their access predicate.
    accesses: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    Attribute { column: u32, test: Test },
    Set(Set),
}

/// Every question that some rule asks, each once.
#[derive(Debug, Default)]
pub(super) struct Predicates {
    slots: Vec<Option<Predicate>>,
    free: Vec<PredicateId>,
    /// The ids that the next acquisitions get, while a snapshot is being restored: reasons tell of
    /// predicates in the order of their ids, so these have to be what they were.
    due: VecDeque<PredicateId>,
    by_question: HashMap<Question, PredicateId>,
    /// Sets of lists: single lists by their id, the others apart.
    of_list: HashMap<ListId, PredicateId>,
    of_lists: Vec<PredicateId>,
    of_tenant: HashMap<TenantId, PredicateId>,
    of_tenant_tree: HashMap<TenantId, PredicateId>,
    /// Who is in the lists or tenants of the predicates that ask about such.
    pub(super) members: HashMap<PredicateId, RoaringBitmap>,
    /// The live lists among which they are.
    pub(super) live_lists: HashMap<PredicateId, HashSet<ListId>>,
    /// The predicates about tenants of which somebody knows.
    pub(super) known_tenants: HashSet<PredicateId>,
}

impl Predicates {
    pub(super) fn get(&self, predicate: PredicateId) -> &Predicate {
        self.slots[predicate.index()]
            .as_ref()
            .expect("a predicate is kept as long as somebody asks it")
    }

    fn get_mut(&mut self, predicate: PredicateId) -> &mut Predicate {
        self.slots[predicate.index()]
            .as_mut()
            .expect("a predicate is kept as long as somebody asks it")
    }

    pub(super) fn find(&self, question: &Question) -> Option<PredicateId> {
        self.by_question.get(question).copied()
    }

    /// Past the largest number in use.
    pub(super) fn end(&self) -> usize {
        self.slots.len()
    }

    /// The predicate for one more audience that asks, and whether it is a new one.
    pub(super) fn acquire(&mut self, question: Question, label: &str) -> (PredicateId, bool) {
        let due = self.due.pop_front();
        if let Some(predicate) = self.find(&question) {
            self.get_mut(predicate).users += 1;
            return (predicate, false);
        }
        let predicate = due.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.slots.push(None);
            PredicateId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        match &question {
            Question::Set(Set::List(pattern)) => match pattern.exactly() {
                Some(list) => drop(self.of_list.insert(list, predicate)),
                None => self.of_lists.push(predicate),
            },
            Question::Set(Set::Tenant(tenant)) => {
                self.of_tenant.insert(tenant.clone(), predicate);
            }
            Question::Set(Set::TenantTree(root)) => {
                self.of_tenant_tree.insert(root.clone(), predicate);
            }
            Question::Set(Set::Audience(_)) | Question::Attribute { .. } => {}
        }
        self.by_question.insert(question.clone(), predicate);
        self.slots[predicate.index()] = Some(Predicate {
            question,
            label: label.into(),
            users: 1,
            dependents: HashMap::new(),
            accesses: 0,
        });
        (predicate, true)
    }

    /// One audience asks no more; gives the question back if nobody else does.
    pub(super) fn release(&mut self, predicate: PredicateId) -> Option<Question> {
        let held = self.get_mut(predicate);
        held.users -= 1;
        if held.users > 0 {
            return None;
        }
        let question = self.slots[predicate.index()].take()?.question;
        self.by_question.remove(&question);
        self.free.push(predicate);
        self.members.remove(&predicate);
        match &question {
            Question::Set(Set::List(pattern)) => {
                self.live_lists.remove(&predicate);
                match pattern.exactly() {
                    Some(list) => drop(self.of_list.remove(&list)),
                    None => self.of_lists.retain(|held| *held != predicate),
                }
            }
            Question::Set(Set::Tenant(tenant)) => {
                self.of_tenant.remove(tenant);
                self.known_tenants.remove(&predicate);
            }
            Question::Set(Set::TenantTree(root)) => {
                self.of_tenant_tree.remove(root);
                self.known_tenants.remove(&predicate);
            }
            Question::Set(Set::Audience(_)) | Question::Attribute { .. } => {}
        }
        Some(question)
    }

    /// The audience has these leaves, and is to be looked at only where `access` is true.
    pub(super) fn depend(
        &mut self,
        audience: u32,
        leaves: &[PredicateId],
        access: Option<PredicateId>,
    ) {
        for leaf in leaves {
            let key = access.filter(|access| access != leaf);
            let dependents = &mut self.get_mut(*leaf).dependents;
            dependents.entry(key).or_default().push(audience);
        }
        if let Some(access) = access {
            self.get_mut(access).accesses += 1;
        }
    }

    /// The reverse of [`Predicates::depend`].
    pub(super) fn undepend(
        &mut self,
        audience: u32,
        leaves: &[PredicateId],
        access: Option<PredicateId>,
    ) {
        for leaf in leaves {
            let key = access.filter(|access| access != leaf);
            let dependents = &mut self.get_mut(*leaf).dependents;
            if let Some(audiences) = dependents.get_mut(&key) {
                audiences.retain(|held| *held != audience);
                if audiences.is_empty() {
                    dependents.remove(&key);
                }
            }
        }
        if let Some(access) = access {
            self.get_mut(access).accesses -= 1;
        }
    }

    /// The lists that the predicate asks about, if it asks about lists.
    pub(super) fn pattern(&self, predicate: PredicateId) -> Option<&ListPattern> {
        match &self.get(predicate).question {
            Question::Set(Set::List(pattern)) => Some(pattern),
            Question::Set(Set::Tenant(_) | Set::TenantTree(_) | Set::Audience(_))
            | Question::Attribute { .. } => None,
        }
    }

    /// The predicates about lists among which this one counts.
    pub(super) fn about_list(&self, list: &ListId) -> Vec<PredicateId> {
        let matches = |predicate: &&PredicateId| {
            let pattern = self.pattern(**predicate);
            pattern.is_some_and(|pattern| pattern.matches(list))
        };
        let several = self.of_lists.iter().filter(matches);
        self.of_list
            .get(list)
            .into_iter()
            .chain(several)
            .copied()
            .collect()
    }
}

impl Predicates {
    /// The predicate about the tenant without its descendants.
    pub(super) fn about_tenant(&self, tenant: &TenantId) -> Option<PredicateId> {
        self.of_tenant.get(tenant).copied()
    }

    /// The predicate about the tenant with its descendants.
    pub(super) fn about_tree(&self, root: &TenantId) -> Option<PredicateId> {
        self.of_tenant_tree.get(root).copied()
    }

    /// Whether any predicate asks about tenants.
    pub(super) fn ask_about_tenants(&self) -> bool {
        !(self.of_tenant.is_empty() && self.of_tenant_tree.is_empty())
    }
}

impl Predicate {
    /// The audiences to look at when this one changes for somebody of whom `access` is true, or of
    /// whom none needs to be.
    pub(super) fn dependents(&self, access: Option<PredicateId>) -> &[u32] {
        self.dependents.get(&access).map_or(&[], Vec::as_slice)
    }

    /// All audiences of which this is a leaf.
    pub(super) fn all_dependents(&self) -> impl Iterator<Item = u32> {
        self.dependents.values().flatten().copied()
    }

    /// Whether some audience depends on it only where another is true.
    pub(super) fn has_access(&self) -> bool {
        self.dependents.keys().any(Option::is_some)
    }

    /// How many audiences ask it.
    pub(super) fn users(&self) -> usize {
        self.users
    }

    pub(super) fn is_access(&self) -> bool {
        self.accesses > 0
    }
}

/// What a snapshot holds of the predicates besides what the rules say themselves.
pub(super) struct SavedPredicates {
    free: Vec<PredicateId>,
    labels: Vec<(PredicateId, Arc<str>)>,
}

impl Predicates {
    pub(super) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put(&(self.slots.len() as u64))?;
        out.put(&self.free)?;
        let ids = (0..).map(PredicateId).zip(&self.slots);
        let labels = ids.filter_map(|(id, slot)| Some((id, &slot.as_ref()?.label)));
        out.put_all(labels.collect::<Vec<_>>().into_iter())
    }

    /// Makes room for all predicates that there were. Rules are then compiled, each after
    /// [`Predicates::expect`], and at last [`Predicates::restored`] is called.
    pub(super) fn restore(&mut self, input: &mut Decoder<'_>) -> io::Result<SavedPredicates> {
        let slots: u64 = input.take()?;
        let slots = usize::try_from(slots).map_err(|_| io::ErrorKind::InvalidData)?;
        let free = input.take()?;
        let labels = input.take_into()?;
        self.slots.resize_with(slots, || None);
        Ok(SavedPredicates { free, labels })
    }

    /// The next predicates to be acquired, in that order.
    pub(super) fn expect(&mut self, due: Vec<PredicateId>) {
        self.due = due.into();
    }

    pub(super) fn restored(&mut self, saved: SavedPredicates) {
        self.free = saved.free;
        for (id, label) in saved.labels {
            if let Some(Some(predicate)) = self.slots.get_mut(id.index()) {
                predicate.label = label;
            }
        }
    }
}
