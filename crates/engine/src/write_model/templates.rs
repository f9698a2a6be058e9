use domain::limits::TEMPLATES_MAX;
use domain::{Decider, Template, TemplateCommand, TemplateRefusal, TemplateState};
use projections::TemplateVersion;
use types::{StreamId, TemplateKey};

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn template(
        &mut self,
        key: &TemplateKey,
        command: TemplateCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.template_state(key);
        let writes = matches!(command, TemplateCommand::Save { .. });
        if writes && state.latest == 0 {
            let templates = &self.committed.templates;
            let in_group = self.group.templates.keys();
            let in_group = in_group.filter(|it| it.tenant == key.tenant).count();
            if templates.count(key.tenant.as_ref()) + in_group >= TEMPLATES_MAX {
                return Err(TemplateRefusal::TooMany.into());
            }
        }
        for event in Template::decide(&state, command)? {
            Template::evolve(&mut state, &event);
            let stream = StreamId::Template(key.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.templates.insert(key.clone(), state.clone());
        }
        Ok(())
    }

    fn template_state(&self, key: &TemplateKey) -> TemplateState {
        if let Some(decided) = self.group.templates.get(key) {
            return decided.clone();
        }
        let templates = &self.committed.templates;
        let latest = templates.last_version(key).unwrap_or_default();
        match templates.get(key, TemplateVersion::Latest) {
            None => TemplateState {
                latest,
                ..TemplateState::default()
            },
            Some(view) => TemplateState {
                latest,
                is_there: true,
                versions: templates.versions(key),
                published: view.published.map(|(version, _)| version),
                content: Some(view.template),
            },
        }
    }
}
