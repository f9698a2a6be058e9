mod saved;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use events::{Envelope, Event, ListEvent, ListMemberEvent, OfPerson, Personal};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use roaring::{MultiOps as _, RoaringBitmap};
use serde::{Deserialize, Serialize};
use types::{JsonDocument, ListId, ListPattern, PageLimit, StreamId, SubjectId, Timestamp};

use crate::members::Members;
use crate::page::{Weigh, page};
use crate::{Digest, JoinKey, PeopleWithin, Projection};

/// Lists and who is subscribed to them.
///
/// One lock, taken for writing once per committed group, for reading once per page.
#[derive(Default)]
pub struct Lists {
    state: RwLock<State>,
}

#[derive(Default)]
pub(crate) struct State {
    numbers: BTreeMap<ListId, u32>,
    lists: Vec<StoredList>,
    /// Every list, deleted ones included, to which the person is subscribed; by number, sorted.
    of_subject: HashMap<SubjectId, Vec<u32>>,
    /// Everybody who is subscribed to a live list.
    everybody: RoaringBitmap,
}

struct StoredList {
    id: ListId,
    status: ListStatus,
    name: String,
    preferences: Option<JsonDocument>,
    created_at: Timestamp,
    updated_at: Timestamp,
    members: Members,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListStatus {
    Live,
    /// Put aside with its subscribers until it is restored or a fresh list takes the id.
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListView {
    pub id: ListId,
    pub status: ListStatus,
    pub name: String,
    pub preferences: Option<JsonDocument>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub subscriber_count: usize,
}

/// A list seen by one of its subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionView {
    pub list: ListView,
    /// Those of the subscription, not of the list.
    pub preferences: Option<JsonDocument>,
}

/// A subscriber seen by the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberView {
    pub subject: SubjectId,
    pub joined: JoinKey,
    pub created_at: Timestamp,
    pub preferences: Option<JsonDocument>,
}

impl Lists {
    /// The list in whatever status.
    pub fn get(&self, list: &ListId) -> Option<ListView> {
        self.state.read().get(list).map(StoredList::view)
    }

    pub fn live(&self, list: &ListId) -> Option<ListView> {
        self.get(list)
            .filter(|list| list.status == ListStatus::Live)
    }

    /// One page of the live lists that are visible in the order of their ids, and whether there are more.
    pub fn page(
        &self,
        pattern: Option<&ListPattern>,
        visible: &dyn Fn(&ListId) -> bool,
        after: Option<&ListId>,
        limit: PageLimit,
    ) -> (Vec<ListView>, bool) {
        let state = self.state.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let lists = state
            .numbers
            .range::<ListId, _>((from, Bound::Unbounded))
            .filter(|(id, _)| pattern.is_none_or(|pattern| pattern.matches(id)))
            .filter(|(id, _)| visible(id))
            .map(|(_, number)| &state.lists[*number as usize])
            .filter(|list| list.status == ListStatus::Live)
            .map(StoredList::view);
        page(lists, limit)
    }

    /// One page of subscribers in the order in which they joined, and whether there are more.
    /// `None` if there is no live list.
    pub fn subscribers(
        &self,
        list: &ListId,
        people: Option<&PeopleWithin>,
        after: Option<JoinKey>,
        limit: PageLimit,
    ) -> Option<(Vec<SubscriberView>, bool)> {
        let state = self.state.read();
        let list = state
            .get(list)
            .filter(|list| list.status == ListStatus::Live)?;
        let members = list.members.after(after);
        let members = members.filter(|it| people.is_none_or(|people| people.include(it.subject)));
        let members = members.map(|member| SubscriberView {
            subject: member.subject,
            joined: member.joined,
            created_at: member.created_at,
            preferences: member.document.cloned(),
        });
        Some(page(members, limit))
    }

    /// One page of the live lists of a person in the order of their ids, and whether there are more.
    pub fn subscriptions(
        &self,
        subject: SubjectId,
        visible: &dyn Fn(&ListId) -> bool,
        after: Option<&ListId>,
        limit: PageLimit,
    ) -> (Vec<SubscriptionView>, bool) {
        let state = self.state.read();
        state.subscriptions(subject, visible, after, limit)
    }

