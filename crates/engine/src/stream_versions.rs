use std::collections::{BTreeMap, HashMap};
use std::io;

use events::codec::{Decoder, Encoder};
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
            | StreamId::Request
            | StreamId::Message(_)
            | StreamId::Bulk(_)
            | StreamId::Template(_)
            | StreamId::Track(_)
            | StreamId::Inbox(_) => self.others.get(stream),
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
            | StreamId::Request
            | StreamId::Message(_)
            | StreamId::Bulk(_)
            | StreamId::Template(_)
            | StreamId::Track(_)
            | StreamId::Inbox(_) => self.others.entry(stream.clone()).or_default(),
        }
    }
}

impl StreamVersions {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        for versions in [
            &self.subjects,
            &self.profiles,
            &self.preferences,
            &self.tokens,
        ] {
            out.put_all(versions.iter())?;
        }
        let lists: BTreeMap<_, _> = self.list_members.iter().collect();
        out.put(&(lists.len() as u64))?;
        for (list, members) in lists {
            out.put(list)?;
            save_members(members, out)?;
        }
        let tenants: BTreeMap<_, _> = self.tenant_members.iter().collect();
        out.put(&(tenants.len() as u64))?;
        for (tenant, members) in tenants {
            out.put(tenant)?;
            save_members(members, out)?;
        }
        let others = self.others.iter();
        let others: BTreeMap<_, _> = others
            .map(|(it, version)| (it.to_string(), version))
            .collect();
        out.put_all(others.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let mut restored = Self {
            subjects: input.take_into()?,
            profiles: input.take_into()?,
            preferences: input.take_into()?,
            tokens: input.take_into()?,
            ..Self::default()
        };
        for _ in 0..input.take::<u64>()? {
            let list = input.take()?;
            restored.list_members.insert(list, input.take_into()?);
        }
        for _ in 0..input.take::<u64>()? {
            let tenant = input.take()?;
            restored.tenant_members.insert(tenant, input.take_into()?);
        }
        for other in input.take_all()? {
            let (stream, version): (String, u32) = other?;
            let stream = StreamId::parse(&stream).ok_or(io::ErrorKind::InvalidData)?;
            restored.others.insert(stream, version);
        }
        Ok(restored)
    }
}

fn save_members(members: &HashMap<SubjectId, u32>, out: &mut Encoder<'_>) -> io::Result<()> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable();
    out.put_all(members.into_iter())
}

fn slot(versions: &mut Vec<u32>, subject: SubjectId) -> &mut u32 {
    if versions.len() <= subject.index() {
        versions.resize(subject.index() + 1, 0);
    }
    &mut versions[subject.index()]
}
