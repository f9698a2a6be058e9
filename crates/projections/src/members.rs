use std::collections::HashMap;
use std::io;

use events::codec::{Decoder, Encoder};
use roaring::RoaringBitmap;
use types::{JsonDocument, Position, SubjectId, Timestamp};

use crate::Digest;

/// When somebody joined, exactly: the event, and the place among those whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JoinKey {
    pub position: Position,
    pub ordinal: u32,
}

/// The subscribers of one list, or the members of one tenant, in the order in which they joined.
///
/// Joining appends, so the rows are sorted by themselves; leaving marks a row, and rows are packed
/// when more of them are marked than not.
#[derive(Default)]
pub(crate) struct Members {
    rows: Vec<Row>,
    row_of: HashMap<SubjectId, u32>,
    /// The same people as a set, for those who combine sets.
    subjects: RoaringBitmap,
    /// What is kept with a membership, of those who have it.
    documents: HashMap<SubjectId, JsonDocument>,
}

struct Row {
    joined: JoinKey,
    created_at: Timestamp,
    /// `None` once the person has left.
    subject: Option<SubjectId>,
}

pub(crate) struct Member<'a> {
    pub(crate) subject: SubjectId,
    pub(crate) joined: JoinKey,
    pub(crate) created_at: Timestamp,
    pub(crate) document: Option<&'a JsonDocument>,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.row_of.len()
    }

    pub(crate) fn subjects(&self) -> &RoaringBitmap {
        &self.subjects
    }

    pub(crate) fn contains(&self, subject: SubjectId) -> bool {
        self.row_of.contains_key(&subject)
    }

    pub(crate) fn get(&self, subject: SubjectId) -> Option<Member<'_>> {
        let row = &self.rows[*self.row_of.get(&subject)? as usize];
        Some(Member {
            subject,
            joined: row.joined,
            created_at: row.created_at,
            document: self.documents.get(&subject),
        })
    }

    pub(crate) fn document(&self, subject: SubjectId) -> Option<&JsonDocument> {
        self.documents.get(&subject)
    }

    pub(crate) fn after(&self, after: Option<JoinKey>) -> impl Iterator<Item = Member<'_>> {
        let start = after.map_or(0, |after| {
            self.rows.partition_point(|row| row.joined <= after)
        });
        self.rows[start..].iter().filter_map(|row| {
            let subject = row.subject?;
            Some(Member {
                subject,
                joined: row.joined,
                created_at: row.created_at,
                document: self.documents.get(&subject),
            })
        })
    }

    pub(crate) fn add(
        &mut self,
        subject: SubjectId,
        joined: JoinKey,
        created_at: Timestamp,
        document: Option<JsonDocument>,
    ) {
        self.remove(subject);
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(Row {
            joined,
            created_at,
            subject: Some(subject),
        });
        self.row_of.insert(subject, row);
        self.subjects.insert(subject.0);
        self.set_document(subject, document);
    }

    pub(crate) fn set_document(&mut self, subject: SubjectId, document: Option<JsonDocument>) {
        match document {
            Some(document) => self.documents.insert(subject, document),
            None => self.documents.remove(&subject),
        };
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.number(self.len() as u64);
        for member in self.after(None) {
            digest.number(u64::from(member.subject.0));
            digest.number(member.joined.position.0);
            digest.number(u64::from(member.joined.ordinal));
            digest.number(member.created_at.0);
            digest.optional_text(member.document.map(JsonDocument::as_str));
        }
    }

    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        out.put(&(self.len() as u64))?;
        for member in self.after(None) {
            let JoinKey { position, ordinal } = member.joined;
            out.put(&(member.subject, position, ordinal, member.created_at))?;
        }
        let mut documents: Vec<_> = self.documents.iter().collect();
        documents.sort_unstable_by_key(|(subject, _)| **subject);
        out.put_all(documents.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut restored = Self::default();
        for member in input.take_all()? {
            let (subject, position, ordinal, created_at) = member?;
            let joined = JoinKey { position, ordinal };
            restored.add(subject, joined, created_at, None);
        }
        restored.documents = input.take_into()?;
        Ok(restored)
    }

    pub(crate) fn remove(&mut self, subject: SubjectId) {
        let Some(row) = self.row_of.remove(&subject) else {
            return;
        };
        self.rows[row as usize].subject = None;
        self.subjects.remove(subject.0);
        self.documents.remove(&subject);
        if self.rows.len() > 2 * self.row_of.len() + 16 {
            self.rows.retain(|row| row.subject.is_some());
            for (place, row) in (0..).zip(&self.rows) {
                if let Some(subject) = row.subject {
                    self.row_of.insert(subject, place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Join(u32),
        Leave(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..30_u32).prop_map(Step::Join),
            (0..30_u32).prop_map(Step::Leave)
        ]
    }

    proptest! {
        /// However often rows are packed, a page goes on where the one before it ended.
        #[test]
        fn members_are_a_list_in_the_order_of_joining(
            steps in proptest::collection::vec(step(), 0..400),
            seen in 0_u64..400,
        ) {
            let mut members = Members::default();
            let mut naive: Vec<(u64, u32)> = Vec::new();
            for (position, step) in (1..).zip(steps) {
                match step {
                    Step::Join(subject) => {
                        naive.retain(|(_, member)| *member != subject);
                        naive.push((position, subject));
                        let joined = JoinKey { position: Position(position), ordinal: 0 };
                        members.add(SubjectId(subject), joined, Timestamp(position), None);
                    }
                    Step::Leave(subject) => {
                        naive.retain(|(_, member)| *member != subject);
                        members.remove(SubjectId(subject));
                    }
                }
            }
            let after = JoinKey { position: Position(seen), ordinal: 0 };
            let rows = |after| {
                let rows = members.after(after);
                rows.map(|it| (it.joined.position.0, it.subject.0)).collect::<Vec<_>>()
            };
            prop_assert_eq!(rows(None), naive.clone());
            let subjects = naive.iter().map(|(_, subject)| *subject).collect();
            prop_assert_eq!(members.subjects(), &subjects);
            naive.retain(|(position, _)| *position > seen);
            prop_assert_eq!(rows(Some(after)), naive);
        }
    }
}
