use domain::limits::WEBHOOKS_MAX;
use domain::{Decider, Webhook, WebhookCommand, WebhookRefusal, WebhookState};
use types::StreamId;

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn webhook(
        &mut self,
        id: &str,
        command: WebhookCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if matches!(command, WebhookCommand::Register(_)) {
            let is_new = |id: &&String| self.committed.webhooks.get(id).is_none();
            let in_group = self.group.webhooks.iter();
            let new = in_group
                .filter(|(_, state)| **state == WebhookState::Registered)
                .filter(|(id, _)| is_new(id));
            if self.committed.webhooks.len() + new.count() >= WEBHOOKS_MAX {
                return Err(WebhookRefusal::TooMany.into());
            }
        }
        let mut state = self.webhook_state(id);
        for event in Webhook::decide(&state, command)? {
            Webhook::evolve(&mut state, &event);
            let stream = StreamId::Webhook(id.to_owned());
            self.record(stream, vec![], event.into(), decided);
            self.group.webhooks.insert(id.to_owned(), state);
        }
        Ok(())
    }

    /// One that was removed before is not told from one that never was: ids are made here, and none twice.
    fn webhook_state(&self, id: &str) -> WebhookState {
        if let Some(decided) = self.group.webhooks.get(id) {
            return *decided;
        }
        match self.committed.webhooks.get(id) {
            Some(_) => WebhookState::Registered,
            None => WebhookState::Absent,
        }
    }
}
