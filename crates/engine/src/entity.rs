use projections::ReadModels;
use types::{
    AudienceId, BrandId, DeviceToken, ListId, SectionId, StreamVersion, TenantId, TopicId, UserId,
};

/// What has a version of its own, which a caller can hold on to and name as the one that is to be
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    Profile(UserId),
    List(ListId),
    Subscription(ListId, UserId),
    Audience(AudienceId),
    Tenant(TenantId),
    Membership(TenantId, UserId),
    Section(SectionId),
    Topic(TopicId),
    Brand(BrandId),
    Token(UserId, DeviceToken),
    /// What a person chose in the older form. Everything that a person chose has one version.
    RecipientPreferences(UserId),
    QuietHours(UserId),
    Key(String),
}

/// What has to be so of an entity for a command to be decided (RFC 9110, section 13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is there, in whatever version.
    Present,
    /// It is there, in one of these versions.
    Versions(Vec<StreamVersion>),
    /// It is not there.
    Absent,
}

impl Expected {
    /// Whether that holds of what is there, if it is.
    pub(crate) fn holds(&self, version: Option<StreamVersion>) -> bool {
        match (self, version) {
            (Self::Present, version) => version.is_some(),
            (Self::Absent, version) => version.is_none(),
            (Self::Versions(expected), Some(version)) => expected.contains(&version),
            (Self::Versions(_), None) => false,
        }
    }
}

/// Whether the read models show it. What the writer's own group has decided on top of them is told by
/// `WriteModel::is_there`.
pub(crate) fn is_there(models: &ReadModels, entity: &Entity) -> bool {
    let known = |user_id: &UserId| models.subjects.number(user_id.as_str());
    match entity {
        Entity::Profile(user_id) => {
            known(user_id).is_some_and(|it| models.profiles.document(it).is_some())
        }
        Entity::List(list) => models.lists.live(list).is_some(),
        Entity::Subscription(list, user_id) => {
            models.lists.live(list).is_some()
                && known(user_id).is_some_and(|it| models.lists.subscription(list, it).is_some())
        }
        Entity::Audience(audience) => models.audiences.definition(audience).is_some(),
        Entity::Tenant(tenant) => models.tenants.created_at(tenant).is_some(),
        Entity::Membership(tenant, user_id) => {
            known(user_id).is_some_and(|it| models.tenants.membership(tenant, it).is_some())
        }
        Entity::Section(section) => models.topics.section_details(section).is_some(),
        Entity::Topic(topic) => models.topics.with_topic(topic, |_, _, _| ()).is_some(),
        Entity::Brand(brand) => models.brands.get(brand).is_some(),
        Entity::Token(user_id, token) => {
            known(user_id).is_some_and(|it| models.tokens.get(it, token).is_some())
        }
        Entity::RecipientPreferences(user_id) => {
            known(user_id).is_some_and(|it| models.preferences.recipient(it).is_some())
        }
        Entity::QuietHours(user_id) => {
            known(user_id).is_some_and(|it| models.preferences.quiet_hours(it).is_some())
        }
        Entity::Key(id) => models
            .keys
            .get(id)
            .is_some_and(|key| key.revoked_at.is_none()),
    }
}
