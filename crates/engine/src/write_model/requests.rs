use events::{Personal, RequestAnswered};
use projections::StoredAnswer;
use types::{StreamId, SubjectId, Timestamp};

use super::{Decided, WriteModel};
use crate::once::{ANSWER_BYTES_MAX, Answer, RequestKey};

impl WriteModel {
    /// How the request was answered, in this group or before, if that still holds at this time.
    pub(crate) fn answer(&self, request: &RequestKey, now: Timestamp) -> Option<Answer> {
        let decided = self.group.answers.get(request.as_str()).cloned();
        let kept = decided.or_else(|| self.committed.requests.get(request.as_str(), now));
        kept.map(Into::into)
    }

    /// Has the answer kept together with what it answers.
    pub(crate) fn keep_answer(
        &mut self,
        request: &RequestKey,
        answer: &Answer,
        expires_at: Timestamp,
        decided: &mut Vec<Decided>,
    ) {
        let body = answer.body.as_ref();
        if body.is_some_and(|body| body.as_str().len() > ANSWER_BYTES_MAX) {
            return;
        }
        let stored = StoredAnswer {
            status: answer.status,
            body: answer.body.clone(),
            expires_at,
        };
        let owner = request.owner().to_owned();
        let request = request.as_str().to_owned();
        self.group.answers.insert(request.clone(), stored);
        let event = RequestAnswered {
            request,
            owner,
            status: answer.status,
            body_bytes: u32::try_from(body.map_or(0, |body| body.as_str().len()))
                .unwrap_or(u32::MAX),
            body: answer.body.clone().map(Personal::Known),
            expires_at,
        };
        let about = only_subject(decided).into_iter().collect();
        self.record(StreamId::Request, about, event.into(), decided);
    }
}

/// The person that the events are about, if it is one and the same.
fn only_subject(decided: &[Decided]) -> Option<SubjectId> {
    let mut subjects = decided.iter().flat_map(|decided| &decided.subjects);
    let first = *subjects.next()?;
    subjects.all(|subject| *subject == first).then_some(first)
}