    /// Every list to which the person is subscribed, deleted ones included.
    pub fn of_subject(&self, subject: SubjectId) -> Vec<ListId> {
        self.state
            .read()
            .of_subject(subject)
            .map(|list| list.id.clone())
            .collect()
    }

    /// How many of these people are subscribed to the list.
    pub fn subscriber_count_within(&self, list: &ListId, people: &PeopleWithin) -> usize {
        let state = self.state.read();
        let members = state.get(list).map(|list| list.members.subjects());
        let count = members.map_or(0, |members| members.intersection_len(&people.0));
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// To how many lists the person is subscribed, deleted ones included.
    pub fn count_of_subject(&self, subject: SubjectId) -> usize {
        let state = self.state.read();
        state.of_subject.get(&subject).map_or(0, Vec::len)
    }

    /// The subscription's preferences; the outer `None` if there is no subscription. Answers for
    /// deleted lists too.
    pub fn subscription(&self, list: &ListId, subject: SubjectId) -> Option<Option<JsonDocument>> {
        let state = self.state.read();
        let members = &state.get(list)?.members;
        members
            .contains(subject)
            .then(|| members.document(subject).cloned())
    }

    /// All subscribers of the list in whatever status, in the order in which they joined.
    pub fn subjects(&self, list: &ListId) -> Vec<SubjectId> {
        let state = self.state.read();
        let Some(list) = state.get(list) else {
            return Vec::new();
        };
        list.members
            .after(None)
            .map(|member| member.subject)
            .collect()
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

impl Weigh for ListView {
    fn bytes(&self) -> usize {
        self.name.len() + text_bytes(self.preferences.as_ref())
    }
}

impl Weigh for SubscriptionView {
    fn bytes(&self) -> usize {
        self.list.bytes() + text_bytes(self.preferences.as_ref())
    }
}

impl Weigh for SubscriberView {
    fn bytes(&self) -> usize {
        text_bytes(self.preferences.as_ref())
    }
}

fn text_bytes(document: Option<&JsonDocument>) -> usize {
    document.map_or(0, |document| document.as_str().len())
}

impl StoredList {
    fn view(&self) -> ListView {
        ListView {
            id: self.id.clone(),
            status: self.status,
            name: self.name.clone(),
            preferences: self.preferences.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            subscriber_count: self.members.len(),
        }
    }
}

impl State {
    fn get(&self, list: &ListId) -> Option<&StoredList> {
        self.numbers
            .get(list)
            .map(|number| &self.lists[*number as usize])
    }

    fn of_subject(&self, subject: SubjectId) -> impl Iterator<Item = &StoredList> {
        let numbers = self.of_subject.get(&subject).map_or(&[][..], Vec::as_slice);
        numbers.iter().map(|number| &self.lists[*number as usize])
    }

    pub(crate) fn subscriptions(
        &self,
        subject: SubjectId,
        visible: &dyn Fn(&ListId) -> bool,
        after: Option<&ListId>,
        limit: PageLimit,
    ) -> (Vec<SubscriptionView>, bool) {
        let mut lists: Vec<&StoredList> = self
            .of_subject(subject)
            .filter(|list| list.status == ListStatus::Live)
            .filter(|list| after.is_none_or(|after| list.id > *after))
            .filter(|list| visible(&list.id))
            .collect();
        lists.sort_unstable_by_key(|list| &list.id);
        let views = lists.into_iter().map(|list| SubscriptionView {
            list: list.view(),
            preferences: list.members.document(subject).cloned(),
        });
        page(views, limit)
    }

    /// Everybody who is subscribed to a live list.
    pub(crate) fn everybody(&self) -> &RoaringBitmap {
        &self.everybody
    }

    /// Takes note of whether these people are still subscribed to anything.
    fn note_everybody(&mut self, subjects: &RoaringBitmap) {
        for row in subjects {
            if self.of_subject_live(SubjectId(row)).next().is_some() {
                self.everybody.insert(row);
            } else {
                self.everybody.remove(row);
            }
        }
    }

    /// The live lists of a person.
    pub(crate) fn of_subject_live(&self, subject: SubjectId) -> impl Iterator<Item = &ListId> {
        self.of_subject(subject)
            .filter(|list| list.status == ListStatus::Live)
            .map(|list| &list.id)
    }

    /// What the person said for this list.
    pub(crate) fn preferences_of(
        &self,
        list: &ListId,
        subject: SubjectId,
    ) -> Option<&JsonDocument> {
        self.get(list)?.members.document(subject)
    }

    /// What a subscriber said for this list, and what the list says; nothing of who is none.
    pub(crate) fn said_of(
        &self,
        list: &ListId,
        subject: SubjectId,
    ) -> Option<(Option<&JsonDocument>, Option<&JsonDocument>)> {
        let list = self.get(list)?;
        let is_member = list.members.subjects().contains(subject.0);
        is_member.then(|| (list.members.document(subject), list.preferences.as_ref()))
    }

    /// Whether the person is subscribed to a live list that the pattern matches.
    pub(crate) fn is_member(&self, pattern: &ListPattern, subject: SubjectId) -> bool {
        self.of_subject_live(subject)
            .any(|list| pattern.matches(list))
    }

    /// Everybody who is subscribed to a live list that the pattern matches.
    pub(crate) fn union_of(&self, pattern: &ListPattern) -> RoaringBitmap {
        let members = self.matching(pattern).map(|list| list.members.subjects());
        members.union()
    }

    /// The live lists that the pattern matches.
    pub(crate) fn live_matching(&self, pattern: &ListPattern) -> impl Iterator<Item = &ListId> {
        self.matching(pattern).map(|list| &list.id)
    }

    /// Everybody who is subscribed to the list in whatever status.
    pub(crate) fn subjects_of(&self, list: &ListId) -> Option<&RoaringBitmap> {
        self.get(list).map(|list| list.members.subjects())
    }

    fn matching(&self, pattern: &ListPattern) -> impl Iterator<Item = &StoredList> {
        let exactly = pattern.exactly();
        let one = exactly.as_ref().and_then(|list| self.get(list));
        let several = exactly.is_none().then(|| {
            let lists = self.lists.iter();
            lists.filter(|list| pattern.matches(&list.id))
        });
        one.into_iter()
            .chain(several.into_iter().flatten())
            .filter(|list| list.status == ListStatus::Live)
    }

    pub(crate) fn apply(&mut self, envelope: &Envelope) {
        match (&envelope.event, &envelope.stream) {
            (Event::List(event), StreamId::List(list)) => {
                self.apply_to_list(list, event, envelope.recorded_at);
            }
            (Event::ListMember(event), StreamId::List(list) | StreamId::ListMember(list, _)) => {
                if let Some(number) = self.numbers.get(list) {
                    self.apply_to_members(*number, event, envelope);
                }
            }
            _ => {}
        }
    }

    fn apply_to_list(&mut self, id: &ListId, event: &ListEvent, at: Timestamp) {
        let number = *self.numbers.entry(id.clone()).or_insert_with(|| {
            self.lists.push(StoredList {
                id: id.clone(),
                status: ListStatus::Deleted,
                name: String::new(),
                preferences: None,
                created_at: at,
                updated_at: at,
                members: Members::default(),
            });
            u32::try_from(self.lists.len() - 1).unwrap_or(u32::MAX)
        });
        let list = &mut self.lists[number as usize];
        list.updated_at = at;
        let mut concerned = list.members.subjects().clone();
        match event {
            ListEvent::Created(created) => {
                let former = std::mem::take(&mut list.members);
                list.status = ListStatus::Live;
                list.created_at = at;
                list.name.clone_from(&created.name);
                list.preferences.clone_from(&created.preferences);
                for member in former.after(None) {
                    forget(&mut self.of_subject, member.subject, number);
                }
            }
            ListEvent::Updated(updated) => {
                concerned.clear();
                list.name.clone_from(&updated.name);
                list.preferences.clone_from(&updated.preferences);
            }
            ListEvent::Deleted(_) => list.status = ListStatus::Deleted,
            ListEvent::Restored(_) => list.status = ListStatus::Live,
        }
        self.note_everybody(&concerned);
    }

    fn apply_to_members(&mut self, number: u32, event: &ListMemberEvent, envelope: &Envelope) {
        let members = &mut self.lists[number as usize].members;
        let subjects = (0_u32..).zip(envelope.subjects.iter().copied());
        let joined = |ordinal| JoinKey {
            position: envelope.position,
            ordinal,
        };
        let at = envelope.recorded_at;
        match event {
            ListMemberEvent::Added(added) => {
                for (ordinal, subject) in subjects {
                    members.add(
                        subject,
                        joined(ordinal),
                        at,
                        clear(added.preferences.as_ref()),
                    );
                    remember(&mut self.of_subject, subject, number);
                }
            }
            ListMemberEvent::ManyAdded(added) => {
                for (ordinal, subject) in subjects {
                    members.add(subject, joined(ordinal), at, None);
                    remember(&mut self.of_subject, subject, number);
                }
                for OfPerson { place, value } in &added.preferences {
                    if let Some(subject) = envelope.subjects.get(*place as usize) {
                        members.set_document(*subject, value.known().cloned());
                    }
                }
            }
            ListMemberEvent::Updated(updated) => {
                for (_, subject) in subjects {
                    members.set_document(subject, clear(updated.preferences.as_ref()));
                }
            }
            ListMemberEvent::Removed(_) | ListMemberEvent::ManyRemoved(_) => {
                for (_, subject) in subjects {
                    members.remove(subject);
                    forget(&mut self.of_subject, subject, number);
                }
            }
        }
        self.note_subscribers(number, event, &envelope.subjects);
    }

    /// Takes note of whether those whom the event names are still subscribed to anything.
    fn note_subscribers(&mut self, number: u32, event: &ListMemberEvent, subjects: &[SubjectId]) {
        match event {
            ListMemberEvent::Added(_) | ListMemberEvent::ManyAdded(_) => {
                if self.lists[number as usize].status == ListStatus::Live {
                    self.everybody
                        .extend(subjects.iter().map(|subject| subject.0));
                }
            }
            ListMemberEvent::Removed(_) | ListMemberEvent::ManyRemoved(_) => {
                self.note_everybody(&subjects.iter().map(|subject| subject.0).collect());
            }
            ListMemberEvent::Updated(_) => {}
        }
    }
}

fn clear(preferences: Option<&Personal<JsonDocument>>) -> Option<JsonDocument> {
    preferences.and_then(Personal::known).cloned()
}

fn remember(of_subject: &mut HashMap<SubjectId, Vec<u32>>, subject: SubjectId, list: u32) {
    let lists = of_subject.entry(subject).or_default();
    if let Err(place) = lists.binary_search(&list) {
        lists.insert(place, list);
    }
}

fn forget(of_subject: &mut HashMap<SubjectId, Vec<u32>>, subject: SubjectId, list: u32) {
    if let Some(lists) = of_subject.get_mut(&subject) {
        if let Ok(place) = lists.binary_search(&list) {
            lists.remove(place);
        }
        if lists.is_empty() {
            of_subject.remove(&subject);
        }
    }
}

impl Projection for Lists {
    const NAME: &'static str = "lists";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        self.state.write().apply(envelope);
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        for (id, number) in &state.numbers {
            let list = &state.lists[*number as usize];
            digest.text(id.as_str());
            digest.number(u64::from(list.status == ListStatus::Live));
            digest.text(&list.name);
            digest.optional_text(list.preferences.as_ref().map(JsonDocument::as_str));
            digest.number(list.created_at.0);
            digest.number(list.updated_at.0);
            list.members.digest(digest);
        }
    }
}
