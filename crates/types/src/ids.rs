use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest id of any kind, in bytes.
pub const ID_BYTES_MAX: usize = 512;

/// A list id has at most this many parts, separated by dots.
pub(crate) const LIST_ID_PARTS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("an id must not be empty")]
    Empty,
    #[error("an id must not be longer than 512 bytes")]
    TooLong,
    #[error("an id must not contain control characters")]
    ControlCharacter,
    #[error("a list id must not contain `*`, `#` or white space")]
    ListCharacter,
    #[error("a list id has one to four parts separated by single dots, none of them empty")]
    ListParts,
    #[error("`erased:` and a number is what people are called who were erased, and nobody's id")]
    Erased,
}

fn check(raw: &str) -> Result<(), InvalidId> {
    if raw.is_empty() {
        return Err(InvalidId::Empty);
    }
    if raw.len() > ID_BYTES_MAX {
        return Err(InvalidId::TooLong);
    }
    if raw.chars().any(char::is_control) {
        return Err(InvalidId::ControlCharacter);
    }
    Ok(())
}

macro_rules! opaque_id {
    ($(#[$meta:meta])* $id:ident) => {
        $(#[$meta])*
        /// 1 to 512 bytes without control characters, otherwise opaque.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $id(Arc<str>);

        impl $id {
            pub fn parse(raw: &str) -> Result<Self, InvalidId> {
                check(raw)?;
                Ok(Self(raw.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
opaque_id! {
    /// The caller's id of an audience.
    AudienceId
}
opaque_id! {
    /// The caller's id of a tenant.
    TenantId
}
opaque_id! {
    /// The id of a section of topics, chosen by the caller or made here.
    SectionId
}
opaque_id! {
    /// The id of a topic that people choose about, chosen by the caller or made here.
    TopicId
}
opaque_id! {
    /// The id of a brand, chosen by the caller or made here.
    BrandId
}
opaque_id! {
    /// One call to send, or a bulk job: Courier's request id.
    MessageId
}
opaque_id! {
    /// The id of a template, chosen by the caller or made here.
    TemplateId
}
opaque_id! {
    /// What a provider of push messages knows one device by.
    DeviceToken
}

/// The caller's id of a person: 1 to 512 bytes without control characters, otherwise opaque, but not what
/// [`UserId::erased`] gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

const ERASED: &str = "erased:";

impl UserId {
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        check(raw)?;
        if Self::parse_erased(raw).is_some() {
            return Err(InvalidId::Erased);
        }
        Ok(Self(raw.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What somebody is called who was erased: `erased:42`.
    pub fn erased(subject: SubjectId) -> String {
        format!("{ERASED}{subject}")
    }

    /// Whom [`UserId::erased`] calls so.
    pub fn parse_erased(shown: &str) -> Option<SubjectId> {
        let number = SubjectId(shown.strip_prefix(ERASED)?.parse().ok()?);
        (Self::erased(number) == shown).then_some(number)
    }
}

/// The id of a list: one to four parts separated by dots, without `*`, `#` or white space.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId(Arc<str>);

impl ListId {
    pub fn parse(raw: &str) -> Result<Self, InvalidId> {
        check(raw)?;
        if raw
            .chars()
            .any(|c| matches!(c, '*' | '#') || c.is_whitespace())
        {
            return Err(InvalidId::ListCharacter);
        }
        if raw.split('.').any(str::is_empty) || raw.split('.').count() > LIST_ID_PARTS_MAX {
            return Err(InvalidId::ListParts);
        }
        Ok(Self(raw.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads text where it lies: there are millions of ids to be read.
struct Text<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, InvalidId>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an id")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

macro_rules! text_id {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl TryFrom<String> for $id {
            type Error = InvalidId;

            fn try_from(raw: String) -> Result<Self, InvalidId> {
                Self::parse(&raw)
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(|text: &str| Self::parse(text)))
            }
        }

        impl std::borrow::Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
text_id!(UserId);
text_id!(ListId);
text_id!(AudienceId);
text_id!(TenantId);
text_id!(SectionId);
text_id!(TopicId);
text_id!(BrandId);
text_id!(DeviceToken);
text_id!(MessageId);
text_id!(TemplateId);

/// A new id of this kind, as `kind_` and 26 characters: 128 bits in Crockford's base 32, lower case
/// (the form of type ids, <https://github.com/jetify-com/typeid>), sorted by time.
pub fn new_type_id(kind: &str, now: crate::Timestamp) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bits = CommandId::generate(now).0;
    let digits = (0..26)
        .rev()
        .map(|place| char::from(ALPHABET[(bits >> (5 * place)) as usize & 31]));
    format!("{kind}_{}", digits.collect::<String>())
}

/// A person by number, from 0 in the order of first appearance; also the row id of every bitmap.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct SubjectId(pub u32);

impl SubjectId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One accepted request: a UUID version 7 (RFC 9562), made before the decision and stored with
/// every event that it led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u128);

impl CommandId {
    /// Layout of RFC 9562 section 5.7: 48 bits of milliseconds, version, random, variant, random.
    pub fn new(milliseconds: u64, random: u128) -> Self {
        let time = (u128::from(milliseconds) & 0xffff_ffff_ffff) << 80;
        let version_and_variant = (0x7 << 76) | (0b10 << 62);
        let random_bits = (0xfff << 64) | ((1 << 62) - 1);
        Self(time | version_and_variant | (random & random_bits))
    }

    /// Made from the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, in which case no id is safe.
    pub fn generate(now: crate::Timestamp) -> Self {
        Self::new(now.0 / 1_000_000, random())
    }
}

/// From the operating system, which is asked once for many ids.
fn random() -> u128 {
    const IDS_AT_ONCE: usize = 64;
    thread_local! {
        static LEFT: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
    }
    LEFT.with_borrow_mut(|left| {
        if left.is_empty() {
            let mut bytes = [0; 16 * IDS_AT_ONCE];
            getrandom::fill(&mut bytes).expect("the operating system provides randomness");
            let (chunks, _) = bytes.as_chunks();
            left.extend(chunks.iter().map(|chunk| u128::from_be_bytes(*chunk)));
        }
        left.pop()
            .expect("it was filled just above if it was empty")
    })
}

/// One event. It is the command's id with the event's ordinal within the command, from 1, added
/// into the low 32 bits, so that a record stores sixteen random bytes and not thirty-two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u128);

impl EventId {
    pub fn of(command: CommandId, ordinal: u32) -> Self {
        let low = (command.0 & 0xffff_ffff) as u32;
        Self((command.0 & !0xffff_ffff) | u128::from(low.wrapping_add(ordinal)))
    }

    /// The ordinal that [`EventId::of`] was given, if the event is of that command.
    pub fn ordinal_in(self, command: CommandId) -> Option<u32> {
        let ordinal =
            ((self.0 & 0xffff_ffff) as u32).wrapping_sub((command.0 & 0xffff_ffff) as u32);
        (Self::of(command, ordinal) == self).then_some(ordinal)
    }
}

macro_rules! uuid_text {
    ($id:ident) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let part = |shift: u32, bits: u32| (self.0 >> shift) & ((1 << bits) - 1);
                let (a, b, c) = (part(96, 32), part(80, 16), part(64, 16));
                let (d, e) = (part(48, 16), part(0, 48));
                write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
            }
        }

        impl $id {
            /// Reads the hyphenated form of RFC 9562.
            pub fn parse(text: &str) -> Option<Self> {
                let hyphens = [8, 13, 18, 23];
                let well_formed = text.len() == 36
                    && text.bytes().enumerate().all(|(place, byte)| {
                        if hyphens.contains(&place) {
                            byte == b'-'
                        } else {
                            matches!(byte, b'0'..=b'9' | b'a'..=b'f')
                        }
                    });
                well_formed.then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok().map(Self))?
            }
        }
    };
}
uuid_text!(CommandId);
uuid_text!(EventId);
