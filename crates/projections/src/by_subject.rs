use std::collections::HashMap;

use roaring::RoaringBitmap;
use types::SubjectId;

/// What is held of people, and who they are as a set.
pub(crate) struct BySubject<T> {
    held: HashMap<SubjectId, T>,
    everybody: RoaringBitmap,
}

impl<T> Default for BySubject<T> {
    fn default() -> Self {
        Self {
            held: HashMap::new(),
            everybody: RoaringBitmap::new(),
        }
    }
}

impl<T> BySubject<T> {
    pub(crate) fn get(&self, subject: SubjectId) -> Option<&T> {
        self.held.get(&subject)
    }

    pub(crate) fn get_mut(&mut self, subject: SubjectId) -> Option<&mut T> {
        self.held.get_mut(&subject)
    }

    pub(crate) fn insert(&mut self, subject: SubjectId, held: T) {
        self.everybody.insert(subject.0);
        self.held.insert(subject, held);
    }

    pub(crate) fn remove(&mut self, subject: SubjectId) {
        self.everybody.remove(subject.0);
        self.held.remove(&subject);
    }

    pub(crate) fn knows(&self, subject: SubjectId) -> bool {
        self.held.contains_key(&subject)
    }

    pub(crate) fn everybody(&self) -> &RoaringBitmap {
        &self.everybody
    }

    /// By number, which is the same in every process: for snapshots and digests.
    pub(crate) fn in_order(&self) -> impl ExactSizeIterator<Item = (SubjectId, &T)> {
        let mut people: Vec<_> = self.held.iter().map(|(at, held)| (*at, held)).collect();
        people.sort_unstable_by_key(|(subject, _)| *subject);
        people.into_iter()
    }
}

impl<T: Default> BySubject<T> {
    pub(crate) fn or_default(&mut self, subject: SubjectId) -> &mut T {
        self.everybody.insert(subject.0);
        self.held.entry(subject).or_default()
    }
}

impl<T> FromIterator<(SubjectId, T)> for BySubject<T> {
    fn from_iter<I: IntoIterator<Item = (SubjectId, T)>>(people: I) -> Self {
        let mut all = Self::default();
        for (subject, held) in people {
            all.insert(subject, held);
        }
        all
    }
}
