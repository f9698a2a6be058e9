use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Change, ListMemberCommand, ProfileCommand, ProfileState, TenantMemberCommand};
use events::SubjectErased;
use types::{JsonDocument, ListId, StreamId, SubjectId, TenantId, Timestamp, UserId};

use super::preferences::last_of_each;
use super::profiles::ProfilePlan;
use super::{Decided, WriteModel};
use crate::command::{Refusal, Removed, UserUpsert};

/// Who is to join what, gathered over all the people of one command.
#[derive(Default)]
struct Joining {
    lists: BTreeMap<ListId, BTreeMap<SubjectId, Option<JsonDocument>>>,
    tenants: BTreeMap<TenantId, BTreeMap<SubjectId, Change<JsonDocument>>>,
    tenants_of: HashMap<SubjectId, BTreeSet<TenantId>>,
    lists_of: HashMap<SubjectId, BTreeSet<ListId>>,
}

impl WriteModel {
    /// Writes everybody about whom nothing is refused; says who was not written, and why.
    pub(super) fn upsert_users(
        &mut self,
        users: Vec<UserUpsert>,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut joining = Joining::default();
        for (place, user) in users.into_iter().enumerate() {
            if let Err(refusal) = self.upsert_user(user, now, &mut joining, decided) {
                refused.push((place, refusal));
            }
        }
        // Those who join the same list or tenant stand in one event.
        for (list, people) in joining.lists {
            self.ensure(&list, decided);
            let merge = |preferences| ListMemberCommand::Merge { preferences };
            let commands = people.into_iter().map(|(who, it)| (who, merge(it)));
            self.members(&list, commands.collect(), decided);
        }
        for (tenant, people) in joining.tenants {
            let put = |profile| TenantMemberCommand::Put { profile };
            let commands = people.into_iter().map(|(who, it)| (who, put(it)));
            self.tenant_members(&tenant, commands.collect(), decided);
        }
        refused
    }

    fn upsert_user(
        &mut self,
        user: UserUpsert,
        now: Timestamp,
        joining: &mut Joining,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let known = self.known(&user.user_id);
        // Whatever can be refused comes first, so that a person is written as a whole or not at all.
        self.room_for(usize::from(known.is_none()))?;
        let has_profile = known.is_some_and(|it| self.profile_state(it) != ProfileState::Absent);
        let profile = user.profile.map(if has_profile {
            ProfileCommand::Merge
        } else {
            ProfileCommand::Replace
        });
        let profile = profile
            .map(|command| self.plan_profile(known, command))
            .transpose()?;
        if !user.tenants.is_empty() {
            // What the person joins by an earlier row is not among the memberships so far.
            let earlier = known.and_then(|subject| joining.tenants_of.get(&subject));
            let earlier = earlier.into_iter().flatten();
            let tenants = user.tenants.iter().map(|(tenant, _)| tenant);
            self.check_tenant_count(known, tenants.chain(earlier))?;
        }
        if !user.lists.is_empty() {
            let earlier = known.and_then(|subject| joining.lists_of.get(&subject));
            let lists = user.lists.iter().map(|(list, _)| list);
            self.check_list_count(known, lists.chain(earlier.into_iter().flatten()))?;
        }
        let mut choices = self.choices_plan(known);
        for (place, key, request) in last_of_each(user.choices) {
            let planned = if user.restore {
                self.plan_restored_choice(&key, request, &mut choices)
            } else {
                self.plan_choice(&key, request, &mut choices)
            };
            planned.map_err(|refusal| Refusal::Choice { place, refusal })?;
        }
        let tokens = self.plan_tokens(known, user.tokens, now)?;

        // Who was not known and says nothing in the older form stays unknown.
        let changes = |preferences: &JsonDocument| known.is_some() || !preferences.is_empty();
        let writes = profile.as_ref().is_some_and(ProfilePlan::writes)
            || choices.writes()
            || tokens.writes()
            || user.recipient_preferences.as_ref().is_some_and(changes)
            || user.quiet_hours.is_some()
            || !(user.lists.is_empty() && user.tenants.is_empty());
        if !writes {
            return Ok(());
        }
        let subject = self.register(&user.user_id, decided);
        if let Some(profile) = profile {
            self.carry_out_profile(subject, profile, decided);
        }
        self.carry_out_choices(subject, choices, decided);
        self.carry_out_tokens(subject, tokens, decided);
        if user.recipient_preferences.is_some() {
            self.recipient_preferences(&user.user_id, user.recipient_preferences, decided)?;
        }
        if user.quiet_hours.is_some() {
            self.quiet_hours(&user.user_id, user.quiet_hours, decided)?;
        }
        for (list, preferences) in user.lists {
            let lists = joining.lists_of.entry(subject).or_default();
            lists.insert(list.clone());
            let people = joining.lists.entry(list).or_default();
            let held = people.entry(subject).or_default();
            *held = preferences.or(held.take());
        }
        for (tenant, profile) in user.tenants {
            let tenants = joining.tenants_of.entry(subject).or_default();
            tenants.insert(tenant.clone());
            let people = joining.tenants.entry(tenant).or_default();
            let held = people.entry(subject).or_default();
            if profile != Change::Keep {
                *held = profile;
            }
        }
        Ok(())
    }

