use std::collections::BTreeSet;

use domain::limits::{EVENT_SUBJECTS_MAX, TENANT_LEVELS_MAX, USER_TENANTS_MAX};
use domain::{
    Change, Decider, Tenant, TenantCommand, TenantMember, TenantMemberCommand, TenantMemberState,
    TenantRefusal, refuse_ancestry,
};
use events::{
    Personal, TenantDetails, TenantMemberAdded, TenantMemberEvent, TenantMembersAdded,
    TenantMembersRemoved,
};
use types::{
    Choice, JsonDocument, PreferenceStatus, StreamId, SubjectId, TenantId, TopicId, UserId,
};

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
                if state.is_none() {
                    return Ok(());
                }
            }
            TenantCommand::SetDefaultPreference { .. }
            | TenantCommand::ClearDefaultPreference { .. } => {}
        }
        for event in Tenant::decide(&state, command)? {
            Tenant::evolve(&mut state, &event);
            let stream = StreamId::Tenant(tenant.clone());
            self.record(stream, vec![], event.into(), decided);
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
        let parent_of = |id: &TenantId| self.tenant_details(id)?.parent_tenant_id;
        // What is below counts only where there is something above.
        let below = parent.map_or(0, |_| self.levels_below(tenant));
        refuse_ancestry(tenant, parent, below, parent_of)
    }

    /// How many levels of tenants are below this one; past the largest number allowed nobody counts.
    fn levels_below(&self, tenant: &TenantId) -> usize {
        let mut level = BTreeSet::from([tenant.clone()]);
        let mut levels = 0;
        while levels <= TENANT_LEVELS_MAX {
            level = level.iter().flat_map(|it| self.children(it)).collect();
            if level.is_empty() {
                break;
            }
            levels += 1;
        }
        levels
    }

    fn children(&self, tenant: &TenantId) -> Vec<TenantId> {
        let mut children = self.committed.tenants.children(tenant);
        children.retain(|child| !self.group.tenants.contains_key(child));
        let decided = self.group.tenants.iter();
        let decided = decided.filter(|(_, details)| {
            let parent = details.as_ref().and_then(|it| it.parent_tenant_id.as_ref());
            parent == Some(tenant)
        });
        children.extend(decided.map(|(child, _)| child.clone()));
        children
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
            let Some(details) = next.and_then(|tenant| self.tenant_details(&tenant)) else {
                return false;
            };
            let defaults = &details.default_preferences;
            if let Ok(place) = defaults.binary_search_by(|(id, _)| id.cmp(topic)) {
                let Choice { status, .. } = defaults[place].1;
                return status == PreferenceStatus::Required;
            }
            next = details.parent_tenant_id;
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
        self.check_tenant_count(self.known(user_id), &tenants)?;
        let subject = self.register(user_id, decided);
        for (tenant, profile) in tenants {
            let command = TenantMemberCommand::Put { profile };
            self.tenant_members(&tenant, vec![(subject, command)], decided);
        }
        Ok(())
    }

    pub(super) fn check_tenant_count(
        &self,
        subject: Option<SubjectId>,
        joining: &[(TenantId, Change<JsonDocument>)],
    ) -> Result<(), Refusal> {
        let held = subject.map_or_else(Vec::new, |subject| self.tenants_of(subject));
        let new = joining.iter().map(|(tenant, _)| tenant);
        let tenants: BTreeSet<&TenantId> = new.chain(&held).collect();
        if tenants.len() > USER_TENANTS_MAX {
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
                let memberships = self.group.memberships.entry(subject).or_default();
                memberships.insert(tenant.clone(), state.clone());
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
                .filter_map(|(place, (_, profile))| Some((place, profile.take()?)))
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
            for subject in chunk {
                let memberships = self.group.memberships.entry(*subject).or_default();
                memberships.insert(tenant.clone(), TenantMemberState::Absent);
            }
        }
    }

    fn membership(&self, tenant: &TenantId, subject: SubjectId) -> TenantMemberState {
        let decided = self.group.memberships.get(&subject);
        if let Some(state) = decided.and_then(|memberships| memberships.get(tenant)) {
            return state.clone();
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
        let decided = |subject: &SubjectId| self.group.memberships.get(subject)?.get(tenant);
        let mut members = self.committed.tenants.subjects(tenant);
        members.retain(|subject| decided(subject).is_none());
        let mut joined: Vec<SubjectId> = self.group.memberships.keys().copied().collect();
        joined.retain(|it| matches!(decided(it), Some(TenantMemberState::Member { .. })));
        joined.sort_unstable();
        members.extend(joined);
        members
    }

    /// The tenants of which the person is a member, in the order of their ids.
    pub(super) fn tenants_of(&self, subject: SubjectId) -> Vec<TenantId> {
        let mut tenants = self.committed.tenants.of_subject(subject);
        if let Some(decided) = self.group.memberships.get(&subject) {
            tenants.extend(decided.keys().cloned());
            tenants.sort_unstable();
            tenants.dedup();
            tenants.retain(|tenant| {
                let state = decided.get(tenant);
                state.is_none_or(|state| *state != TenantMemberState::Absent)
            });
        }
        tenants
    }
}
