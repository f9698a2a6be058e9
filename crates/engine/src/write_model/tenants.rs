use std::collections::BTreeSet;

use domain::limits::{EVENT_SUBJECTS_MAX, TENANT_LEVELS_MAX, USER_TENANTS_MAX};
use domain::{
    Change, Decider, Tenant, TenantCommand, TenantMember, TenantMemberCommand, TenantMemberState,
    TenantRefusal, refuse_ancestry,
};
use events::{
    OfPerson, Personal, TenantDetails, TenantMemberAdded, TenantMemberEvent, TenantMembersAdded,
    TenantMembersRemoved,
};
use types::{JsonDocument, PreferenceStatus, StreamId, SubjectId, TenantId, TopicId, UserId};

use super::{Decided, WriteModel};
use crate::command::Refusal;

impl WriteModel {
    pub(super) fn tenant(
        &mut self,
        tenant: &TenantId,
        command: TenantCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let mut state = self.tenant_details(tenant);
        match &command {
            TenantCommand::Put(details) => self.check_ancestry(tenant, state.as_ref(), details)?,
            TenantCommand::Delete => {
                let members = self.members_of_tenant(tenant);
                if state.is_none() && members.is_empty() {
                    return Err(TenantRefusal::NotFound.into());
                }
                self.remove_members(tenant, &members, decided);
                self.archive_templates(tenant, decided);
                if state.is_none() {
                    return Ok(());
                }
            }
            TenantCommand::SetDefaultPreference { .. }
            | TenantCommand::ClearDefaultPreference { .. }
            | TenantCommand::RecordHistory(_) => {}
        }
        let events = Tenant::decide(&state, command)?;
        if state.is_none() {
            self.begin_tenant(tenant, decided);
        }
        for event in events {
            Tenant::evolve(&mut state, &event);
            let stream = StreamId::Tenant(tenant.clone());
            self.record(stream, vec![], event.into(), decided);
            let parent = state.as_ref().and_then(|it| it.parent_tenant_id.clone());
            self.group.parents.extend(parent);
            self.group.tenants.insert(tenant.clone(), state.clone());
        }
        Ok(())
    }

    fn check_ancestry(
        &self,
        tenant: &TenantId,
        before: Option<&TenantDetails>,
        after: &TenantDetails,
    ) -> Result<(), TenantRefusal> {
        let parent = after.parent_tenant_id.as_ref();
        if before.is_some_and(|before| before.parent_tenant_id.as_ref() == parent) {
            return Ok(());
        }
        let parent_of = |id: &TenantId| self.parent_of(id);
        // What is below counts only where there is something above.
        let below = parent.map_or(0, |_| self.levels_below(tenant));
        refuse_ancestry(tenant, parent, below, parent_of)
    }

    /// How many levels of tenants are below this one, at most: those that have left it in this very
    /// group still count, for whoever asks at the same time may as well have come first.
    fn levels_below(&self, tenant: &TenantId) -> usize {
        let committed = |id: &TenantId| self.committed.tenants.levels_below(id);
        // Nobody is below a tenant that nobody names as a parent, as nobody does of a new one.
        if committed(tenant) == 0 && !self.group.parents.contains(tenant) {
            return 0;
        }
        // Whatever has come below it in this group has come through a tenant of the group.
        let through = |id: &TenantId| {
            let mut levels = 0;
            let mut next = Some(id.clone());
            while let Some(id) = next.filter(|id| id != tenant) {
                levels += 1;
                if levels > TENANT_LEVELS_MAX {
                    return None;
                }
                next = Some(self.parent_of(&id)?);
            }
            Some(levels + committed(id))
        };
        let decided = self.group.tenants.keys();
        let decided = decided.filter(|id| *id != tenant).filter_map(through);
        decided.max().unwrap_or_default().max(committed(tenant))
    }

    fn parent_of(&self, tenant: &TenantId) -> Option<TenantId> {
        match self.group.tenants.get(tenant) {
            Some(decided) => decided.as_ref()?.parent_tenant_id.clone(),
            None => self.committed.tenants.parent(tenant),
        }
    }

    /// What is there of a tenant that is not known is not inherited by whoever has its id next. It is of
    /// one that was never created and whose last member has left, or of one that was deleted when its
    /// templates were still kept.
    fn begin_tenant(&mut self, tenant: &TenantId, decided: &mut Vec<Decided>) {
        if !self.is_tenant_known(tenant) {
            self.archive_templates(tenant, decided);
        }
    }

