use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AudienceId, BrandId, ListId, MessageId, SectionId, SubjectId, TemplateId, TenantId, TopicId,
    UserId,
};

/// Place of an event in the whole log. The first event has position 1; there are no gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position(pub u64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an event within its stream, from 1, without gaps.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct StreamVersion(pub u32);

/// The events of one thing. A person appears by number, never by name, so a stream's name is
/// never personal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// `subject-{n}`: who the person is.
    Subject(SubjectId),
    /// `profile-{n}`.
    Profile(SubjectId),
    /// `list-{list}`.
    List(ListId),
    /// `list_member-{list}:{n}`: one person's subscription to one list.
    ListMember(ListId, SubjectId),
    /// `audience-{audience}`.
    Audience(AudienceId),
    /// `tenant-{tenant}`.
    Tenant(TenantId),
    /// `tenant_member-{tenant}:{n}`: one person's membership of one tenant.
    TenantMember(TenantId, SubjectId),
    /// `section-{section}`: a section of topics.
    Section(SectionId),
    /// `topic-{topic}`.
    Topic(TopicId),
    /// `preference_page`: the page on which people choose.
    PreferencePage,
    /// `preference-{n}`: what one person chose.
    Preference(SubjectId),
    /// `token-{n}`: the devices of one person.
    Token(SubjectId),
    /// `brand-{brand}`.
    Brand(BrandId),
    /// `clock`: time that passed without anything else happening.
    Clock,
    /// `key-{id}`: an API key.
    Key(String),
    /// `webhook-{id}`: whoever is told of what happens.
    Webhook(String),
    /// `request`: requests that are answered once, however often they are sent.
    Request,
    /// `message-{id}`: one call to send, whomever it reaches.
    Message(MessageId),
    /// `bulk-{id}`: people who are gathered for a message.
    Bulk(MessageId),
    /// `template-{id}`, or `tenant_template-{length}:{tenant}:{id}` with the length of the tenant's id in
    /// bytes, because both ids can hold colons.
    Template(TemplateKey),
    /// `track-{n}`: what one person did elsewhere.
    Track(SubjectId),
    /// `inbox-{n}`: the inbox of one person.
    Inbox(SubjectId),
}

/// By what a template is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TemplateKey {
    /// Whose it is, if it is not everybody's.
    pub tenant: Option<TenantId>,
    pub id: TemplateId,
}

const CLOCK: &str = "clock";
const PREFERENCE_PAGE: &str = "preference_page";
const REQUEST: &str = "request";

impl StreamId {
    /// The person whose stream it is, if it is a person's.
    pub fn subject(&self) -> Option<SubjectId> {
        match self {
            Self::Subject(subject)
            | Self::Profile(subject)
            | Self::ListMember(_, subject)
            | Self::TenantMember(_, subject)
            | Self::Preference(subject)
            | Self::Token(subject)
            | Self::Track(subject)
            | Self::Inbox(subject) => Some(*subject),
            Self::List(_)
            | Self::Audience(_)
            | Self::Tenant(_)
            | Self::Section(_)
            | Self::Topic(_)
            | Self::PreferencePage
            | Self::Brand(_)
            | Self::Clock
            | Self::Key(_)
            | Self::Webhook(_)
            | Self::Request
            | Self::Message(_)
            | Self::Bulk(_)
            | Self::Template(_) => None,
        }
    }

    /// The name with what `shown` makes of the person in the place of the number: for people to read,
    /// never for the log.
    pub fn shown<T: fmt::Display>(&self, shown: impl Fn(SubjectId) -> T) -> String {
        let mut name = String::new();
        self.write_with(&mut name, shown)
            .expect("a string takes every text");
        name
    }

    fn write_with<T: fmt::Display>(
        &self,
        f: &mut impl fmt::Write,
        shown: impl Fn(SubjectId) -> T,
    ) -> fmt::Result {
        match self {
            Self::Subject(subject) => write!(f, "subject-{}", shown(*subject)),
            Self::Profile(subject) => write!(f, "profile-{}", shown(*subject)),
            Self::List(list) => write!(f, "list-{list}"),
            Self::ListMember(list, subject) => write!(f, "list_member-{list}:{}", shown(*subject)),
            Self::Audience(audience) => write!(f, "audience-{audience}"),
            Self::Tenant(tenant) => write!(f, "tenant-{tenant}"),
            Self::TenantMember(tenant, subject) => {
                write!(f, "tenant_member-{tenant}:{}", shown(*subject))
            }
            Self::Section(section) => write!(f, "section-{section}"),
            Self::Topic(topic) => write!(f, "topic-{topic}"),
            Self::PreferencePage => f.write_str(PREFERENCE_PAGE),
            Self::Preference(subject) => write!(f, "preference-{}", shown(*subject)),
            Self::Token(subject) => write!(f, "token-{}", shown(*subject)),
            Self::Brand(brand) => write!(f, "brand-{brand}"),
            Self::Clock => f.write_str(CLOCK),
            Self::Key(id) => write!(f, "key-{id}"),
            Self::Webhook(id) => write!(f, "webhook-{id}"),
            Self::Request => f.write_str(REQUEST),
            Self::Message(id) => write!(f, "message-{id}"),
            Self::Bulk(id) => write!(f, "bulk-{id}"),
            Self::Template(TemplateKey { tenant: None, id }) => write!(f, "template-{id}"),
            Self::Template(TemplateKey {
                tenant: Some(tenant),
                id,
            }) => {
                let length = tenant.as_str().len();
                write!(f, "tenant_template-{length}:{tenant}:{id}")
            }
            Self::Track(subject) => write!(f, "track-{}", shown(*subject)),
            Self::Inbox(subject) => write!(f, "inbox-{}", shown(*subject)),
        }
    }

