use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;

use domain::{audiences_of, refuse_ancestry, refuse_cycle};
use events::codec::{Decoder, Encoder};
use events::{
    AudienceEvent, Envelope, Event, SubjectEvent, TenantCreated, TenantEvent, TenantUpdated,
};
use projections::TenantTree;
use types::filter::{Group, RuleLimits};
use types::{AudienceId, Position, StreamId, StreamVersion, SubjectId, TenantId, Timestamp};

use crate::stream_versions::StreamVersions;

/// What one event after another has to keep to, whether it is read from the log or taken in from
/// outside: versions without gaps, time that does not go back, people registered in order and
/// before they are named, nobody named once they are erased, and no audience that is a part of itself.
#[derive(Default)]
pub(crate) struct Sequence {
    pub(crate) versions: StreamVersions,
    pub(crate) last_recorded_at: Timestamp,
    /// The number that the next new person gets.
    next_subject: SubjectId,
    erased: BTreeSet<SubjectId>,
    /// Of which audiences an audience is made, where it is made of any.
    parts: HashMap<AudienceId, Vec<AudienceId>>,
    tenants: TenantTree,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    #[error("at position {position} stream `{stream}` goes on with version {}, and {} was due", found.0, due.0)]
    StreamGap {
        position: Position,
        stream: StreamId,
        found: StreamVersion,
        due: StreamVersion,
    },
    #[error("the event at position {position} was recorded before the one that it follows")]
    TimeBackwards { position: Position },
    #[error("the event at position {position} registers somebody by a number that is not the next")]
    SubjectOutOfOrder { position: Position },
    #[error("the event at position {position} names a person who is not registered before it")]
    UnknownSubject { position: Position },
    #[error("the event at position {position} names a person who was erased before it")]
    ErasedSubject { position: Position },
    #[error("the event at position {position} makes an audience a part of itself")]
    AudienceCycle { position: Position },
    #[error(
        "the event at position {position} makes a tenant one of its own ancestors, or sets tenants too deep within each other"
    )]
    TenantCycle { position: Position },
}

impl SequenceError {
    pub(crate) fn position(&self) -> Position {
        match self {
            Self::StreamGap { position, .. }
            | Self::TimeBackwards { position }
            | Self::SubjectOutOfOrder { position }
            | Self::UnknownSubject { position }
            | Self::ErasedSubject { position }
            | Self::AudienceCycle { position }
            | Self::TenantCycle { position } => *position,
        }
    }
}

impl Sequence {
    /// Of what a snapshot holds of it, with the versions of streams.
    pub(crate) const VERSION: u16 = 1;

    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        self.versions.save(out)?;
        out.put(&(self.last_recorded_at, self.next_subject))?;
        out.put_all(self.erased.iter())?;
        let parts: BTreeMap<_, _> = self.parts.iter().collect();
        out.put_all(parts.into_iter())?;
        let parents: BTreeMap<_, _> = self.tenants.parents().collect();
        out.put_all(parents.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        let versions = StreamVersions::restore(input)?;
        let (last_recorded_at, next_subject) = input.take()?;
        let erased = input.take_into()?;
        let parts = input.take_into()?;
        let mut tenants = TenantTree::default();
        for parent in input.take_all()? {
            let (tenant, parent): (TenantId, TenantId) = parent?;
            tenants.set_parent(&tenant, Some(&parent));
        }
        Ok(Self {
            versions,
            last_recorded_at,
            next_subject,
            erased,
            parts,
            tenants,
        })
    }

    /// Takes note of the next event.
    pub(crate) fn follow(&mut self, envelope: &Envelope) -> Result<(), SequenceError> {
        let Envelope {
            position,
            stream,
            version,
            recorded_at,
            subjects,
            event,
        } = envelope;
        let position = *position;
        if *recorded_at < self.last_recorded_at {
            return Err(SequenceError::TimeBackwards { position });
        }
        self.last_recorded_at = *recorded_at;
        self.versions
            .advance(stream, *version)
            .map_err(|due| SequenceError::StreamGap {
                position,
                stream: stream.clone(),
                found: *version,
                due,
            })?;
        if subjects.iter().any(|subject| self.erased.contains(subject)) {
            return Err(SequenceError::ErasedSubject { position });
        }
        if let Event::Subject(SubjectEvent::Erased(_)) = event {
            self.erased.extend(subjects);
        }
        if let Event::Subject(SubjectEvent::Registered(_)) = event {
            if *stream != StreamId::Subject(self.next_subject) {
                return Err(SequenceError::SubjectOutOfOrder { position });
            }
            self.next_subject.0 += 1;
        }
        if subjects.iter().any(|subject| *subject >= self.next_subject) {
            return Err(SequenceError::UnknownSubject { position });
        }
        if let (Event::Audience(event), StreamId::Audience(audience)) = (event, stream)
            && !self.keeps_parts(audience, event)
        {
            return Err(SequenceError::AudienceCycle { position });
        }
        if let (Event::Tenant(event), StreamId::Tenant(tenant)) = (event, stream)
            && !self.keeps_ancestry(tenant, event)
        {
            return Err(SequenceError::TenantCycle { position });
        }
        Ok(())
    }

    /// Takes note of a tenant's parent; whether that leaves it none of its own ancestors, and tenants not
    /// too deep within each other.
    fn keeps_ancestry(&mut self, tenant: &TenantId, event: &TenantEvent) -> bool {
        let parent = match event {
            TenantEvent::Created(TenantCreated(details))
            | TenantEvent::Updated(TenantUpdated(details)) => details.parent_tenant_id.as_ref(),
            TenantEvent::Deleted(_) => None,
            TenantEvent::DefaultPreferenceSet(_)
            | TenantEvent::DefaultPreferenceCleared(_)
            | TenantEvent::HistoryRecorded(_) => return true,
        };
        let levels_below = self.tenants.levels_below(tenant);
        let parent_of = |it: &TenantId| self.tenants.parent(it).cloned();
        if refuse_ancestry(tenant, parent, levels_below, parent_of).is_err() {
            return false;
        }
        self.tenants.set_parent(tenant, parent);
        true
    }

    /// Takes note of what an audience is made of; whether that leaves it no part of itself.
    fn keeps_parts(&mut self, audience: &AudienceId, event: &AudienceEvent) -> bool {
        let filter = match event {
            AudienceEvent::Defined(defined) => defined.filter.as_ref(),
            AudienceEvent::Deleted(_) => None,
        };
        // Most rules ask about no audience, and need not be parsed to see that.
        let asks = filter.filter(|filter| filter.as_str().contains("MEMBER_OF"));
        let rule =
            asks.and_then(|filter| Group::parse(&filter.to_value(), None, RuleLimits::STORED).ok());
        let parts = rule.as_ref().map_or_else(Vec::new, audiences_of);
        if let Some(rule) = rule.filter(|_| !parts.is_empty()) {
            let parts_of = |audience: &AudienceId| self.parts.get(audience).cloned();
            if refuse_cycle(audience, &rule, |it| parts_of(it).unwrap_or_default()).is_err() {
                return false;
            }
            self.parts.insert(audience.clone(), parts);
        } else {
            self.parts.remove(audience);
        }
        true
    }
}
