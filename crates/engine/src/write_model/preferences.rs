use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::limits::{PREFERENCES_BYTES_MAX, PROFILE_LEVELS_MAX, USER_CHOICES_MAX};
use domain::{
    Change, ChoiceRequest, ChosenTopic, Decider, Preference, PreferenceCommand, PreferenceRefusal,
    RECIPIENT_PREFERENCES, TopicRules, TopicState, change_quiet_hours,
    replace_recipient_preferences,
};
use events::{PersonalChoice, PreferenceEvent, TopicDetails};
use projections::schedules_in_use;
use types::{
    Choice, JsonDocument, PreferenceStatus, QuietHours, StreamId, SubjectId, TenantId, TopicId,
    UserId, depth_within,
};

use super::{ChoiceKey, Decided, WriteModel};
use crate::command::{Choices, ChoicesOutcome, Outcome, Refusal};

/// What was decided about the choices of one person.
pub(super) struct ChoicesPlan {
    subject: Option<SubjectId>,
    events: Vec<PreferenceEvent>,
    /// The choices as the events leave them.
    after: HashMap<ChoiceKey, Option<PersonalChoice>>,
    /// How many choices there are then.
    count: usize,
}

impl ChoicesPlan {
    pub(super) fn writes(&self) -> bool {
        !self.events.is_empty()
    }

    /// Holds these events too; says what they leave.
    fn take(
        &mut self,
        key: &ChoiceKey,
        before: Option<PersonalChoice>,
        events: Vec<PreferenceEvent>,
    ) -> Option<PersonalChoice> {
        let mut state = before;
        for event in events {
            self.count -= usize::from(state.is_some());
            Preference::evolve(&mut state, &event);
            self.count += usize::from(state.is_some());
            self.events.push(event);
            self.after.insert(key.clone(), state.clone());
        }
        state
    }
}

impl WriteModel {
    pub(super) fn choose(
        &mut self,
        user_id: &UserId,
        tenant: Option<&TenantId>,
        choices: Choices,
        decided: &mut Vec<Decided>,
    ) -> Result<Outcome, Refusal> {
        let known = self.known(user_id);
        self.room_for(usize::from(known.is_none()))?;
        let mut plan = self.choices_plan(known);
        let mut outcome = ChoicesOutcome::default();
        match choices {
            Choices::Set(topic, request) => {
                self.plan_choice(&(tenant.cloned(), topic), request, &mut plan)?;
            }
            Choices::Clear(topic) => {
                if self.topic_state(&topic) == TopicState::Absent {
                    return Err(PreferenceRefusal::UnknownTopic.into());
                }
                self.plan_clearing(&(tenant.cloned(), topic), &mut plan);
            }
            Choices::SetMany(requests) => {
                self.plan_many(tenant, requests, &mut plan, &mut outcome);
            }
            Choices::ReplaceAll(wanted) => {
                let named: BTreeSet<TopicId> = wanted.iter().map(|it| it.0.clone()).collect();
                for (context, topic) in self.choices_of(known) {
                    if context.as_ref() == tenant && !named.contains(&topic) {
                        outcome.cleared.push(topic.clone());
                        self.plan_clearing(&(context, topic), &mut plan);
                    }
                }
                for (place, topic, request) in last_of_each(wanted) {
                    let key = (tenant.cloned(), topic.clone());
                    let stored = self.plan_choice(&key, request, &mut plan);
                    let stored = stored.map_err(|refusal| Refusal::Choice { place, refusal })?;
                    outcome.stored.push((topic, stored));
                }
            }
        }
        if !plan.events.is_empty() {
            let subject = self.register(user_id, decided);
            self.carry_out_choices(subject, plan, decided);
        }
        Ok(Outcome::Choices(outcome))
    }

    /// A plan in which nothing is decided yet.
    pub(super) fn choices_plan(&self, subject: Option<SubjectId>) -> ChoicesPlan {
        let count = subject.map_or(0, |subject| {
            let decided = self.group.choice_counts.get(&subject).copied();
            decided.unwrap_or_else(|| self.committed.preferences.choice_count(subject))
        });
        ChoicesPlan {
            subject,
            events: Vec::new(),
            after: HashMap::new(),
            count,
        }
    }

    fn plan_many(
        &self,
        tenant: Option<&TenantId>,
        requests: Vec<(TopicId, ChoiceRequest)>,
        plan: &mut ChoicesPlan,
        outcome: &mut ChoicesOutcome,
    ) {
        for (_, topic, request) in last_of_each(requests) {
            let key = (tenant.cloned(), topic.clone());
            match self.plan_choice(&key, request, plan) {
                Ok(stored) => outcome.stored.push((topic, stored)),
                Err(refusal) => outcome.refused.push((topic, refusal)),
            }
        }
    }

