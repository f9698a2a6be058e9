use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use domain::limits::{AUDIENCE_LEVELS_MAX, EVENT_SUBJECTS_MAX};
use domain::{
    Audience, AudienceCommand, AudiencePut, AudienceState, Change, Decider, List, ListCommand,
    ListMember, ListMemberCommand, ListMemberState, ListRefusal, ListState, Profile,
    ProfileCommand, ProfileState,
};
use events::{
    ClockAdvanced, Event, KeyEvent, ListEvent, ListMemberAdded, ListMemberEvent, ListMembersAdded,
    ListMembersRemoved, Personal, SubjectRegistered,
};
use projections::{ListStatus, ReadModels};
use types::filter::{Group as Rule, RuleLimits};
use types::{
    AudienceId, JsonDocument, ListId, StreamId, StreamVersion, SubjectId, Timestamp, UserId,
};

use crate::command::{Command, KeyToIssue, Refusal, SubscribeMode, Subscriber};
use crate::stream_versions::StreamVersions;

/// What decisions are made against: the committed state, as the read models hold it, and over it
/// what the current group has decided. Nothing is kept twice, and a command sees those before it in
/// its group although nobody else does yet.
pub(crate) struct WriteModel {
    committed: Arc<ReadModels>,
    versions: StreamVersions,
    group: Group,
}

/// Decided and not yet durable.
#[derive(Default)]
struct Group {
    subjects: HashMap<UserId, SubjectId>,
    profiles: HashMap<SubjectId, ProfileState>,
    lists: HashMap<ListId, GroupList>,
    audiences: HashMap<AudienceId, AudienceState>,
    clock_looked_at: bool,
    versions: HashMap<StreamId, StreamVersion>,
}

struct GroupList {
    state: ListState,
    /// The list was created in this group: its committed subscribers are history.
    fresh: bool,
    members: BTreeMap<SubjectId, ListMemberState>,
}

/// An event as decided, before it gets time, ids and position.
pub(crate) struct Decided {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    pub(crate) subjects: Vec<SubjectId>,
    pub(crate) event: Event,
    /// The profile as this event leaves it, if it is about one.
    pub(crate) document: Option<JsonDocument>,
}

impl WriteModel {
    pub(crate) fn new(committed: Arc<ReadModels>, versions: StreamVersions) -> Self {
        Self {
            committed,
            versions,
            group: Group::default(),
        }
    }

    /// Decides and, when the command is accepted, evolves: the next command of the group sees it.
    /// On a refusal nothing has changed.
    pub(crate) fn handle(&mut self, command: Command) -> Result<Vec<Decided>, Refusal> {
        let mut decided = Vec::new();
        match command {
            Command::Profile { user_id, command } => {
                self.profile(&user_id, command, &mut decided)?;
            }
            Command::List { list, command } => self.list(&list, command, &mut decided)?,
            Command::Subscribe {
                list,
                subscribers,
                mode,
            } => {
                self.subscribe(&list, subscribers, mode, &mut decided)?;
            }
            Command::Unsubscribe { list, user_id } => {
                if !matches!(self.list_state(&list), ListState::Live { .. }) {
                    return Err(ListRefusal::NotFound.into());
                }
                if let Some(subject) = self.known(&user_id) {
                    let command = ListMemberCommand::Remove;
                    self.members(&list, vec![(subject, command)], &mut decided);
                }
            }
            Command::SubscribeToLists { user_id, lists } => {
                if lists.is_empty() {
                    return Ok(decided);
                }
                self.room_for(1)?;
                let subject = self.register(&user_id, &mut decided);
                for (list, preferences) in lists {
                    self.ensure(&list, &mut decided);
                    let command = ListMemberCommand::Merge { preferences };
                    self.members(&list, vec![(subject, command)], &mut decided);
                }
            }
            Command::LeaveEveryList { user_id } => {
                if let Some(subject) = self.known(&user_id) {
                    for list in self.lists_of(subject) {
                        let command = ListMemberCommand::Remove;
                        self.members(&list, vec![(subject, command)], &mut decided);
                    }
                }
            }
            Command::Audience { audience, command } => {
                self.audience(&audience, command, &mut decided)?;
            }
            Command::AdvanceClock => {}
            Command::IssueKey(KeyToIssue { id, issued }) => {
                let event = Event::Key(KeyEvent::Issued(issued));
                self.record(StreamId::Key(id), vec![], event, &mut decided);
            }
        }
        Ok(decided)
    }

    /// The event to write before anything else that happens now: that time has moved somebody over the
    /// edge of a window. Without it the next event would, whatever that is about.
    pub(crate) fn advance_clock(&mut self, now: Timestamp) -> Vec<Decided> {
        let mut decided = Vec::new();
        let audiences = &self.committed.audiences;
        // Once for a group: in the time that it takes to decide the rest hardly anybody crosses, and
        // whoever does does so by the next event.
        if self.group.clock_looked_at {
            return decided;
        }
        self.group.clock_looked_at = true;
        let may_change = audiences.next_crossing().is_some_and(|next| next <= now);
        if may_change && audiences.window_changes_by(now) {
            self.record(
                StreamId::Clock,
                vec![],
                ClockAdvanced {}.into(),
                &mut decided,
            );
        }
        decided
    }

