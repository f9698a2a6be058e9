use std::collections::BTreeSet;

use domain::limits::TEMPLATES_MAX;
use domain::{Decider, Template, TemplateCommand, TemplateRefusal, TemplateState, TenantRefusal};
use events::TemplateEvent;
use projections::TemplateVersion;
use types::{StreamId, TemplateId, TemplateKey, TenantId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn template(
        &mut self,
        key: &TemplateKey,
        command: TemplateCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        // Another command of the group may just have deleted the tenant.
        if let Some(tenant) = &key.tenant
            && !self.is_tenant_known(tenant)
        {
            return Err(TenantRefusal::NotFound.into());
        }
        let state = self.template_state(key);
        let writes = matches!(command, TemplateCommand::Save { .. });
        if writes && state.latest == 0 {
            let templates = &self.committed.templates;
            let in_group = self.group.templates.keys();
            let in_group = in_group.filter(|it| it.tenant == key.tenant).count();
            if templates.count(key.tenant.as_ref()) + in_group >= TEMPLATES_MAX {
                return Err(TemplateRefusal::TooMany.into());
            }
        }
        let events = Template::decide(&state, command)?;
        self.record_template(key, state, events, decided);
        Ok(())
    }

    /// Archives all templates of the tenant: whoever has its id next is somebody else.
    pub(super) fn archive_templates(&mut self, tenant: &TenantId, decided: &mut Vec<Decided>) {
        for id in self.templates_of_tenant(tenant) {
            let tenant = Some(tenant.clone());
            let key = TemplateKey { tenant, id };
            let state = self.template_state(&key);
            let events = Template::decide(&state, TemplateCommand::Archive);
            // Only one that is not there is refused, and there is nothing to archive then.
            self.record_template(&key, state, events.unwrap_or_default(), decided);
        }
    }

    /// Those that are there as the log has them, or were written in this group; by id, so that what is
    /// decided does not depend on the order of a map.
    fn templates_of_tenant(&self, tenant: &TenantId) -> BTreeSet<TemplateId> {
        let mut templates = self.committed.templates.ids(tenant);
        let in_group = self.group.templates.keys();
        let in_group = in_group.filter(|it| it.tenant.as_ref() == Some(tenant));
        templates.extend(in_group.map(|it| it.id.clone()));
        templates
    }

    fn record_template(
        &mut self,
        key: &TemplateKey,
        mut state: TemplateState,
        events: Vec<TemplateEvent>,
        decided: &mut Vec<Decided>,
    ) {
        for event in events {
            Template::evolve(&mut state, &event);
            let stream = StreamId::Template(key.clone());
            self.record(stream, vec![], event.into(), decided);
            self.group.templates.insert(key.clone(), state.clone());
        }
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
