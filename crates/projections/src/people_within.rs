use roaring::RoaringBitmap;
use types::{SubjectId, TenantId};

use crate::ReadModels;

/// Some people, and nobody else.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeopleWithin(pub(crate) RoaringBitmap);

impl PeopleWithin {
    pub fn include(&self, subject: SubjectId) -> bool {
        self.0.contains(subject.0)
    }
}

impl ReadModels {
    /// Everybody who is a member of the tenant or of one below it.
    pub fn people_within(&self, tenant: &TenantId) -> PeopleWithin {
        PeopleWithin(self.tenants.read().rows_of_tree(tenant))
    }
}
