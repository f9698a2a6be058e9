use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that says something about a person. The mark is part of the durable form from the first
/// event on, so that sealing such values is a further variant and not a new shape of every event.
/// In JSON the value stands as itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal<T>(pub T);

/// The durable form, with a number for the variant: a sealed one joins at the end.
#[derive(Serialize, Deserialize)]
enum Stored<T> {
    Clear(T),
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.0.serialize(serializer)
        } else {
            Stored::Clear(&self.0).serialize(serializer)
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            T::deserialize(deserializer).map(Self)
        } else {
            Stored::deserialize(deserializer).map(|Stored::Clear(value)| Self(value))
        }
    }
}
