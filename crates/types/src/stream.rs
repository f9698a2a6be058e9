use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ListId, SubjectId};

/// Place of an event in the whole log. The first event has position 1; there are no gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event within its stream, from 1, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamVersion(pub u32);

/// The events of one thing. A person appears by number, never by name, so a stream's name is
/// never personal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// `subject-{n}`: who the person is.
    Subject(SubjectId),
    /// `profile-{n}`.
    Profile(SubjectId),
    /// `list-{list}`.
    List(ListId),
    /// `list-member-{list}:{n}`: one person's subscription to one list.
    ListMember(ListId, SubjectId),
    /// `key-{id}`: an API key.
    Key(String),
}

impl StreamId {
    /// The person whose stream it is, if it is a person's.
    pub fn subject(&self) -> Option<SubjectId> {
        match self {
            Self::Subject(subject) | Self::Profile(subject) | Self::ListMember(_, subject) => {
                Some(*subject)
            }
            Self::List(_) | Self::Key(_) => None,
        }
    }

    /// Reads the name that [`fmt::Display`] writes. `None` if no stream can have that name.
    pub fn parse(name: &str) -> Option<Self> {
        let number = |text: &str| -> Option<SubjectId> {
            let canonical = !text.starts_with('0') || text == "0";
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            (canonical && digits).then(|| text.parse().ok().map(SubjectId))?
        };
        // `list-member-` is tried before `list-`: a list id may itself begin with `member-`, and
        // only the number at the end tells the two apart.
        if let Some(rest) = name.strip_prefix("list-member-")
            && let Some((list, subject)) = rest.rsplit_once(':')
            && let (Ok(list), Some(subject)) = (ListId::parse(list), number(subject))
        {
            return Some(Self::ListMember(list, subject));
        }
        let (category, key) = name.split_once('-')?;
        match category {
            "subject" => number(key).map(Self::Subject),
            "profile" => number(key).map(Self::Profile),
            "list" => ListId::parse(key).ok().map(Self::List),
            "key" => Some(Self::Key(key.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => write!(f, "subject-{subject}"),
            Self::Profile(subject) => write!(f, "profile-{subject}"),
            Self::List(list) => write!(f, "list-{list}"),
            Self::ListMember(list, subject) => write!(f, "list-member-{list}:{subject}"),
            Self::Key(id) => write!(f, "key-{id}"),
        }
    }
}