    /// Removes everything that is known about a person; [`WriteModel::finish_erasure`] says that their
    /// key goes with it.
    pub(super) fn erase_user(
        &mut self,
        user_id: &UserId,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Result<Removed, Refusal> {
        let subject = self.known(user_id).ok_or(Refusal::UserNotFound)?;
        let removed = self.delete_user(user_id, now, decided);
        self.group.subjects.insert(user_id.clone(), None);
        self.group.erasing = Some(subject);
        Ok(removed)
    }

    /// The last event of an erasure, if one was decided. Nothing of the same group may come after it: the
    /// group's values were sealed before the keys end.
    pub(crate) fn finish_erasure(&mut self, decided: &mut Vec<Decided>) -> Option<SubjectId> {
        let subject = self.group.erasing.take()?;
        let stream = StreamId::Subject(subject);
        self.record(stream, vec![subject], SubjectErased {}.into(), decided);
        Some(subject)
    }

    /// Removes everything that is known about a person; says what there was.
    pub(super) fn delete_user(
        &mut self,
        user_id: &UserId,
        now: Timestamp,
        decided: &mut Vec<Decided>,
    ) -> Removed {
        let Some(subject) = self.known(user_id) else {
            return Removed::default();
        };
        let audiences = self.committed.audiences.of_subject(subject);
        // The profile goes first, and the person leaves every audience with it. Otherwise whoever leaves
        // a list or a tenant would join the audiences of those who are not in it, on the way out.
        let _ = self.profile(user_id, ProfileCommand::Delete, decided);
        let profile = !decided.is_empty();
        let lists = self.leave_every_list(subject, decided);
        let tenants = self.tenants_of(subject);
        for tenant in &tenants {
            self.leave_tenant(subject, tenant, decided);
        }
        let tokens = self.remove_every_token(subject, now, decided);
        let choices = self.clear_every_choice(subject, decided);
        let so_far = decided.len();
        // None of these is refused of somebody who is known.
        let _ = self.recipient_preferences(user_id, None, decided);
        let recipient_preferences = decided.len() > so_far;
        let so_far = decided.len();
        let _ = self.quiet_hours(user_id, None, decided);
        let quiet_hours = decided.len() > so_far;
        let tracked_events = self.forget_tracked(subject, decided);
        let inbox = self.empty_inbox(subject, decided);
        Removed {
            profile,
            tokens,
            lists,
            audiences,
            tenants,
            choices,
            recipient_preferences,
            quiet_hours,
            tracked_events,
            inbox,
        }
    }
}
