use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{BrandId, Choice, JsonDocument, TenantId, TopicId};

use crate::registry::aggregate_events;

aggregate_events! {
    /// Everything that can happen to a tenant as such. Its members have events of their own.
    pub enum TenantEvent {
        Created(TenantCreated) = "tenant.created", v 1;
        Updated(TenantUpdated) = "tenant.updated", v 1;
        Deleted(TenantDeleted) = "tenant.deleted", v 1;
        DefaultPreferenceSet(TenantDefaultPreferenceSet) = "tenant.default_preference_set", v 1;
        DefaultPreferenceCleared(TenantDefaultPreferenceCleared) =
            "tenant.default_preference_cleared", v 1;
        HistoryRecorded(TenantHistoryRecorded) = "tenant.history_recorded", v 1;
    }
}

/// All that a tenant is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDetails {
    pub name: String,
    /// There need not be such a tenant; where there is none, nothing is inherited.
    pub parent_tenant_id: Option<TenantId>,
    /// There need not be such a brand.
    pub brand_id: Option<BrandId>,
    pub properties: Option<JsonDocument>,
    /// What the profiles of those who are reached in this tenant are laid over.
    pub user_profile: Option<JsonDocument>,
    /// What holds for those who have not chosen. There need not be such topics.
    pub default_preferences: BTreeMap<TopicId, Choice>,
}

/// A tenant came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantCreated(pub TenantDetails);

/// All that the tenant is was replaced. Its members stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantUpdated(pub TenantDetails);

/// The tenant is gone. Who was in it has left by events of their own, before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDeleted {}

/// What holds for one topic was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDefaultPreferenceSet {
    pub topic: TopicId,
    pub choice: Choice,
}

/// Nothing special holds for the topic any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDefaultPreferenceCleared {
    pub topic: TopicId,
}

/// How much there was about the tenant in the log, so that nothing of it can be left out later: the head
/// of a tree (RFC 6962) over the records whose context is the tenant, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantHistoryRecorded {
    /// Records.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub root: String,
    /// Up to which position of the log; this event comes later, and is not among them.
    pub through: u64,
}
