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

/// What has to be so for a command to be decided (RFC 9110, section 13.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    pub entity: Entity,
    pub expected: Expected,
}

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
