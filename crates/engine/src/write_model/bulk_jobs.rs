use domain::limits::{BULK_JOBS_MAX, EVENT_SUBJECTS_MAX};
use domain::{BulkCommand, BulkJob, BulkRefusal, BulkState, Decider, MessageCommand};
use events::{
    BulkCreated, BulkUsersIngested, MessageAccepted, MessageTarget, MessageText, OfPerson, Personal,
};
use types::{JsonDocument, MessageId, StreamId, SubjectId};

use super::{Decided, WriteModel};
use crate::command::{Recipient, Refusal};

impl WriteModel {
    pub(super) fn create_bulk_job(
        &mut self,
        job: &MessageId,
        message: JsonDocument,
        definition: JsonDocument,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if self.committed.bulk_jobs.count() + self.group.bulk_jobs.len() >= BULK_JOBS_MAX {
            return Err(Refusal::TooManyBulkJobs);
        }
        let created = BulkCreated {
            message: message.clone(),
            definition,
        };
        self.bulk_job(job, BulkCommand::Create(created), &[], decided)?;
        self.group.bulk_messages.insert(job.clone(), message);
        Ok(())
    }

    /// Gathers people; says who was there already.
    pub(super) fn ingest_users(
        &mut self,
        job: &MessageId,
        users: Vec<Recipient>,
        decided: &mut Vec<Decided>,
    ) -> Result<Vec<usize>, Refusal> {
        match self.bulk_state(job) {
            BulkState::Absent => return Err(BulkRefusal::NotFound.into()),
            BulkState::Started => return Err(BulkRefusal::Started.into()),
            BulkState::Created => {}
        }
        self.room_for(users.len())?;
        for user in &users {
            self.check_recipient(user)?;
        }
        let mut duplicates = Vec::new();
        let mut joining: Vec<(SubjectId, JsonDocument)> = Vec::new();
        for (place, user) in users.into_iter().enumerate() {
            let given = user.given.clone();
            let subject = self.welcome(user, decided);
            let is_there = self.committed.bulk_jobs.has(job, subject);
            let ingested = self.group.ingested.entry(job.clone()).or_default();
            if is_there || !ingested.insert(subject.0) {
                duplicates.push(place);
            } else {
                joining.push((subject, given));
            }
        }
        for joining in joining.chunks(EVENT_SUBJECTS_MAX) {
            let subjects: Vec<_> = joining.iter().map(|(subject, _)| *subject).collect();
            let given = (0..).zip(joining).filter(|(_, (_, it))| !it.is_empty());
            let users = given.map(|(place, (_, given))| OfPerson {
                place,
                value: Personal::Known(given.clone()),
            });
            let users = users.collect();
            let ingested = BulkUsersIngested { users };
            self.bulk_job(job, BulkCommand::Ingest(ingested), &subjects, decided)?;
        }
        Ok(duplicates)
    }

    /// Has the job's message sent to everybody who was gathered, once.
    pub(super) fn run_bulk_job(
        &mut self,
        job: &MessageId,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let before = decided.len();
        self.bulk_job(job, BulkCommand::Run, &[], decided)?;
        if decided.len() == before {
            return Ok(());
        }
        let message = match self.group.bulk_messages.get(job) {
            Some(message) => Some(message.clone()),
            None => self.committed.bulk_jobs.get(job).map(|it| it.message),
        };
        let message = message.ok_or(BulkRefusal::NotFound)?;
        let accepted = MessageAccepted {
            message: MessageText::ToMany(message),
            targets: vec![MessageTarget::Bulk { job: job.clone() }],
            delayed_until: None,
            expires_at: None,
            resends: None,
        };
        self.message(job, MessageCommand::Accept(accepted), &[], decided)
    }

    fn bulk_job(
        &mut self,
        job: &MessageId,
        command: BulkCommand,
        subjects: &[SubjectId],
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.bulk_state(job);
        for event in BulkJob::decide(&state, command)? {
            BulkJob::evolve(&mut state, &event);
            let stream = StreamId::Bulk(job.clone());
            self.record(stream, subjects.to_vec(), event.into(), decided);
            self.group.bulk_jobs.insert(job.clone(), state);
        }
        Ok(())
    }

    fn bulk_state(&self, job: &MessageId) -> BulkState {
        if let Some(decided) = self.group.bulk_jobs.get(job) {
            return *decided;
        }
        match self.committed.bulk_jobs.get(job) {
            None => BulkState::Absent,
            Some(job) if job.started_at.is_some() => BulkState::Started,
            Some(_) => BulkState::Created,
        }
    }
}
