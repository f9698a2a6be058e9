use std::sync::Arc;

/// The scope that allows everything.
pub const SCOPE_ALL: &str = "*";

/// Whoever a request comes from, once the credential has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The id of the credential, not of a person.
    pub id: Arc<str>,
    pub name: Arc<str>,
}