    /// Whether there is such a tenant, or somebody is a member of it.
    pub(super) fn is_tenant_known(&self, tenant: &TenantId) -> bool {
        let is_created = match self.group.tenants.get(tenant) {
            Some(decided) => decided.is_some(),
            None => self
                .committed
                .tenants
                .with_details(tenant, |_| ())
                .is_some(),
        };
        is_created || self.has_members(tenant)
    }

    fn has_members(&self, tenant: &TenantId) -> bool {
        let Some(group) = self.group.memberships.get(tenant) else {
            return self.committed.tenants.has_members(tenant);
        };
        let mut decided = group.members.values();
        // Who joined in this group is found before everybody else is looked at.
        decided.any(|state| *state != TenantMemberState::Absent)
            || !self.members_of_tenant(tenant).is_empty()
    }

    pub(super) fn tenant_details(&self, tenant: &TenantId) -> Option<TenantDetails> {
        match self.group.tenants.get(tenant) {
            Some(decided) => decided.clone(),
            None => self.committed.tenants.details(tenant),
        }
    }

    /// Whether the nearest tenant, from this one upwards, that says anything about the topic requires
    /// it.
    pub(super) fn requires(&self, tenant: &TenantId, topic: &TopicId) -> bool {
        let mut next = Some(tenant.clone());
        for _ in 0..self.tenant_levels {
            let Some(tenant) = next else { return false };
            let look = |details: &TenantDetails| {
                let default = details.default_preferences.get(topic);
                let status = default.map(|default| default.status);
                (status, details.parent_tenant_id.clone())
            };
            let found = match self.group.tenants.get(&tenant) {
                Some(decided) => decided.as_ref().map(look),
                None => self.committed.tenants.with_details(&tenant, look),
            };
            let Some((status, parent)) = found else {
                return false;
            };
            if let Some(status) = status {
                return status == PreferenceStatus::Required;
            }
            next = parent;
        }
        false
    }

    pub(super) fn join_tenants(
        &mut self,
        user_id: &UserId,
        tenants: Vec<(TenantId, Change<JsonDocument>)>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if tenants.is_empty() {
            return Ok(());
        }
        self.room_for(1)?;
        let joining = tenants.iter().map(|(tenant, _)| tenant);
        self.check_tenant_count(self.known(user_id), joining)?;
        let subject = self.register(user_id, decided);
        for (tenant, profile) in tenants {
            let command = TenantMemberCommand::Put { profile };
            self.tenant_members(&tenant, vec![(subject, command)], decided);
        }
        Ok(())
    }

