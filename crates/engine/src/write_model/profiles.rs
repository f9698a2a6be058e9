use domain::{Profile, ProfileCommand, ProfileState};
use events::ProfileEvent;
use types::{StreamId, SubjectId, UserId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

/// What was decided about one profile, and what it leads to.
pub(super) struct ProfilePlan {
    events: Vec<ProfileEvent>,
    after: ProfileState,
}

impl ProfilePlan {
    pub(super) fn writes(&self) -> bool {
        !self.events.is_empty()
    }
}

impl WriteModel {
    pub(super) fn profile(
        &mut self,
        user_id: &UserId,
        command: ProfileCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let plan = self.plan_profile(self.known(user_id), command)?;
        if !plan.events.is_empty() {
            self.room_for(1)?;
            let subject = self.register(user_id, decided);
            self.carry_out_profile(subject, plan, decided);
        }
        Ok(())
    }

    pub(super) fn plan_profile(
        &self,
        subject: Option<SubjectId>,
        command: ProfileCommand,
    ) -> Result<ProfilePlan, Refusal> {
        let state = subject.map_or(ProfileState::Absent, |subject| self.profile_state(subject));
        let (events, after) = Profile::decide_and_evolve(state, command)?;
        Ok(ProfilePlan { events, after })
    }

    pub(super) fn carry_out_profile(
        &mut self,
        subject: SubjectId,
        ProfilePlan { events, after }: ProfilePlan,
        decided: &mut Vec<Decided>,
    ) {
        if events.is_empty() {
            return;
        }
        for event in events {
            let stream = StreamId::Profile(subject);
            self.record(stream, vec![subject], event.into(), decided);
            if let (ProfileState::Present(document), Some(last)) = (&after, decided.last_mut()) {
                last.document = Some(document.clone());
            }
        }
        self.group.profiles.insert(subject, after);
    }

    pub(super) fn profile_state(&self, subject: SubjectId) -> ProfileState {
        match self.group.profiles.get(&subject) {
            Some(state) => state.clone(),
            None => match self.committed.profiles.document(subject) {
                Some(document) => ProfileState::Present(document),
                None => ProfileState::Absent,
            },
        }
    }
}