    /// Decides on top of what the plan holds already; says what is stored then.
    pub(super) fn plan_choice(
        &self,
        key: &ChoiceKey,
        request: ChoiceRequest,
        plan: &mut ChoicesPlan,
    ) -> Result<Choice, PreferenceRefusal> {
        let (context, topic) = key;
        let asked = match &request.digest_schedule_id {
            Change::Set(schedule) => Some(schedule),
            Change::Keep | Change::Clear => None,
        };
        let look = |details: &TopicDetails, schedules: &[String]| {
            let rules = TopicRules {
                required: details.default_status == PreferenceStatus::Required,
                knows_schedule: asked.is_some_and(|schedule| schedules.contains(schedule)),
            };
            (chosen_topic(key, Some(details)), rules)
        };
        let found = match self.group.topics.get(topic) {
            Some(decided) => decided
                .details()
                .map(|details| look(details, &schedules_in_use(details))),
            None => self
                .committed
                .topics
                .with_topic(topic, |_, details, schedules| look(details, schedules)),
        };
        let Some((chosen, mut rules)) = found else {
            return Err(PreferenceRefusal::UnknownTopic);
        };
        rules.required |= context
            .as_ref()
            .is_some_and(|tenant| self.requires(tenant, topic));
        self.plan_set(key, chosen, rules, request, plan)
    }

    /// Takes over a choice that was made elsewhere, whatever the topic is here.
    pub(super) fn plan_restored_choice(
        &self,
        key: &ChoiceKey,
        request: ChoiceRequest,
        plan: &mut ChoicesPlan,
    ) -> Result<Choice, PreferenceRefusal> {
        let rules = TopicRules {
            required: false,
            knows_schedule: true,
        };
        let chosen = self.topic_as_chosen(key);
        self.plan_set(key, chosen, rules, request, plan)
    }

    fn plan_set(
        &self,
        key: &ChoiceKey,
        topic: ChosenTopic,
        rules: TopicRules,
        request: ChoiceRequest,
        plan: &mut ChoicesPlan,
    ) -> Result<Choice, PreferenceRefusal> {
        let state = self.choice_under(key, plan);
        if state.is_none() && plan.count >= USER_CHOICES_MAX {
            return Err(PreferenceRefusal::TooMany);
        }
        let command = PreferenceCommand::Set {
            topic,
            rules,
            request,
        };
        let events = Preference::decide(&state, command)?;
        let stored = plan.take(key, state, events);
        Ok(stored.expect("setting a choice leaves one").choice)
    }

    fn plan_clearing(&self, key: &ChoiceKey, plan: &mut ChoicesPlan) {
        let state = self.choice_under(key, plan);
        let command = PreferenceCommand::Clear(self.topic_as_chosen(key));
        // Clearing is never refused.
        let events = Preference::decide(&state, command);
        plan.take(key, state, events.unwrap_or_default());
    }

    fn topic_as_chosen(&self, key: &ChoiceKey) -> ChosenTopic {
        if let Some(decided) = self.group.topics.get(&key.1) {
            return chosen_topic(key, decided.details());
        }
        let look = |_: &_, details: &TopicDetails, _: &[_]| chosen_topic(key, Some(details));
        let committed = self.committed.topics.with_topic(&key.1, look);
        committed.unwrap_or_else(|| chosen_topic(key, None))
    }

    pub(super) fn carry_out_choices(
        &mut self,
        subject: SubjectId,
        plan: ChoicesPlan,
        decided: &mut Vec<Decided>,
    ) {
        if !plan.writes() {
            return;
        }
        self.group.choice_counts.insert(subject, plan.count);
        let choices = self.group.choices.entry(subject).or_default();
        choices.extend(plan.after);
        for event in plan.events {
            self.record_preference(subject, event, decided);
        }
    }

    /// Gives up every choice; says which there were.
    pub(super) fn clear_every_choice(
        &mut self,
        subject: SubjectId,
        decided: &mut Vec<Decided>,
    ) -> Vec<ChoiceKey> {
        let choices = self.choices_of(Some(subject));
        let mut plan = self.choices_plan(Some(subject));
        for key in &choices {
            self.plan_clearing(key, &mut plan);
        }
        self.carry_out_choices(subject, plan, decided);
        choices
    }

    pub(super) fn recipient_preferences(
        &mut self,
        user_id: &UserId,
        preferences: Option<JsonDocument>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        // To have said nothing is not to be known.
        let preferences = preferences.filter(|document| !document.is_empty());
        let known = self.known(user_id);
        let stored = known.and_then(|subject| self.stored_recipient_preferences(subject));
        let events = replace_recipient_preferences(stored.as_ref(), preferences.clone());
        if events.is_empty() {
            return Ok(());
        }
        self.room_for(usize::from(known.is_none()))?;
        let subject = self.register(user_id, decided);
        for event in events {
            self.record_preference(subject, event, decided);
        }
        let group = &mut self.group.recipient_preferences;
        group.insert(subject, preferences);
        Ok(())
    }

