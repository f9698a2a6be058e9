use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, Personal, ProfileEvent, ProfileUpdated, SubjectEvent};
use memchr::memmem;
use types::{AttributePath, JsonDocument, PageLimit, SubjectId, Timestamp, UserId, equals_operand};

use crate::{Digest, PeopleWithin, Projection, Subjects};

/// Users looked at in one go while a page is being filtered; the index is locked for no longer.
const SCAN_USERS_MAX: usize = 1_024;

/// The stored profiles.
///
/// Documents lie in slots by subject number behind pointers that are swapped, so that readers and
/// the writer do not wait for each other. A document is kept once, as JSON text.
pub struct Profiles {
    subjects: Arc<Subjects>,
    slots: boxcar::Vec<ArcSwapOption<StoredProfile>>,
    count: AtomicUsize,
}

struct StoredProfile {
    document: JsonDocument,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileView {
    pub user_id: UserId,
    pub document: JsonDocument,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Profiles whose attribute at `path` equals `operand` (the meaning of `EQ` in audiences).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeFilter {
    pub path: AttributePath,
    pub operand: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfilesPage {
    /// In the order of the user ids, byte by byte.
    pub items: Vec<ProfileView>,
    pub more: bool,
    /// All that match, on whatever page.
    pub count: usize,
}

impl Profiles {
    pub(crate) fn new(subjects: Arc<Subjects>) -> Self {
        Self {
            subjects,
            slots: boxcar::Vec::new(),
            count: AtomicUsize::new(0),
        }
    }

    pub fn document(&self, subject: SubjectId) -> Option<JsonDocument> {
        let profile = self.slots.get(subject.index())?.load();
        profile.as_ref().map(|profile| profile.document.clone())
    }

    /// Past the largest number of a person.
    pub(crate) fn end(&self) -> u32 {
        u32::try_from(self.slots.count()).unwrap_or(u32::MAX)
    }

    /// One page of the profiles that pass every filter, of everybody or of these, after the given user.
    ///
    /// Without a filter the cost is that of the page; with one, every profile is looked at, as long
    /// as somebody still wants to know.
    pub fn page(
        &self,
        filters: &[AttributeFilter],
        people: Option<&PeopleWithin>,
        after: Option<&UserId>,
        limit: PageLimit,
        still_wanted: &dyn Fn() -> bool,
    ) -> ProfilesPage {
        let mut page = ProfilesPage {
            items: Vec::new(),
            more: false,
            count: 0,
        };
        let mut bytes = 0;
        let mut take = |page: &mut ProfilesPage, profile: ProfileView| {
            if page.more || page.items.len() == limit.rows() || bytes > PageLimit::BYTES_MAX {
                page.more = true;
            } else {
                bytes += profile.document.as_str().len();
                page.items.push(profile);
            }
        };
        if filters.is_empty() && people.is_none() {
            let mut next = after.cloned();
            loop {
                let wanted = limit.rows() + 1 - page.items.len();
                let (profiles, on) = self.take_after(next.as_ref(), None, wanted);
                for profile in profiles {
                    take(&mut page, profile);
                }
                next = on;
                if next.is_none() || page.more {
                    break;
                }
            }
            page.count = self.count.load(Ordering::Relaxed);
            return page;
        }
        let filters = PreparedFilters::new(filters);
        let mut scanned: Option<UserId> = None;
        while still_wanted() {
            let (candidates, on) = self.take_after(scanned.as_ref(), people, SCAN_USERS_MAX);
            for profile in candidates {
                if !filters.accept(&profile.document) {
                    continue;
                }
                page.count += 1;
                if after.is_none_or(|after| profile.user_id > *after) {
                    take(&mut page, profile);
                }
            }
            scanned = on;
            if scanned.is_none() {
                break;
            }
        }
        page
    }

    /// Some of those who follow, and where to go on.
    fn take_after(
        &self,
        after: Option<&UserId>,
        people: Option<&PeopleWithin>,
        rows_max: usize,
    ) -> (Vec<ProfileView>, Option<UserId>) {
        self.subjects
            .following(after, rows_max, |user_id, subject| {
                if !people.is_none_or(|people| people.include(subject)) {
                    return None;
                }
                let profile = self.slots.get(subject.index())?.load_full()?;
                Some(ProfileView {
                    user_id: user_id.clone(),
                    document: profile.document.clone(),
                    created_at: profile.created_at,
                    updated_at: profile.updated_at,
                })
            })
    }

    pub(crate) fn view(&self, subject: SubjectId) -> Option<ProfileView> {
        let profile = self.slots.get(subject.index())?.load_full()?;
        Some(ProfileView {
            user_id: self.subjects.user_id(subject)?,
            document: profile.document.clone(),
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        })
    }
}

impl Profiles {
    /// Folds an event; `known` is the profile as the event leaves it, where somebody has worked it
    /// out already.
    pub(crate) fn apply_known(&self, envelope: &Envelope, known: Option<JsonDocument>) {
        match (&envelope.event, envelope.subjects.first()) {
            (Event::Subject(SubjectEvent::Registered(_)), _) => {
                self.slots.push(ArcSwapOption::empty());
            }
            (Event::Profile(event), Some(subject)) => {
                self.apply_to(*subject, event, envelope.recorded_at, known);
            }
            _ => {}
        }
    }

    fn apply_to(
        &self,
        subject: SubjectId,
        event: &ProfileEvent,
        at: Timestamp,
        known: Option<JsonDocument>,
    ) {
        let Some(slot) = self.slots.get(subject.index()) else {
            return;
        };
        match event {
            // Of whom the key is destroyed nothing is known, and they are as without a profile.
            ProfileEvent::Updated(ProfileUpdated {
                changes: Personal::Erased,
                ..
            }) => {}
            ProfileEvent::Updated(ProfileUpdated {
                changes: Personal::Known(changes),
                ..
            }) => {
                let current = slot.load_full();
                let document = known.unwrap_or_else(|| match &current {
                    Some(current) => current.document.merged(changes),
                    None => changes.clone(),
                });
                let created_at = current.as_ref().map_or(at, |it| it.created_at);
                slot.store(Some(Arc::new(StoredProfile {
                    document,
                    created_at,
                    updated_at: at,
                })));
                if current.is_none() {
                    self.count.fetch_add(1, Ordering::Relaxed);
                }
            }
            ProfileEvent::Deleted(_) => {
                if slot.swap(None).is_some() {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }
}

impl Profiles {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put(&u64::from(self.end()))?;
        for number in 0..self.end() {
            let profile = self.slots.get(number as usize);
            let profile = profile.and_then(ArcSwapOption::load_full);
            let profile = profile.as_deref();
            out.put(&profile.map(|it| (&it.document, it.created_at, it.updated_at)))?;
        }
        Ok(())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>, subjects: Arc<Subjects>) -> io::Result<Self> {
        type Saved = Option<(JsonDocument, Timestamp, Timestamp)>;
        let restored = Self::new(subjects);
        for profile in input.take_all::<Saved>()? {
            let profile = profile?.map(|(document, created_at, updated_at)| {
                Arc::new(StoredProfile {
                    document,
                    created_at,
                    updated_at,
                })
            });
            let there = usize::from(profile.is_some());
            restored.count.fetch_add(there, Ordering::Relaxed);
            restored.slots.push(ArcSwapOption::new(profile));
        }
        Ok(restored)
    }
}

impl Projection for Profiles {
    const NAME: &'static str = "profiles";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        self.apply_known(envelope, None);
    }

    fn digest(&self, digest: &mut Digest) {
        for (subject, slot) in &self.slots {
            if let Some(profile) = slot.load_full() {
                digest.number(subject as u64);
                digest.text(profile.document.as_str());
                digest.number(profile.created_at.0);
                digest.number(profile.updated_at.0);
            }
        }
    }
}

/// Filters that look at the text first: parsing a document costs far more than searching it.
pub(crate) struct PreparedFilters<'a> {
    filters: &'a [AttributeFilter],
    /// Whatever key a path ends in, its text ends like this.
    key_ends: Vec<memmem::Finder<'static>>,
}

impl<'a> PreparedFilters<'a> {
    pub(crate) fn new(filters: &'a [AttributeFilter]) -> Self {
        let key_end = |filter: &AttributeFilter| {
            let quoted = serde_json::Value::from(filter.path.key_suffix()).to_string();
            let key_end = format!("{}:", quoted.trim_start_matches('"'));
            memmem::Finder::new(key_end.as_bytes()).into_owned()
        };
        Self {
            filters,
            key_ends: filters.iter().map(key_end).collect(),
        }
    }

    pub(crate) fn accept(&self, document: &JsonDocument) -> bool {
        let text = document.as_str().as_bytes();
        if !self
            .key_ends
            .iter()
            .all(|key_end| key_end.find(text).is_some())
        {
            return false;
        }
        let object = document.to_object();
        self.filters.iter().all(|filter| {
            filter
                .path
                .resolve(&object)
                .is_some_and(|stored| equals_operand(stored, &filter.operand))
        })
    }
}
