use std::collections::{BTreeMap, HashSet};

use domain::limits::{EVENT_SUBJECTS_MAX, USER_LISTS_MAX};
use domain::{
    Decider, List, ListCommand, ListMember, ListMemberCommand, ListMemberState, ListRefusal,
    ListState,
};
use events::{
    ListEvent, ListMemberAdded, ListMemberEvent, ListMembersAdded, ListMembersRemoved, OfPerson,
    Personal,
};
use projections::ListStatus;
use types::{JsonDocument, ListId, StreamId, SubjectId, UserId};

use super::{Decided, GroupList, WriteModel};
use crate::command::{Refusal, SubscribeMode, Subscriber};

impl WriteModel {
    pub(super) fn list(
        &mut self,
        list: &ListId,
        command: ListCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let state = self.list_state(list);
        for event in List::decide(&state, command)? {
            let entry = self.group_list(list);
            List::evolve(&mut entry.state, &event);
            if matches!(event, ListEvent::Created(_)) {
                entry.fresh = true;
                entry.members.clear();
            }
            self.record(StreamId::List(list.clone()), vec![], event.into(), decided);
        }
        Ok(())
    }

    pub(super) fn ensure(&mut self, list: &ListId, decided: &mut Vec<Decided>) {
        let command = ListCommand::Ensure {
            name: list.as_str().to_owned(),
        };
        // The only refusal of lists is about deleting or restoring what is not there.
        let _ = self.list(list, command, decided);
    }

    pub(super) fn subscribe(
        &mut self,
        list: &ListId,
        mut subscribers: Vec<Subscriber>,
        mode: SubscribeMode,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        // Those who join together are listed by user id. Who is named twice counts as last named.
        subscribers.reverse();
        subscribers.sort_by(|a, b| a.user_id.cmp(&b.user_id));
        subscribers.dedup_by(|later, kept| later.user_id == kept.user_id);
        self.room_for(subscribers.len())?;
        for subscriber in &subscribers {
            let known = self.known(&subscriber.user_id);
            self.check_list_count(known, std::iter::once(list))?;
        }
        self.ensure(list, decided);
        let mut commands = Vec::with_capacity(subscribers.len());
        for Subscriber {
            user_id,
            preferences,
        } in subscribers
        {
            let subject = self.register(&user_id, decided);
            commands.push((
                subject,
                match mode {
                    SubscribeMode::Add => ListMemberCommand::Add { preferences },
                    SubscribeMode::Put | SubscribeMode::Overwrite => {
                        ListMemberCommand::Put { preferences }
                    }
                },
            ));
        }
        if mode == SubscribeMode::Overwrite {
            let named: HashSet<SubjectId> = commands.iter().map(|(subject, _)| *subject).collect();
            let leaving = self
                .subscribers(list)
                .into_iter()
                .filter(|who| !named.contains(who));
            commands.extend(leaving.map(|subject| (subject, ListMemberCommand::Remove)));
        }
        self.members(list, commands, decided);
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        list: &ListId,
        user_id: &UserId,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if !matches!(self.list_state(list), ListState::Live { .. }) {
            return Err(ListRefusal::NotFound.into());
        }
        if let Some(subject) = self.known(user_id) {
            let command = ListMemberCommand::Remove;
            self.members(list, vec![(subject, command)], decided);
        }
        Ok(())
    }

    pub(super) fn subscribe_to_lists(
        &mut self,
        user_id: &UserId,
        lists: Vec<(ListId, Option<JsonDocument>)>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        if lists.is_empty() {
            return Ok(());
        }
        let known = self.known(user_id);
        self.room_for(usize::from(known.is_none()))?;
        self.check_list_count(known, lists.iter().map(|(list, _)| list))?;
        let subject = self.register(user_id, decided);
        for (list, preferences) in lists {
            self.ensure(&list, decided);
            let command = ListMemberCommand::Merge { preferences };
            self.members(&list, vec![(subject, command)], decided);
        }
        Ok(())
    }

