use std::collections::HashMap;
use std::io;

use events::codec::{Decoder, Encoder};
use events::{BulkEvent, Envelope, Event, SubjectEvent};
use parking_lot::RwLock;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use types::{JsonDocument, MessageId, Position, StreamId, SubjectId, Timestamp};

use crate::{Digest, Projection};

/// People who are gathered for a message.
#[derive(Default)]
pub struct BulkJobs {
    state: RwLock<HashMap<MessageId, Job>>,
}

#[derive(Serialize, Deserialize)]
struct Job {
    created_at: Timestamp,
    message: JsonDocument,
    definition: JsonDocument,
    started_at: Option<Timestamp>,
    people: RoaringBitmap,
    /// What was given for them, by the events that hold it.
    parts: Vec<(Position, RoaringBitmap)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkJobView {
    pub created_at: Timestamp,
    /// Courier's message without `to`.
    pub message: JsonDocument,
    pub definition: JsonDocument,
    pub started_at: Option<Timestamp>,
    pub people: u64,
}

impl BulkJobs {
    pub fn get(&self, job: &MessageId) -> Option<BulkJobView> {
        let state = self.state.read();
        let job = state.get(job)?;
        Some(BulkJobView {
            created_at: job.created_at,
            message: job.message.clone(),
            definition: job.definition.clone(),
            started_at: job.started_at,
            people: job.people.len(),
        })
    }

    pub fn count(&self) -> usize {
        self.state.read().len()
    }

    pub fn has(&self, job: &MessageId, subject: SubjectId) -> bool {
        let state = self.state.read();
        state
            .get(job)
            .is_some_and(|it| it.people.contains(subject.0))
    }

    /// Everybody who was gathered so far.
    pub fn people(&self, job: &MessageId) -> Option<RoaringBitmap> {
        Some(self.state.read().get(job)?.people.clone())
    }

    /// The event that holds what was given for somebody.
    pub fn given_at(&self, job: &MessageId, subject: SubjectId) -> Option<Position> {
        let state = self.state.read();
        let mut parts = state.get(job)?.parts.iter();
        let found = parts.find(|(_, people)| people.contains(subject.0))?;
        Some(found.0)
    }

    /// Of some people those whose data stand in one event, so that it is read once for them; nothing if
    /// there is no such job.
    pub fn together(&self, job: &MessageId, people: &RoaringBitmap) -> Option<RoaringBitmap> {
        let state = self.state.read();
        let mut parts = state.get(job)?.parts.iter().map(|(_, part)| part & people);
        Some(parts.find(|it| !it.is_empty()).unwrap_or_default())
    }

    /// People by number, after one, and whether there are more.
    pub fn page(
        &self,
        job: &MessageId,
        after: Option<SubjectId>,
        limit: usize,
    ) -> (Vec<SubjectId>, bool) {
        let state = self.state.read();
        let Some(job) = state.get(job) else {
            return (Vec::new(), false);
        };
        let from = after.map_or(0, |it| u64::from(it.0) + 1);
        let Ok(from) = u32::try_from(from) else {
            return (Vec::new(), false);
        };
        let mut rows: Vec<_> = job.people.range(from..).take(limit + 1).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        (rows.into_iter().map(SubjectId).collect(), more)
    }
}

impl Job {
    /// Nobody who is erased is told anything.
    fn forget(&mut self, subject: SubjectId) {
        if self.people.remove(subject.0) {
            for (_, people) in &mut self.parts {
                people.remove(subject.0);
            }
        }
    }
}

impl BulkJobs {
    pub(crate) fn save(&self, out: &mut Encoder<'_>) -> io::Result<()> {
        let state = self.state.read();
        let mut jobs: Vec<_> = state.iter().collect();
        jobs.sort_unstable_by_key(|(id, _)| *id);
        out.put_all(jobs.into_iter())
    }

    pub(crate) fn restore(input: &mut Decoder<'_>) -> io::Result<Self> {
        Ok(Self {
            state: RwLock::new(input.take_into()?),
        })
    }
}

impl Projection for BulkJobs {
    const NAME: &'static str = "bulk_jobs";
    const VERSION: u16 = 1;

    fn apply(&self, envelope: &Envelope) {
        let mut state = self.state.write();
        if let Event::Subject(SubjectEvent::Erased(_)) = &envelope.event {
            for job in state.values_mut() {
                for subject in &envelope.subjects {
                    job.forget(*subject);
                }
            }
            return;
        }
        let (Event::Bulk(event), StreamId::Bulk(id)) = (&envelope.event, &envelope.stream) else {
            return;
        };
        if let BulkEvent::Created(created) = event {
            let job = Job {
                created_at: envelope.recorded_at,
                message: created.message.clone(),
                definition: created.definition.clone(),
                started_at: None,
                people: RoaringBitmap::new(),
                parts: Vec::new(),
            };
            state.insert(id.clone(), job);
            return;
        }
        let Some(job) = state.get_mut(id) else { return };
        match event {
            BulkEvent::Created(_) => {}
            BulkEvent::UsersIngested(_) => {
                let mut people: RoaringBitmap = envelope.subjects.iter().map(|it| it.0).collect();
                people -= &job.people;
                job.people |= &people;
                job.parts.push((envelope.position, people));
            }
            BulkEvent::Started(_) => job.started_at = Some(envelope.recorded_at),
        }
    }

    fn digest(&self, digest: &mut Digest) {
        let state = self.state.read();
        let mut jobs: Vec<_> = state.iter().collect();
        jobs.sort_unstable_by_key(|(id, _)| *id);
        for (id, job) in jobs {
            digest.text(id.as_str());
            digest.stored(job);
        }
    }
}
