use std::sync::Arc;

use types::TenantId;

use crate::{Scopes, UserAccess};

/// Whoever a request comes from, once the credential has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The id of the credential, not of a person.
    pub id: Arc<str>,
    /// The credential itself, of which there can be many by one key: the key, or one token.
    pub credential: Arc<str>,
    pub name: Arc<str>,
    pub rights: Rights,
    /// The credential reaches only this tenant and those below it.
    pub tenant: Option<Arc<TenantId>>,
}

/// What the credential is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// An API key.
    Key(Scopes),
    /// A token of people: what is theirs, and of that what was granted.
    Users(Arc<UserAccess>),
}