    /// Refuses if the person would be subscribed to too many lists with these.
    pub(super) fn check_list_count<'a>(
        &self,
        subject: Option<SubjectId>,
        joining: impl Iterator<Item = &'a ListId>,
    ) -> Result<(), Refusal> {
        let joining: Vec<&ListId> = joining.collect();
        let held = subject.map_or(0, |it| self.committed.lists.count_of_subject(it));
        // Nearly everybody is far below it, and need not be counted exactly.
        if held + self.group.lists.len() + joining.len() <= USER_LISTS_MAX {
            return Ok(());
        }
        let Some(subject) = subject else {
            return too_many_lists(joining.into_iter().collect::<HashSet<_>>().len());
        };
        let is_held = |list: &ListId| self.member_state(list, subject) != ListMemberState::Absent;
        let held = self
            .lists_of(subject)
            .iter()
            .filter(|it| is_held(it))
            .count();
        let new: HashSet<&ListId> = joining.into_iter().filter(|it| !is_held(it)).collect();
        if new.is_empty() {
            return Ok(());
        }
        too_many_lists(held + new.len())
    }

    /// Ends every subscription, to deleted lists too; says to which there was one.
    pub(super) fn leave_every_list(
        &mut self,
        subject: SubjectId,
        decided: &mut Vec<Decided>,
    ) -> Vec<ListId> {
        let mut lists = self.lists_of(subject);
        lists.retain(|list| self.member_state(list, subject) != ListMemberState::Absent);
        for list in &lists {
            let command = ListMemberCommand::Remove;
            self.members(list, vec![(subject, command)], decided);
        }
        lists
    }

    /// Decides about every subscription by itself, and writes the outcome compactly.
    pub(super) fn members(
        &mut self,
        list: &ListId,
        commands: Vec<(SubjectId, ListMemberCommand)>,
        decided: &mut Vec<Decided>,
    ) {
        let mut added = Vec::new();
        let mut removed = Vec::new();
        for (subject, command) in commands {
            let mut state = self.member_state(list, subject);
            let Ok(events) = ListMember::decide(&state, command);
            for event in events {
                ListMember::evolve(&mut state, &event);
                match event {
                    ListMemberEvent::Added(ListMemberAdded { preferences }) => {
                        added.push((subject, preferences));
                    }
                    ListMemberEvent::Removed(_) => removed.push(subject),
                    ListMemberEvent::Updated(_)
                    | ListMemberEvent::ManyAdded(_)
                    | ListMemberEvent::ManyRemoved(_) => {
                        self.record_member(list, subject, event, decided);
                    }
                }
            }
            self.group_list(list).members.insert(subject, state);
        }
        self.record_removed(list, &removed, decided);
        self.record_added(list, added, decided);
    }

    fn record_added(
        &mut self,
        list: &ListId,
        mut added: Vec<(SubjectId, Option<Personal<JsonDocument>>)>,
        decided: &mut Vec<Decided>,
    ) {
        if added.len() == 1 {
            for (subject, preferences) in added {
                let event = ListMemberEvent::Added(ListMemberAdded { preferences });
                self.record_member(list, subject, event, decided);
            }
            return;
        }
        for chunk in added.chunks_mut(EVENT_SUBJECTS_MAX) {
            let subjects = chunk.iter().map(|(subject, _)| *subject).collect();
            let preferences = (0_u32..)
                .zip(chunk)
                .filter_map(|(place, (_, preferences))| {
                    let value = preferences.take()?;
                    Some(OfPerson { place, value })
                })
                .collect();
            let event = ListMemberEvent::ManyAdded(ListMembersAdded { preferences });
            self.record(
                StreamId::List(list.clone()),
                subjects,
                event.into(),
                decided,
            );
        }
    }

    fn record_removed(&mut self, list: &ListId, removed: &[SubjectId], decided: &mut Vec<Decided>) {
        if let [subject] = removed {
            let event = ListMemberEvent::Removed(events::ListMemberRemoved {});
            self.record_member(list, *subject, event, decided);
            return;
        }
        for chunk in removed.chunks(EVENT_SUBJECTS_MAX) {
            let event = ListMemberEvent::ManyRemoved(ListMembersRemoved {});
            self.record(
                StreamId::List(list.clone()),
                chunk.to_vec(),
                event.into(),
                decided,
            );
        }
    }

    fn record_member(
        &mut self,
        list: &ListId,
        subject: SubjectId,
        event: ListMemberEvent,
        decided: &mut Vec<Decided>,
    ) {
        let stream = StreamId::ListMember(list.clone(), subject);
        self.record(stream, vec![subject], event.into(), decided);
    }

    pub(super) fn list_state(&self, list: &ListId) -> ListState {
        match self.group.lists.get(list) {
            Some(entry) => entry.state.clone(),
            None => self.committed_list_state(list),
        }
    }

    fn committed_list_state(&self, list: &ListId) -> ListState {
        let Some(view) = self.committed.lists.get(list) else {
            return ListState::Absent;
        };
        let (name, preferences) = (view.name, view.preferences);
        match view.status {
            ListStatus::Live => ListState::Live { name, preferences },
            ListStatus::Deleted => ListState::Deleted { name, preferences },
        }
    }

    fn group_list(&mut self, list: &ListId) -> &mut GroupList {
        if !self.group.lists.contains_key(list) {
            let state = self.committed_list_state(list);
            let entry = GroupList {
                state,
                fresh: false,
                members: BTreeMap::new(),
            };
            self.group.lists.insert(list.clone(), entry);
        }
        self.group
            .lists
            .get_mut(list)
            .expect("it was inserted just above if it was missing")
    }

    pub(super) fn member_state(&self, list: &ListId, subject: SubjectId) -> ListMemberState {
        let entry = self.group.lists.get(list);
        if let Some(state) = entry.and_then(|entry| entry.members.get(&subject)) {
            return state.clone();
        }
        if entry.is_some_and(|entry| entry.fresh) {
            return ListMemberState::Absent;
        }
        match self.committed.lists.subscription(list, subject) {
            Some(preferences) => ListMemberState::Subscribed { preferences },
            None => ListMemberState::Absent,
        }
    }

    pub(super) fn subscribers(&self, list: &ListId) -> Vec<SubjectId> {
        let entry = self.group.lists.get(list);
        let mut subscribers = if entry.is_some_and(|entry| entry.fresh) {
            Vec::new()
        } else {
            self.committed.lists.subjects(list)
        };
        if let Some(entry) = entry {
            subscribers.retain(|subject| !entry.members.contains_key(subject));
            let decided = entry.members.iter();
            subscribers.extend(decided.filter_map(|(subject, state)| match state {
                ListMemberState::Subscribed { .. } => Some(*subject),
                ListMemberState::Absent => None,
            }));
        }
        subscribers
    }

    pub(super) fn lists_of(&self, subject: SubjectId) -> Vec<ListId> {
        let mut lists = self.committed.lists.of_subject(subject);
        lists.extend(self.group.lists.keys().cloned());
        lists.sort_unstable();
        lists.dedup();
        lists
    }
}

fn too_many_lists(lists: usize) -> Result<(), Refusal> {
    if lists > USER_LISTS_MAX {
        return Err(Refusal::TooManyLists);
    }
    Ok(())
}
