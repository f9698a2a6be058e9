use std::collections::HashMap;

use types::{ListId, StreamId, StreamVersion, SubjectId, TenantId};

/// The last version of every stream.
///
/// Streams of people are by far the most, so theirs are kept by number and not by name.
#[derive(Default)]
pub(crate) struct StreamVersions {
    subjects: Vec<u32>,
    profiles: Vec<u32>,
    preferences: Vec<u32>,
    tokens: Vec<u32>,
    list_members: HashMap<ListId, HashMap<SubjectId, u32>>,
    tenant_members: HashMap<TenantId, HashMap<SubjectId, u32>>,
    others: HashMap<StreamId, u32>,
}

impl StreamVersions {
    pub(crate) fn get(&self, stream: &StreamId) -> StreamVersion {
        let version = match stream {
            StreamId::Subject(subject) => self.subjects.get(subject.index()),
            StreamId::Profile(subject) => self.profiles.get(subject.index()),
            StreamId::Preference(subject) => self.preferences.get(subject.index()),
            StreamId::Token(subject) => self.tokens.get(subject.index()),
            StreamId::ListMember(list, subject) => {
                let members = self.list_members.get(list);
                members.and_then(|members| members.get(subject))
            }
            StreamId::TenantMember(tenant, subject) => {
                let members = self.tenant_members.get(tenant);
                members.and_then(|members| members.get(subject))
            }
            StreamId::List(_)
            | StreamId::Audience(_)
            | StreamId::Tenant(_)
            | StreamId::Section(_)
            | StreamId::Topic(_)
            | StreamId::PreferencePage
            | StreamId::Brand(_)
            | StreamId::Clock
            | StreamId::Key(_)
            | StreamId::Webhook(_)
            | StreamId::Request => self.others.get(stream),
        };
        StreamVersion(version.copied().unwrap_or_default())
    }

    /// Takes note of an event. Fails with the version that was due if there is a gap.
    pub(crate) fn advance(
        &mut self,
        stream: &StreamId,
        version: StreamVersion,
    ) -> Result<(), StreamVersion> {
        let current = self.entry(stream);
        if version.0 != *current + 1 {
            return Err(StreamVersion(*current + 1));
        }
        *current = version.0;
        Ok(())
    }

    /// Takes note of events of which the writer itself made the versions.
    pub(crate) fn set(&mut self, stream: &StreamId, version: StreamVersion) {
        *self.entry(stream) = version.0;
    }

    fn entry(&mut self, stream: &StreamId) -> &mut u32 {
        match stream {
            StreamId::Subject(subject) => slot(&mut self.subjects, *subject),
            StreamId::Profile(subject) => slot(&mut self.profiles, *subject),
            StreamId::Preference(subject) => slot(&mut self.preferences, *subject),
            StreamId::Token(subject) => slot(&mut self.tokens, *subject),
            StreamId::ListMember(list, subject) => self
                .list_members
                .entry(list.clone())
                .or_default()
                .entry(*subject)
                .or_default(),
            StreamId::TenantMember(tenant, subject) => self
                .tenant_members
                .entry(tenant.clone())
                .or_default()
                .entry(*subject)
                .or_default(),
            StreamId::List(_)
            | StreamId::Audience(_)
            | StreamId::Tenant(_)
            | StreamId::Section(_)
            | StreamId::Topic(_)
            | StreamId::PreferencePage
            | StreamId::Brand(_)
            | StreamId::Clock
            | StreamId::Key(_)
            | StreamId::Webhook(_)
            | StreamId::Request => self.others.entry(stream.clone()).or_default(),
        }
    }
}

fn slot(versions: &mut Vec<u32>, subject: SubjectId) -> &mut u32 {
    if versions.len() <= subject.index() {
        versions.resize(subject.index() + 1, 0);
    }
    &mut versions[subject.index()]
}