    pub(super) fn merge_recipient_preferences(
        &mut self,
        user_id: &UserId,
        changes: &JsonDocument,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let known = self.known(user_id);
        let stored = known.and_then(|subject| self.stored_recipient_preferences(subject));
        let merged = match stored {
            Some(stored) => stored.merged(changes),
            None => JsonDocument::from(serde_json::Map::new()).merged(changes),
        };
        if merged.as_str().len() > PREFERENCES_BYTES_MAX {
            return Err(Refusal::PreferencesTooLarge);
        }
        let value = merged.to_value();
        RECIPIENT_PREFERENCES
            .check(&value)
            .map_err(Refusal::InvalidPreferences)?;
        if !depth_within(&value, PROFILE_LEVELS_MAX) {
            return Err(Refusal::PreferencesTooDeep);
        }
        self.recipient_preferences(user_id, Some(merged), decided)
    }

    pub(super) fn quiet_hours(
        &mut self,
        user_id: &UserId,
        quiet_hours: Option<QuietHours>,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Refusal> {
        let known = self.known(user_id);
        let stored = known.and_then(|subject| self.stored_quiet_hours(subject));
        let events = change_quiet_hours(stored.as_ref(), quiet_hours.clone());
        if events.is_empty() {
            return Ok(());
        }
        self.room_for(usize::from(known.is_none()))?;
        let subject = self.register(user_id, decided);
        for event in events {
            self.record_preference(subject, event, decided);
        }
        self.group.quiet_hours.insert(subject, quiet_hours);
        Ok(())
    }

    fn record_preference(
        &mut self,
        subject: SubjectId,
        event: PreferenceEvent,
        decided: &mut Vec<Decided>,
    ) {
        let stream = StreamId::Preference(subject);
        self.record(stream, vec![subject], event.into(), decided);
    }

    pub(super) fn stored_recipient_preferences(&self, subject: SubjectId) -> Option<JsonDocument> {
        match self.group.recipient_preferences.get(&subject) {
            Some(decided) => decided.clone(),
            None => self.committed.preferences.recipient(subject),
        }
    }

    pub(super) fn stored_quiet_hours(&self, subject: SubjectId) -> Option<QuietHours> {
        match self.group.quiet_hours.get(&subject) {
            Some(decided) => decided.clone(),
            None => self.committed.preferences.quiet_hours(subject),
        }
    }

    /// The choice as the plan leaves it.
    fn choice_under(&self, key: &ChoiceKey, plan: &ChoicesPlan) -> Option<PersonalChoice> {
        if let Some(planned) = plan.after.get(key) {
            return planned.clone();
        }
        let subject = plan.subject?;
        let decided = self.group.choices.get(&subject);
        if let Some(decided) = decided.and_then(|choices| choices.get(key)) {
            return decided.clone();
        }
        let (tenant, topic) = key;
        let preferences = &self.committed.preferences;
        preferences.choice(subject, topic, tenant.as_ref())
    }

    /// All choices of a person, in the order of context and topic.
    fn choices_of(&self, subject: Option<SubjectId>) -> Vec<ChoiceKey> {
        let Some(subject) = subject else {
            return Vec::new();
        };
        let committed = self.committed.preferences.choice_keys(subject);
        let mut choices: BTreeMap<ChoiceKey, bool> =
            committed.into_iter().map(|key| (key, true)).collect();
        for (key, state) in self.group.choices.get(&subject).into_iter().flatten() {
            choices.insert(key.clone(), state.is_some());
        }
        choices.retain(|_, is_there| *is_there);
        choices.into_keys().collect()
    }
}

/// What is named last of each, with its place among all.
pub(super) fn last_of_each<K: Ord + Clone, V>(
    named: Vec<(K, V)>,
) -> impl Iterator<Item = (usize, K, V)> {
    let last: BTreeMap<K, usize> = named.iter().map(|it| it.0.clone()).zip(0..).collect();
    let named = named.into_iter().enumerate();
    named.filter_map(move |(place, (key, value))| {
        (last.get(&key) == Some(&place)).then_some((place, key, value))
    })
}

/// The topic as an event about a choice names it; what was chosen about a topic outlives it.
fn chosen_topic(key: &ChoiceKey, details: Option<&TopicDetails>) -> ChosenTopic {
    let (tenant, topic) = key;
    let name = details.map_or(topic.as_str(), |details| &details.name);
    ChosenTopic {
        topic: topic.clone(),
        tenant: tenant.clone(),
        name: name.to_owned(),
        default_status: details.map_or(PreferenceStatus::OptedIn, |it| it.default_status),
    }
}