    pub(super) fn check_tenant_count<'a>(
        &self,
        subject: Option<SubjectId>,
        joining: impl Iterator<Item = &'a TenantId>,
    ) -> Result<(), Refusal> {
        let held = subject.map_or_else(Vec::new, |subject| self.tenants_of(subject));
        let joining: Vec<&TenantId> = joining.collect();
        // Nearly everybody is far below it, and need not be counted exactly.
        if held.len() + joining.len() <= USER_TENANTS_MAX {
            return Ok(());
        }
        let held: BTreeSet<&TenantId> = held.iter().collect();
        let new: BTreeSet<&TenantId> = joining
            .into_iter()
            .filter(|tenant| !held.contains(tenant))
            .collect();
        if !new.is_empty() && held.len() + new.len() > USER_TENANTS_MAX {
            return Err(Refusal::TooManyTenants);
        }
        Ok(())
    }

    pub(super) fn leave_tenant(
        &mut self,
        subject: SubjectId,
        tenant: &TenantId,
        decided: &mut Vec<Decided>,
    ) {
        let command = TenantMemberCommand::Remove;
        self.tenant_members(tenant, vec![(subject, command)], decided);
    }

    /// Decides about every membership by itself, and writes the outcome compactly. Nobody may be
    /// named twice.
    pub(super) fn tenant_members(
        &mut self,
        tenant: &TenantId,
        commands: Vec<(SubjectId, TenantMemberCommand)>,
        decided: &mut Vec<Decided>,
    ) {
        let joins =
            |command: &TenantMemberCommand| matches!(command, TenantMemberCommand::Put { .. });
        if commands.iter().any(|(_, command)| joins(command)) {
            self.begin_tenant(tenant, decided);
        }
        let mut added = Vec::new();
        for (subject, command) in commands {
            let mut state = self.membership(tenant, subject);
            let Ok(events) = TenantMember::decide(&state, command);
            for event in events {
                TenantMember::evolve(&mut state, &event);
                match event {
                    TenantMemberEvent::Added(TenantMemberAdded { profile }) => {
                        added.push((subject, profile));
                    }
                    TenantMemberEvent::Updated(_)
                    | TenantMemberEvent::Removed(_)
                    | TenantMemberEvent::ManyAdded(_)
                    | TenantMemberEvent::ManyRemoved(_) => {
                        let stream = StreamId::TenantMember(tenant.clone(), subject);
                        self.record(stream, vec![subject], event.into(), decided);
                    }
                }
                let group = self.group.memberships.entry(tenant.clone()).or_default();
                if group.members.insert(subject, state.clone()).is_none() {
                    let tenants = self.group.tenants_of.entry(subject).or_default();
                    tenants.push(tenant.clone());
                }
            }
        }
        self.record_joined(tenant, added, decided);
    }

    fn record_joined(
        &mut self,
        tenant: &TenantId,
        mut added: Vec<(SubjectId, Option<Personal<JsonDocument>>)>,
        decided: &mut Vec<Decided>,
    ) {
        if added.len() == 1 {
            for (subject, profile) in added {
                let event = TenantMemberEvent::Added(TenantMemberAdded { profile });
                let stream = StreamId::TenantMember(tenant.clone(), subject);
                self.record(stream, vec![subject], event.into(), decided);
            }
            return;
        }
        for chunk in added.chunks_mut(EVENT_SUBJECTS_MAX) {
            let subjects = chunk.iter().map(|(subject, _)| *subject).collect();
            let profiles = (0_u32..)
                .zip(chunk)
                .filter_map(|(place, (_, profile))| {
                    let value = profile.take()?;
                    Some(OfPerson { place, value })
                })
                .collect();
            let event = TenantMemberEvent::ManyAdded(TenantMembersAdded { profiles });
            let stream = StreamId::Tenant(tenant.clone());
            self.record(stream, subjects, event.into(), decided);
        }
    }

    fn remove_members(
        &mut self,
        tenant: &TenantId,
        members: &[SubjectId],
        decided: &mut Vec<Decided>,
    ) {
        if let [subject] = members {
            return self.leave_tenant(*subject, tenant, decided);
        }
        for chunk in members.chunks(EVENT_SUBJECTS_MAX) {
            let event = TenantMemberEvent::ManyRemoved(TenantMembersRemoved {});
            let stream = StreamId::Tenant(tenant.clone());
            self.record(stream, chunk.to_vec(), event.into(), decided);
        }
        let group = self.group.memberships.entry(tenant.clone()).or_default();
        group.emptied = true;
        group.members.clear();
    }

    pub(super) fn membership(&self, tenant: &TenantId, subject: SubjectId) -> TenantMemberState {
        if let Some(group) = self.group.memberships.get(tenant) {
            if let Some(state) = group.members.get(&subject) {
                return state.clone();
            }
            if group.emptied {
                return TenantMemberState::Absent;
            }
        }
        match self.committed.tenants.membership(tenant, subject) {
            Some(membership) => TenantMemberState::Member {
                profile: membership.profile,
            },
            None => TenantMemberState::Absent,
        }
    }

    /// Everybody in the tenant, in the order in which they joined, those of this group last.
    fn members_of_tenant(&self, tenant: &TenantId) -> Vec<SubjectId> {
        let Some(group) = self.group.memberships.get(tenant) else {
            return self.committed.tenants.subjects(tenant);
        };
        let mut members = if group.emptied {
            Vec::new()
        } else {
            self.committed.tenants.subjects(tenant)
        };
        members.retain(|subject| !group.members.contains_key(subject));
        let joined = group.members.iter();
        let joined = joined.filter(|(_, state)| **state != TenantMemberState::Absent);
        members.extend(joined.map(|(subject, _)| *subject));
        members
    }

    /// The tenants of which the person is a member, in the order of their ids.
    pub(super) fn tenants_of(&self, subject: SubjectId) -> Vec<TenantId> {
        let mut tenants = self.committed.tenants.of_subject(subject);
        let decided = self.group.tenants_of.get(&subject);
        tenants.extend(decided.into_iter().flatten().cloned());
        tenants.sort_unstable();
        tenants.dedup();
        if !self.group.memberships.is_empty() {
            tenants.retain(|it| self.membership(it, subject) != TenantMemberState::Absent);
        }
        tenants
    }
}