    /// The group is durable and the read models show it.
    pub(crate) fn committed(&mut self) {
        for (stream, version) in std::mem::take(&mut self.group).versions {
            self.versions.set(&stream, version);
        }
    }

    fn profile(
        &mut self,
        user_id: &UserId,
        command: ProfileCommand,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let known = self.known(user_id);
        let state = known.map_or(ProfileState::Absent, |subject| self.profile_state(subject));
        let (events, after) = Profile::decide_and_evolve(state, command)?;
        if events.is_empty() {
            return Ok(());
        }
        self.room_for(1)?;
        let subject = self.register(user_id, decided);
        for event in events {
            self.record(
                StreamId::Profile(subject),
                vec![subject],
                event.into(),
                decided,
            );
            if let (ProfileState::Present(document), Some(last)) = (&after, decided.last_mut()) {
                last.document = Some(document.clone());
            }
        }
        self.group.profiles.insert(subject, after);
        Ok(())
    }

    fn list(
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

    fn audience(
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

    fn audience_state(&self, audience: &AudienceId) -> AudienceState {
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

    fn ensure(&mut self, list: &ListId, decided: &mut Vec<Decided>) {
        let command = ListCommand::Ensure {
            name: list.as_str().to_owned(),
        };
        // The only refusal of lists is about deleting or restoring what is not there.
        let _ = self.list(list, command, decided);
    }

    fn subscribe(
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
            let named: std::collections::HashSet<SubjectId> =
                commands.iter().map(|(subject, _)| *subject).collect();
            let leaving = self
                .subscribers(list)
                .into_iter()
                .filter(|who| !named.contains(who));
            commands.extend(leaving.map(|subject| (subject, ListMemberCommand::Remove)));
        }
        self.members(list, commands, decided);
        Ok(())
    }

    /// Decides about every subscription by itself, and writes the outcome compactly.
    fn members(
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
                .filter_map(|(place, (_, preferences))| Some((place, preferences.take()?)))
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

    fn record(
        &mut self,
        stream: StreamId,
        subjects: Vec<SubjectId>,
        event: Event,
        decided: &mut Vec<Decided>,
    ) {
        let current = match self.group.versions.get(&stream) {
            Some(version) => *version,
            None => self.versions.get(&stream),
        };
        let version = StreamVersion(current.0 + 1);
        self.group.versions.insert(stream.clone(), version);
        decided.push(Decided {
            stream,
            version,
            subjects,
            event,
            document: None,
        });
    }

    /// Refuses before anything is decided if that many new people could not get numbers.
    fn room_for(&self, people: usize) -> Result<(), Refusal> {
        let taken = self.next_subject().index();
        match taken.checked_add(people) {
            Some(total) if total < u32::MAX as usize => Ok(()),
            Some(_) | None => Err(Refusal::SubjectsExhausted),
        }
    }

    fn next_subject(&self) -> SubjectId {
        let new = u32::try_from(self.group.subjects.len()).unwrap_or(u32::MAX);
        SubjectId(self.committed.subjects.next().0.saturating_add(new))
    }

    /// The person's number, which a new person gets now.
    fn register(&mut self, user_id: &UserId, decided: &mut Vec<Decided>) -> SubjectId {
        if let Some(subject) = self.known(user_id) {
            return subject;
        }
        let subject = self.next_subject();
        self.group.subjects.insert(user_id.clone(), subject);
        let event = SubjectRegistered {
            user_id: Personal(user_id.clone()),
        };
        self.record(
            StreamId::Subject(subject),
            vec![subject],
            event.into(),
            decided,
        );
        subject
    }

    fn known(&self, user_id: &UserId) -> Option<SubjectId> {
        let new = self.group.subjects.get(user_id).copied();
        new.or_else(|| self.committed.subjects.number(user_id.as_str()))
    }

    fn profile_state(&self, subject: SubjectId) -> ProfileState {
        match self.group.profiles.get(&subject) {
            Some(state) => state.clone(),
            None => match self.committed.profiles.document(subject) {
                Some(document) => ProfileState::Present(document),
                None => ProfileState::Absent,
            },
        }
    }

    fn list_state(&self, list: &ListId) -> ListState {
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

    fn member_state(&self, list: &ListId, subject: SubjectId) -> ListMemberState {
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

    fn subscribers(&self, list: &ListId) -> Vec<SubjectId> {
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

    fn lists_of(&self, subject: SubjectId) -> Vec<ListId> {
        let mut lists = self.committed.lists.of_subject(subject);
        lists.extend(self.group.lists.keys().cloned());
        lists.sort_unstable();
        lists.dedup();
        lists
    }
}