    /// Reads the name that [`fmt::Display`] writes. `None` if no stream can have that name.
    pub fn parse(name: &str) -> Option<Self> {
        let number = |text: &str| -> Option<SubjectId> {
            let canonical = !text.starts_with('0') || text == "0";
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            (canonical && digits).then(|| text.parse().ok().map(SubjectId))?
        };
        match name {
            CLOCK => return Some(Self::Clock),
            REQUEST => return Some(Self::Request),
            PREFERENCE_PAGE => return Some(Self::PreferencePage),
            _ => {}
        }
        // No category holds a hyphen, so a name belongs to one category whatever its key is.
        let (category, key) = name.split_once('-')?;
        match category {
            "subject" => number(key).map(Self::Subject),
            "profile" => number(key).map(Self::Profile),
            "list" => ListId::parse(key).ok().map(Self::List),
            "list_member" => {
                let (list, subject) = key.rsplit_once(':')?;
                Some(Self::ListMember(
                    ListId::parse(list).ok()?,
                    number(subject)?,
                ))
            }
            "audience" => AudienceId::parse(key).ok().map(Self::Audience),
            "tenant" => TenantId::parse(key).ok().map(Self::Tenant),
            "tenant_member" => {
                let (tenant, subject) = key.rsplit_once(':')?;
                Some(Self::TenantMember(
                    TenantId::parse(tenant).ok()?,
                    number(subject)?,
                ))
            }
            "section" => SectionId::parse(key).ok().map(Self::Section),
            "topic" => TopicId::parse(key).ok().map(Self::Topic),
            "preference" => number(key).map(Self::Preference),
            "token" => number(key).map(Self::Token),
            "brand" => BrandId::parse(key).ok().map(Self::Brand),
            "key" => UserId::parse(key).ok().map(|_| Self::Key(key.to_owned())),
            "webhook" => UserId::parse(key)
                .ok()
                .map(|_| Self::Webhook(key.to_owned())),
            "message" => MessageId::parse(key).ok().map(Self::Message),
            "bulk" => MessageId::parse(key).ok().map(Self::Bulk),
            "template" => {
                let id = TemplateId::parse(key).ok()?;
                Some(Self::Template(TemplateKey { tenant: None, id }))
            }
            "tenant_template" => {
                let (length, rest) = key.split_once(':')?;
                let length = number(length)?.index();
                let id = rest.get(length..)?.strip_prefix(':')?;
                Some(Self::Template(TemplateKey {
                    tenant: Some(TenantId::parse(&rest[..length]).ok()?),
                    id: TemplateId::parse(id).ok()?,
                }))
            }
            "track" => number(key).map(Self::Track),
            "inbox" => number(key).map(Self::Inbox),
            _ => None,
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_with(f, |subject| subject)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream() -> impl Strategy<Value = StreamId> {
        let subject = || any::<u32>().prop_map(SubjectId);
        let list = || {
            "(list|member|list_member|key|a)?[-:.a-z0-9_]{1,12}"
                .prop_filter_map("not a list id", |text| ListId::parse(&text).ok())
        };
        let tenant = || {
            "(tenant|member|preference_page)?[-: a-z0-9_]{1,12}"
                .prop_filter_map("not a tenant id", |text| TenantId::parse(&text).ok())
        };
        prop_oneof![
            subject().prop_map(StreamId::Subject),
            subject().prop_map(StreamId::Profile),
            list().prop_map(StreamId::List),
            (list(), subject()).prop_map(|(list, subject)| StreamId::ListMember(list, subject)),
            "(clock|a)?[-:a-z]{1,12}".prop_filter_map("not an audience id", |text| {
                AudienceId::parse(&text).ok().map(StreamId::Audience)
            }),
            (tenant(), subject())
                .prop_map(|(tenant, subject)| StreamId::TenantMember(tenant, subject)),
            tenant().prop_map(StreamId::Tenant),
            subject().prop_map(StreamId::Preference),
            subject().prop_map(StreamId::Token),
            Just(StreamId::Clock),
            Just(StreamId::PreferencePage),
            Just(StreamId::Request),
            "[-a-f0-9]{1,12}".prop_map(StreamId::Key),
            "[-a-f0-9]{1,12}".prop_map(StreamId::Webhook),
            "[-a-f0-9]{1,12}"
                .prop_map(|id| { StreamId::Message(MessageId::parse(&id).expect("an id")) }),
            "[-a-f0-9]{1,12}"
                .prop_map(|id| { StreamId::Bulk(MessageId::parse(&id).expect("an id")) }),
            (proptest::option::of(tenant()), "[-:0-9a-zä]{1,8}").prop_map(|(tenant, id)| {
                let id = TemplateId::parse(&id).expect("an id");
                StreamId::Template(TemplateKey { tenant, id })
            }),
            subject().prop_map(StreamId::Track),
            subject().prop_map(StreamId::Inbox),
        ]
    }

    proptest! {
        /// Streams are told apart by their names alone once they are in the log.
        #[test]
        fn a_name_belongs_to_one_stream(stream in stream()) {
            prop_assert_eq!(StreamId::parse(&stream.to_string()), Some(stream));
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        for name in [
            "",
            "profile-",
            "profile-01",
            "profile-x",
            "list-",
            "list_member-a",
            "key-",
            "webhook-",
            "audience-",
            "clock-",
            "preference_page-",
            "request-",
            "preference-x",
            "tenant-",
            "tenant_member-a",
            "tenant_template-1:ab",
            "tenant_template-9:a:b",
            "track-x",
            "x-1",
        ] {
            assert_eq!(StreamId::parse(name), None, "{name}");
        }
    }
}
