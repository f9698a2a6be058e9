use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::codec;

/// A value that says something about a person. In the binary form of a payload it stands apart from the
/// rest ([`Payload::personal`]), to be sealed under the person's key; once that key is destroyed, it can
/// be told only that there was a value. In JSON it stands as itself, or as `{"erased":true}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Personal<T> {
    Known(T),
    Erased,
}

impl<T> Personal<T> {
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

/// What is given for one of several people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPerson<T> {
    /// Place in the envelope's subjects, from 0.
    pub place: u32,
    pub value: Personal<T>,
}

/// A payload in its binary form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// What is of nobody.
    pub open: Vec<u8>,
    /// What is of people, in the order of the fields.
    pub personal: Vec<PersonalBytes>,
}

/// The binary form of one personal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalBytes {
    /// Place in the envelope's subjects of the person whose it is, from 0.
    pub place: u32,
    /// `None` if it is erased.
    pub value: Option<Vec<u8>>,
}

/// What stands in JSON for a value that is erased.
pub(crate) const ERASED: &str = r#"{"erased":true}"#;

/// Where personal values go to, or come from, while a payload is encoded or decoded. serde hands nothing
/// down to the fields of a derived type, so it stands beside it.
enum Apart {
    Gathered(Vec<PersonalBytes>),
    Given(std::vec::IntoIter<PersonalBytes>),
    /// By place, who is erased; where nobody is named, the value itself says it.
    Json(Vec<bool>),
}

thread_local! {
    static APART: RefCell<Option<Apart>> = const { RefCell::new(None) };
    static PLACE: RefCell<u32> = const { RefCell::new(0) };
}

/// Runs what encodes or decodes one payload, and gives back what has become of the values apart.
fn with_apart<T>(apart: Apart, run: impl FnOnce() -> T) -> (T, Option<Apart>) {
    APART.set(Some(apart));
    PLACE.set(0);
    let done = run();
    (done, APART.take())
}

/// Gathers the personal values that are met while `encode` runs.
pub(crate) fn gather<T>(encode: impl FnOnce() -> T) -> (T, Vec<PersonalBytes>) {
    match with_apart(Apart::Gathered(Vec::new()), encode) {
        (encoded, Some(Apart::Gathered(personal))) => (encoded, personal),
        (encoded, _) => (encoded, Vec::new()),
    }
}

/// Gives these to the personal values that are met while `decode` runs; whether all were wanted.
pub(crate) fn give<T>(personal: Vec<PersonalBytes>, decode: impl FnOnce() -> T) -> (T, bool) {
    match with_apart(Apart::Given(personal.into_iter()), decode) {
        (decoded, Some(Apart::Given(rest))) => (decoded, rest.len() == 0),
        (decoded, _) => (decoded, false),
    }
}

/// Has `{"erased":true}` in JSON read as what is erased, where it is of somebody who is.
pub(crate) fn read_json<T>(erased: &[bool], read: impl FnOnce() -> T) -> T {
    with_apart(Apart::Json(erased.to_vec()), read).0
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return match self {
                Self::Known(value) => value.serialize(serializer),
                Self::Erased => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    map.serialize_entry("erased", &true)?;
                    map.end()
                }
            };
        }
        let value = match self {
            Self::Known(value) => Some(codec::try_to_bytes(value).map_err(S::Error::custom)?),
            Self::Erased => None,
        };
        let place = PLACE.with_borrow(|place| *place);
        APART.with_borrow_mut(|apart| match apart {
            Some(Apart::Gathered(personal)) => {
                personal.push(PersonalBytes { place, value });
                Ok(())
            }
            Some(Apart::Given(_) | Apart::Json(_)) | None => {
                Err(S::Error::custom("a personal value outside of a payload"))
            }
        })?;
        serializer.serialize_unit()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return from_json(deserializer);
        }
        <()>::deserialize(deserializer)?;
        let given = APART.with_borrow_mut(|apart| match apart {
            Some(Apart::Given(personal)) => personal.next(),
            Some(Apart::Gathered(_) | Apart::Json(_)) | None => None,
        });
        let given = given.ok_or_else(|| D::Error::custom("a personal value is missing"))?;
        let Some(bytes) = given.value else {
            return Ok(Self::Erased);
        };
        let value = codec::from_bytes(&bytes).map_err(D::Error::custom)?;
        Ok(Self::Known(value))
    }
}

fn from_json<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Personal<T>, D::Error> {
    let place = PLACE.with_borrow(|place| *place as usize);
    let erased = APART.with_borrow(|apart| match apart {
        Some(Apart::Json(erased)) if !erased.is_empty() => {
            Some(erased.get(place).copied().unwrap_or_default())
        }
        Some(Apart::Json(_) | Apart::Gathered(_) | Apart::Given(_)) | None => None,
    });
    match erased {
        Some(false) => T::deserialize(deserializer).map(Personal::Known),
        Some(true) => {
            IgnoredAny::deserialize(deserializer)?;
            Ok(Personal::Erased)
        }
        None => {
            let text = Box::<RawValue>::deserialize(deserializer)?;
            if text.get() == ERASED {
                return Ok(Personal::Erased);
            }
            let value = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
            Ok(Personal::Known(value))
        }
    }
}

/// As a pair of place and value.
impl<T: Serialize> Serialize for OfPerson<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PLACE.set(self.place);
        let done = (self.place, &self.value).serialize(serializer);
        PLACE.set(0);
        done
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OfPerson<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair<T>(std::marker::PhantomData<T>);

        impl<'de, T: DeserializeOwned> serde::de::Visitor<'de> for Pair<T> {
            type Value = OfPerson<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place and what is given there")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut pair: A,
            ) -> Result<OfPerson<T>, A::Error> {
                let place = pair.next_element()?;
                let place = place.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                // The value has to know whose it is while it is read.
                PLACE.set(place);
                let value = pair.next_element();
                PLACE.set(0);
                let value = value?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
                Ok(OfPerson { place, value })
            }
        }

        deserializer.deserialize_tuple(2, Pair(std::marker::PhantomData))
    }
}
