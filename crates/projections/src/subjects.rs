use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

use dashmap::DashMap;
use events::codec::{Decoder, Encoder};
use events::{Envelope, Event, SubjectEvent, SubjectRegistered};
use parking_lot::RwLock;
use types::{SubjectId, UserId};

use crate::{Digest, Projection};

/// People looked at in one go, while nobody can be registered.
const EXAMINED_MAX: usize = 4_096;

/// Who has which number.
#[derive(Default)]
pub struct Subjects {
    numbers: DashMap<UserId, SubjectId>,
    /// By number; nothing where somebody was erased.
    users: RwLock<Vec<Option<UserId>>>,
    /// In the order of the user ids, byte by byte.
    by_user: RwLock<BTreeMap<UserId, SubjectId>>,
}

impl Subjects {
    pub fn number(&self, user_id: &str) -> Option<SubjectId> {
        self.numbers.get(user_id).map(|number| *number)
    }

    /// As [`Subjects::number`], also of those who were erased, by what they are called since.
    pub fn named(&self, shown: &str) -> Option<SubjectId> {
        let erased = || {
            let subject = UserId::parse_erased(shown)?;
            let users = self.users.read();
            let user_id = users.get(subject.index())?;
            user_id.is_none().then_some(subject)
        };
        self.number(shown).or_else(erased)
    }

    /// The user id, or what somebody is called who was erased.
    pub fn shown(&self, subject: SubjectId) -> String {
        let user_id = self.user_id(subject);
        user_id.map_or_else(|| UserId::erased(subject), Into::into)
    }

    pub fn user_id(&self, subject: SubjectId) -> Option<UserId> {
        self.users.read().get(subject.index())?.clone()
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
        SubjectId(u32::try_from(self.users.read().len()).unwrap_or(u32::MAX))
    }

    fn register(&self, user_id: Option<&UserId>) {
        let number = self.next();
        self.users.write().push(user_id.cloned());
        if let Some(user_id) = user_id {
            self.numbers.insert(user_id.clone(), number);
            self.by_user.write().insert(user_id.clone(), number);
        }
    }

    fn erase(&self, subject: SubjectId) {
        let user_id = self
            .users
            .write()
            .get_mut(subject.index())
            .and_then(Option::take);
        if let Some(user_id) = user_id {
            self.numbers.remove(&user_id);
            self.by_user.write().remove(&user_id);
        }
    }
}

impl Subjects {
    /// User ids by number, none where somebody was erased, and the numbers in the order of the user ids, which is not to be sorted
    /// again.
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let users = self.users.read();
        out.put_all(users.iter())?;
        out.put_all(self.by_user.read().values())
    }

    /// Reads who has which number. Whoever is to be found by user id is found once the rest was put in
    /// its place, on whatever thread.
    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<(Self, Vec<SubjectId>)> {
        let users: Vec<Option<UserId>> = input.take_into()?;
        let in_order: Vec<SubjectId> = input.take_into()?;
        let is_known = |number: &SubjectId| {
            let user_id = users.get(number.index());
            user_id.is_some_and(Option::is_some)
        };
        let known = users.iter().flatten().count();
        if known != in_order.len() || !in_order.iter().all(is_known) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let restored = Self {
            numbers: DashMap::with_capacity(known),
            users: RwLock::new(users),
            by_user: RwLock::default(),
        };
        Ok((restored, in_order))
    }

    /// Puts people in the order of their user ids, in which these are, and finds them by user id.
    pub(crate) fn index(&self, in_order: Vec<SubjectId>) {
        let user_id = |number: SubjectId| Some((self.user_id(number)?, number));
        *self.by_user.write() = in_order.into_iter().filter_map(user_id).collect();
        for (number, user_id) in (0..).zip(&*self.users.read()) {
            if let Some(user_id) = user_id {
                self.numbers.insert(user_id.clone(), SubjectId(number));
            }
        }
    }
}

impl Projection for Subjects {
    const NAME: &'static str = "subjects";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let Event::Subject(event) = &envelope.event else {
            return;
        };
        match event {
            SubjectEvent::Registered(SubjectRegistered { user_id }) => {
                self.register(user_id.known());
            }
            SubjectEvent::Erased(_) => {
                for subject in &envelope.subjects {
                    self.erase(*subject);
                }
            }
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for user_id in &*self.users.read() {
            digest.optional_text(user_id.as_ref().map(UserId::as_str));
        }
    }
}
