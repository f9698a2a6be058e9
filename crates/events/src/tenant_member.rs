use serde::{Deserialize, Serialize};
use types::JsonDocument;

use crate::registry::aggregate_events;
use crate::{OfPerson, Personal};

aggregate_events! {
    /// Everything that can happen to memberships of tenants. Who is meant stands in the envelope's
    /// subjects.
    pub enum TenantMemberEvent {
        Added(TenantMemberAdded) = "tenant.member_added", v 1;
        Updated(TenantMemberUpdated) = "tenant.member_updated", v 1;
        Removed(TenantMemberRemoved) = "tenant.member_removed", v 1;
        ManyAdded(TenantMembersAdded) = "tenant.members_added", v 1;
        ManyRemoved(TenantMembersRemoved) = "tenant.members_removed", v 1;
    }
}

/// One person became a member. There need not be such a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMemberAdded {
    /// What is laid over the person's profile in this tenant.
    pub profile: Option<Personal<JsonDocument>>,
}

/// The profile of one membership was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMemberUpdated {
    pub profile: Option<Personal<JsonDocument>>,
}

/// One person is a member no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMemberRemoved {}

/// Several people became members in one request, in the tenant's own stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMembersAdded {
    /// Profiles of those who have any, by ascending place.
    pub profiles: Vec<OfPerson<JsonDocument>>,
}

/// Several people ceased to be members in one request, in the tenant's own stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantMembersRemoved {}
