pub(crate) mod body;
pub(crate) mod origin;
pub(crate) mod path;
pub(crate) mod query;
