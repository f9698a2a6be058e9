use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use dashmap::DashMap;
use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, Personal, SubjectEvent, SubjectRegistered};
use parking_lot::RwLock;
use types::{SubjectId, UserId};

use crate::{Digest, Projection};

/// People looked at in one go, while nobody can be registered.
const EXAMINED_MAX: usize = 4_096;

/// Who has which number.
#[derive(Default)]
pub struct Subjects {
    numbers: DashMap<UserId, SubjectId>,
    users: boxcar::Vec<UserId>,
    /// In the order of the user ids, byte by byte.
    by_user: RwLock<BTreeMap<UserId, SubjectId>>,
}

impl Subjects {
    pub fn number(&self, user_id: &str) -> Option<SubjectId> {
        self.numbers.get(user_id).map(|number| *number)
    }

    pub fn user_id(&self, subject: SubjectId) -> Option<UserId> {
        self.users.get(subject.index()).cloned()
    }

    /// Of those who follow in the order of the user ids, as many as asked for who are wanted; and where
    /// to go on, if not everybody was looked at. The order is locked meanwhile, so not too many are.
    pub(crate) fn following<T>(
        &self,
        after: Option<&UserId>,
        at_most: usize,
        wanted: impl Fn(&UserId, SubjectId) -> Option<T>,
    ) -> (Vec<T>, Option<UserId>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_user = self.by_user.read();
        let range = by_user.range::<UserId, _>((from, Bound::Unbounded));
        let mut found = Vec::new();
        for (examined, (user_id, subject)) in (1..).zip(range) {
            found.extend(wanted(user_id, *subject));
            if found.len() == at_most || examined == EXAMINED_MAX {
                return (found, Some(user_id.clone()));
            }
        }
        (found, None)
    }

    /// The number that the next new person gets.
    pub fn next(&self) -> SubjectId {
        SubjectId(u32::try_from(self.users.count()).unwrap_or(u32::MAX))
    }
}

impl Subjects {
    /// User ids by number, and the numbers in the order of the user ids, which is not to be sorted
    /// again.
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let by_user = self.by_user.read();
        out.put(&(by_user.len() as u64))?;
        for number in (0..).take(by_user.len()) {
            let user_id = self.user_id(SubjectId(number));
            out.put(&user_id)?;
        }
        out.put_all(by_user.values())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let restored = Self::default();
        for (number, user_id) in (0..).zip(input.take_all::<Option<UserId>>()?) {
            let user_id = user_id?.ok_or(io::ErrorKind::InvalidData)?;
            restored.numbers.insert(user_id.clone(), SubjectId(number));
            restored.users.push(user_id);
        }
        let in_order = input.take_all::<SubjectId>()?.map(|number| {
            let number = number?;
            let user_id = restored.user_id(number).ok_or(io::ErrorKind::InvalidData)?;
            Ok((user_id, number))
        });
        let in_order = in_order.collect::<io::Result<BTreeMap<_, _>>>()?;
        *restored.by_user.write() = in_order;
        Ok(restored)
    }
}

impl Projection for Subjects {
    const NAME: &'static str = "subjects";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        if let Event::Subject(SubjectEvent::Registered(SubjectRegistered {
            user_id: Personal(user_id),
        })) = &envelope.event
        {
            let number = self.next();
            self.users.push(user_id.clone());
            self.numbers.insert(user_id.clone(), number);
            self.by_user.write().insert(user_id.clone(), number);
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (_, user_id) in &self.users {
            digest.text(user_id.as_str());
        }
    }
}
