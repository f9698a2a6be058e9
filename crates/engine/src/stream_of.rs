use types::{StreamId, SubjectId, UserId};

use crate::entity::Entity;

/// The stream whose version is the entity's; nothing of a person who is not known.
pub(crate) fn stream_of(
    entity: &Entity,
    number: &dyn Fn(&UserId) -> Option<SubjectId>,
) -> Option<StreamId> {
    Some(match entity {
        Entity::Profile(user_id) => StreamId::Profile(number(user_id)?),
        Entity::List(list) => StreamId::List(list.clone()),
        Entity::Subscription(list, user_id) => StreamId::ListMember(list.clone(), number(user_id)?),
        Entity::Audience(audience) => StreamId::Audience(audience.clone()),
        Entity::Tenant(tenant) => StreamId::Tenant(tenant.clone()),
        Entity::Membership(tenant, user_id) => {
            StreamId::TenantMember(tenant.clone(), number(user_id)?)
        }
        Entity::Section(section) => StreamId::Section(section.clone()),
        Entity::Topic(topic) => StreamId::Topic(topic.clone()),
        Entity::Brand(brand) => StreamId::Brand(brand.clone()),
        Entity::Token(user_id, _) => StreamId::Token(number(user_id)?),
        Entity::RecipientPreferences(user_id) | Entity::QuietHours(user_id) => {
            StreamId::Preference(number(user_id)?)
        }
        Entity::Key(id) => StreamId::Key(id.clone()),
    })
}
