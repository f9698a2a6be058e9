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
            out.put(&user_id.ok_or(io::ErrorKind::InvalidData)?)?;
        }
        out.put_all(by_user.values())
    }

    /// Reads who has which number. Whoever is to be found by user id is found once the rest was put in
    /// its place, on whatever thread.
    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<(Self, Vec<SubjectId>)> {
        let users: Vec<UserId> = input.take_into()?;
        let in_order: Vec<SubjectId> = input.take_into()?;
        let is_known = |number: &SubjectId| number.index() < users.len();
        if users.len() != in_order.len() || !in_order.iter().all(is_known) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let restored = Self {
            numbers: DashMap::with_capacity(users.len()),
            users: users.into_iter().collect(),
            by_user: RwLock::default(),
        };
        Ok((restored, in_order))
    }

    /// Puts people in the order of their user ids, in which these are, and finds them by user id.
    pub(crate) fn index(&self, in_order: Vec<SubjectId>) {
        let user_id = |number: SubjectId| Some((self.user_id(number)?, number));
        *self.by_user.write() = in_order.into_iter().filter_map(user_id).collect();
        for (number, (_, user_id)) in (0..).zip(&self.users) {
            self.numbers.insert(user_id.clone(), SubjectId(number));
        }
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
