use domain::limits::AUDIENCE_LEVELS_MAX;
use domain::{Audience, AudienceCommand, AudiencePut, AudienceState, Change, Decider};
use types::filter::{Group as Rule, RuleLimits};
use types::{AudienceId, StreamId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn audience(
        &mut self,
        audience: &AudienceId,
        command: AudienceCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if let AudienceCommand::Put(AudiencePut {
            filter: Change::Set(rule),
            ..
        }) = &command
        {
            let parts_of = |other: &AudienceId| self.parts_of(other);
            domain::refuse_cycle(audience, rule, parts_of)?;
            let above = self
                .committed
                .audiences
                .levels_above(audience, AUDIENCE_LEVELS_MAX);
            domain::refuse_chain(audience, rule, above, parts_of)?;
        }
        let mut state = self.audience_state(audience);
        for event in Audience::decide(&state, command)? {
            Audience::evolve(&mut state, &event);
            let stream = StreamId::Audience(audience.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.audiences.insert(audience.clone(), state.clone());
        }
        Ok(())
    }

    pub(super) fn audience_state(&self, audience: &AudienceId) -> AudienceState {
        let decided = self.group.audiences.get(audience).cloned();
        decided.unwrap_or_else(|| {
            let committed = self.committed.audiences.definition(audience);
            committed.map_or(AudienceState::Absent, AudienceState::Defined)
        })
    }

    /// The audiences of which this one is made.
    fn parts_of(&self, audience: &AudienceId) -> Vec<AudienceId> {
        match self.group.audiences.get(audience) {
            Some(AudienceState::Absent) => Vec::new(),
            Some(AudienceState::Defined(defined)) => {
                let filter = defined.filter.as_ref();
                let rule = filter.and_then(|filter| {
                    Rule::parse(&filter.to_value(), None, RuleLimits::STORED).ok()
                });
                rule.as_ref().map_or_else(Vec::new, domain::audiences_of)
            }
            None => {
                let rule = self.committed.audiences.rule(audience);
                rule.as_deref().map_or_else(Vec::new, domain::audiences_of)
            }
        }
    }
}
