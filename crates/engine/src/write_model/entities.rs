use domain::{
    AudienceState, KeyState, ListMemberState, ListState, ProfileState, TenantMemberState,
    TopicState,
};
use types::{StreamId, StreamVersion, Timestamp};

use super::WriteModel;
use crate::command::Refusal;
use crate::entity::{Entity, Precondition};
use crate::stream_of::stream_of;

impl WriteModel {
    /// Refuses if what the command rests on is not so, the commands before it in the group counted.
    pub(super) fn check(&self, precondition: &Precondition, now: Timestamp) -> Result<(), Refusal> {
        let Precondition { entity, expected } = precondition;
        let stream = stream_of(entity, &|user_id| self.known(user_id));
        let version = stream.as_ref().map(|stream| self.version(stream));
        let current = version.filter(|_| self.is_there(entity, now));
        if expected.holds(current) {
            return Ok(());
        }
        Err(Refusal::PreconditionFailed(current))
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
