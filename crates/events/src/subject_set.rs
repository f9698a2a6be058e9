use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Many people, by number: a roaring bitmap in its portable form
/// (<https://github.com/RoaringBitmap/RoaringFormatSpec>), in JSON as base 64. The bytes stay as they were
/// written, so that whoever takes in an export stores the same.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectSet(Vec<u8>);

impl SubjectSet {
    pub fn of(people: &RoaringBitmap) -> Self {
        let mut people = people.clone();
        people.optimize();
        let mut bytes = Vec::with_capacity(people.serialized_size());
        people
            .serialize_into(&mut bytes)
            .expect("memory takes every write");
        Self(bytes)
    }

    /// Nothing if the bytes are no bitmap, or more than one.
    pub fn people(&self) -> Option<RoaringBitmap> {
        let mut bytes = self.0.as_slice();
        let people = RoaringBitmap::deserialize_from(&mut bytes).ok()?;
        bytes.is_empty().then_some(people)
    }
}

impl std::fmt::Debug for SubjectSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.people().fmt(f)
    }
}

impl Serialize for SubjectSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&STANDARD.encode(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for SubjectSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            STANDARD.decode(text).map_err(D::Error::custom)?
        } else {
            Vec::<u8>::deserialize(deserializer)?
        };
        let set = Self(bytes);
        if set.people().is_none() {
            return Err(D::Error::custom("a set of people is no roaring bitmap"));
        }
        Ok(set)
    }
}
