use domain::{
    AudienceState, KeyState, ListMemberState, ListState, ProfileState, TenantMemberState,
    TopicState,
};
use types::{StreamId, StreamVersion, Timestamp};

use super::WriteModel;
use crate::entity::Entity;
use crate::stream_of::stream_of;

impl WriteModel {
    /// The version of what a command is about, as the group leaves it, if it is there.
    pub(crate) fn version_of(&self, entity: &Entity, now: Timestamp) -> Option<StreamVersion> {
        let stream = stream_of(entity, &|user_id| self.known(user_id))?;
        self.is_there(entity, now).then(|| self.version(&stream))
    }

    fn version(&self, stream: &StreamId) -> StreamVersion {
        match self.group.versions.get(stream) {
            Some(version) => *version,
            None => self.versions.read().get(stream),
        }
    }

    fn is_there(&self, entity: &Entity, now: Timestamp) -> bool {
        match entity {
            Entity::Profile(user_id) => self
                .known(user_id)
                .is_some_and(|subject| self.profile_state(subject) != ProfileState::Absent),
            Entity::List(list) => matches!(self.list_state(list), ListState::Live { .. }),
            Entity::Subscription(list, user_id) => {
                matches!(self.list_state(list), ListState::Live { .. })
                    && self.known(user_id).is_some_and(|subject| {
                        self.member_state(list, subject) != ListMemberState::Absent
                    })
            }
            Entity::Audience(audience) => {
                matches!(self.audience_state(audience), AudienceState::Defined(_))
            }
            Entity::Tenant(tenant) => self.tenant_details(tenant).is_some(),
            Entity::Membership(tenant, user_id) => self.known(user_id).is_some_and(|subject| {
                self.membership(tenant, subject) != TenantMemberState::Absent
            }),
            Entity::Section(section) => self.section_details(section).is_some(),
            Entity::Topic(topic) => self.topic_state(topic) != TopicState::Absent,
            Entity::Brand(brand) => self.brand_details(brand).is_some(),
            Entity::Token(user_id, token) => self
                .known(user_id)
                .is_some_and(|subject| self.tokens_of(subject, now).contains_key(token)),
            Entity::RecipientPreferences(user_id) => self
                .known(user_id)
                .is_some_and(|subject| self.stored_recipient_preferences(subject).is_some()),
            Entity::QuietHours(user_id) => self
                .known(user_id)
                .is_some_and(|subject| self.stored_quiet_hours(subject).is_some()),
            Entity::Key(id) => matches!(self.key_state(id), KeyState::Issued { .. }),
        }
    }
}
