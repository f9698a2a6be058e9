use serde::{Deserialize, Serialize};

/// A value that says something about a person. The mark is part of the durable form from the first
/// event on, so that sealing such values is a further variant and not a new shape of every event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored<T>", into = "Stored<T>")]
#[serde(bound(
    serialize = "T: Clone + Serialize",
    deserialize = "T: Deserialize<'de>"
))]
pub struct Personal<T>(pub T);

/// Encoded with a number for the variant: a sealed one joins at the end.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored<T> {
    Clear(T),
}

impl<T> From<Stored<T>> for Personal<T> {
    fn from(Stored::Clear(value): Stored<T>) -> Self {
        Self(value)
    }
}

impl<T> From<Personal<T>> for Stored<T> {
    fn from(Personal(value): Personal<T>) -> Self {
        Self::Clear(value)
    }
}
