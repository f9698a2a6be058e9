use dashmap::DashMap;
use events::{Envelope, Event, Personal, SubjectEvent, SubjectRegistered};
use types::{SubjectId, UserId};

use crate::{Digest, Projection};

/// Who has which number.
#[derive(Default)]
pub struct Subjects {
    numbers: DashMap<UserId, SubjectId>,
    users: boxcar::Vec<UserId>,
}

impl Subjects {
    pub fn number(&self, user_id: &str) -> Option<SubjectId> {
        self.numbers.get(user_id).map(|number| *number)
    }

    pub fn user_id(&self, subject: SubjectId) -> Option<UserId> {
        self.users.get(subject.index()).cloned()
    }

    /// The number that the next new person gets.
    pub fn next(&self) -> SubjectId {
        SubjectId(u32::try_from(self.users.count()).unwrap_or(u32::MAX))
    }
}

impl Projection for Subjects {
    const NAME: &'static str = "subjects";

    fn apply(&self, envelope: &Envelope) {
        match &envelope.event {
            Event::Subject(SubjectEvent::Registered(SubjectRegistered {
                user_id: Personal(user_id),
            })) => {
                let number = self.next();
                self.users.push(user_id.clone());
                self.numbers.insert(user_id.clone(), number);
            }
            Event::Profile(_)
            | Event::List(_)
            | Event::ListMember(_)
            | Event::Audience(_)
            | Event::Clock(_)
            | Event::Key(_) => {}
        }
    }

    fn digest(&self, digest: &mut Digest) {
        for (_, user_id) in &self.users {
            digest.text(user_id.as_str());
        }
    }
}
