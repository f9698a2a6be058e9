use std::collections::{BTreeMap, BTreeSet};

use domain::limits::TENANT_LEVELS_LOADED;
use projections::{ReadModels, UserFilter};
use serde_json::{Value, json};
use types::{
    BrandId, DeviceToken, JsonDocument, ListId, MessageId, PageLimit, PreferenceStatus, SectionId,
    SubjectId, TenantId, Timestamp, TopicId, UserId,
};

pub(crate) const PEOPLE: usize = 5;
pub(crate) const TENANTS: usize = 4;
pub(crate) const TOPICS: usize = 3;
pub(crate) const SECTIONS: usize = 2;
pub(crate) const BRANDS: usize = 2;
pub(crate) const TOKENS: usize = 3;
pub(crate) const LISTS: usize = 2;
pub(crate) const MESSAGES: usize = 6;

macro_rules! ids {
    ($($name:ident: $id:ident = $prefix:literal,)+) => {
        $(pub(crate) fn $name(number: usize) -> $id {
            $id::parse(&format!("{}{number}", $prefix)).unwrap()
        })+
    };
}
ids! {
    user_id: UserId = "person ",
    tenant_id: TenantId = "t",
    topic_id: TopicId = "topic ",
    section_id: SectionId = "s",
    brand_id: BrandId = "b",
    token_id: DeviceToken = "token ",
    list_id: ListId = "list",
    message_id: MessageId = "message ",
    job_id: MessageId = "job ",
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenant {
    pub(crate) name: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) brand: Option<usize>,
    pub(crate) defaults: BTreeMap<usize, PreferenceStatus>,
}

/// Who chose, in which tenant, about what.
pub(crate) type Chosen = (usize, Option<usize>, usize);

/// What is so, in the plainest form.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) profiles: BTreeMap<usize, u64>,
    /// Live lists only: none is deleted here.
    pub(crate) lists: BTreeSet<(usize, usize)>,
    pub(crate) tenants: BTreeMap<usize, Tenant>,
    /// With the role that the membership's profile says.
    pub(crate) memberships: BTreeMap<(usize, usize), Option<u64>>,
    pub(crate) sections: BTreeSet<usize>,
    /// In which section, and what holds by default.
    pub(crate) topics: BTreeMap<usize, (usize, PreferenceStatus)>,
    pub(crate) brands: BTreeMap<usize, u64>,
    pub(crate) page_brand: Option<usize>,
    pub(crate) choices: BTreeMap<Chosen, PreferenceStatus>,
    pub(crate) recipients: BTreeMap<usize, Value>,
    /// By person and token: what is known about it, and when it expires.
    pub(crate) tokens: BTreeMap<(usize, usize), (u64, Option<u64>)>,
    /// Of whom anything was ever known since they were erased.
    pub(crate) registered: BTreeSet<usize>,
    /// How often somebody did something.
    pub(crate) tracked: BTreeMap<(usize, usize), u64>,
    /// Whether it is known whom each message is for.
    pub(crate) messages: BTreeMap<usize, bool>,
    /// The messages that are to one person alone, and to whom.
    pub(crate) alone: BTreeMap<usize, usize>,
    /// Those of them of which it is known what became of it.
    pub(crate) done: BTreeSet<usize>,
    /// Whether each bulk job has started, and who is in it.
    pub(crate) jobs: BTreeMap<usize, (bool, BTreeSet<usize>)>,
}

/// What a naive engine says.
pub(crate) type Answer = Result<(), &'static str>;

impl World {
    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.tokens
            .retain(|_, (_, expires_at)| expires_at.is_none_or(|at| at > now.0));
    }

    pub(crate) fn lineage(&self, tenant: usize) -> Vec<usize> {
        let parent = |tenant: &usize| self.tenants.get(tenant)?.parent;
        std::iter::successors(Some(tenant), parent)
            .take(TENANTS + 1)
            .collect()
    }

    pub(crate) fn put_tenant(&mut self, tenant: usize, details: Tenant) -> Answer {
        if let Some(parent) = details.parent
            && self.lineage(parent).contains(&tenant)
        {
            return Err("a cycle");
        }
        self.tenants.insert(tenant, details);
        Ok(())
    }

    pub(crate) fn delete_tenant(&mut self, tenant: usize) -> Answer {
        let members = self.memberships.keys().filter(|it| it.1 == tenant).count();
        if self.tenants.remove(&tenant).is_none() && members == 0 {
            return Err("nothing there");
        }
        self.memberships.retain(|(_, of), _| *of != tenant);
        Ok(())
    }

    fn nearest_default(&self, tenant: usize, topic: usize) -> Option<(usize, PreferenceStatus)> {
        let lineage = self.lineage(tenant).into_iter().take(TENANT_LEVELS_LOADED);
        let mut defaults = lineage.filter_map(|it| {
            let status = self.tenants.get(&it)?.defaults.get(&topic)?;
            Some((it, *status))
        });
        defaults.next()
    }

    pub(crate) fn choose(
        &mut self,
        (who, tenant, topic): Chosen,
        status: PreferenceStatus,
    ) -> Answer {
        let (_, default) = self.topics.get(&topic).ok_or("no topic")?;
        let of_tenant = tenant.and_then(|tenant| self.nearest_default(tenant, topic));
        let required = *default == PreferenceStatus::Required
            || of_tenant.is_some_and(|it| it.1 == PreferenceStatus::Required);
        let status = match (status, required) {
            (PreferenceStatus::OptedOut, true) => return Err("required"),
            (PreferenceStatus::Required, false) => return Err("no choice"),
            (PreferenceStatus::Required, true) => PreferenceStatus::OptedIn,
            (status, _) => status,
        };
        self.choices.insert((who, tenant, topic), status);
        Ok(())
    }

    /// To be called after every step.
    pub(crate) fn note_registered(&mut self) {
        let known: Vec<usize> = (0..PEOPLE).filter(|who| self.is_known(*who)).collect();
        self.registered.extend(known);
    }

    /// Somebody who is erased is told nothing any more, which is the end of what was to them alone.
    pub(crate) fn erase_from_messages(&mut self, who: usize) {
        let to_them = self.alone.extract_if(.., |_, it| *it == who);
        self.done.extend(to_them.map(|(message, _)| message));
        for (_, people) in self.jobs.values_mut() {
            people.remove(&who);
        }
    }

    pub(crate) fn delete_user(&mut self, who: usize) {
        self.profiles.remove(&who);
        self.lists.retain(|(it, _)| *it != who);
        self.memberships.retain(|(it, _), _| *it != who);
        self.choices.retain(|(it, ..), _| *it != who);
        self.tokens.retain(|(it, _), _| *it != who);
        self.recipients.remove(&who);
        self.tracked.retain(|(it, _), _| *it != who);
    }

    fn effective(&self, who: usize, tenant: Option<usize>, topic: usize) -> PreferenceStatus {
        use PreferenceStatus::{OptedOut, Required};
        let (_, of_topic) = self.topics[&topic];
        if of_topic == Required {
            return Required;
        }
        let in_tenant = tenant.and_then(|it| self.choices.get(&(who, Some(it), topic)));
        let own = in_tenant.or_else(|| self.choices.get(&(who, None, topic)));
        let default = tenant.and_then(|it| self.nearest_default(it, topic));
        match (own, default) {
            (Some(OptedOut), Some((_, Required))) => Required,
            (Some(own), _) => *own,
            (None, Some((_, default))) => default,
            (None, None) => of_topic,
        }
    }

    fn is_known(&self, who: usize) -> bool {
        self.profiles.contains_key(&who)
            || self.lists.iter().any(|it| it.0 == who)
            || self.memberships.keys().any(|it| it.0 == who)
            || self.choices.keys().any(|it| it.0 == who)
            || self.tokens.keys().any(|it| it.0 == who)
            || self.recipients.contains_key(&who)
            || self.tracked.keys().any(|it| it.0 == who)
    }

    fn compare_messages(&self, models: &ReadModels, about: &str) {
        for message in 0..MESSAGES {
            let view = models.messages.request(message_id(message).as_str());
            let shown = view.as_ref().map(|it| it.is_resolved);
            assert_eq!(
                shown,
                self.messages.get(&message).copied(),
                "message, {about}"
            );
            let done = view.map_or(0, |it| it.progress.done);
            let expected = u64::from(self.done.contains(&message));
            assert_eq!(done, expected, "settled, {about}");
            let job = models.bulk_jobs.get(&job_id(message));
            let shown = job.map(|it| (it.started_at.is_some(), it.people));
            let expected = self.jobs.get(&message);
            let expected = expected.map(|(started, people)| (*started, people.len() as u64));
            assert_eq!(shown, expected, "bulk job, {about}");
        }
        for who in 0..PEOPLE {
            let subject = models.subjects.number(user_id(who).as_str());
            let tracked = subject
                .map(|it| models.tracked.of_subject(it))
                .unwrap_or_default();
            let shown: Vec<_> = tracked
                .into_iter()
                .map(|(name, it)| (name, it.count))
                .collect();
            let expected = self.tracked.iter().filter(|((it, _), _)| *it == who);
            let expected: Vec<_> = expected
                .map(|((_, event), count)| (event.to_string(), *count))
                .collect();
            assert_eq!(shown, expected, "tracked, {about}");
        }
    }

    pub(crate) fn compare(&self, models: &ReadModels, about: &str) {
        for tenant in 0..TENANTS {
            self.compare_tenant(models, tenant, about);
        }
        let sections: Vec<SectionId> = models
            .topics
            .sections()
            .into_iter()
            .map(|it| it.id)
            .collect();
        let expected: Vec<SectionId> = self.sections.iter().map(|it| section_id(*it)).collect();
        assert_eq!(sections, expected, "sections, {about}");
        for topic in 0..TOPICS {
            let view = models.topics.topic(&topic_id(topic));
            let shown = view.map(|it| (it.section, it.details.default_status));
            let topic = self.topics.get(&topic);
            let expected = topic.map(|(section, status)| (section_id(*section), *status));
            assert_eq!(shown, expected, "topic, {about}");
        }
        for brand in 0..BRANDS {
            let view = models.brands.get(&brand_id(brand));
            let shown = view.map(|it| it.details.name);
            let expected = self.brands.get(&brand).map(u64::to_string);
            assert_eq!(shown, expected, "brand {brand}, {about}");
        }
        let mut known = Vec::new();
        for who in 0..PEOPLE {
            let subject = models.subjects.number(user_id(who).as_str());
            self.compare_person(models, who, subject, about);
            if self.is_known(who) {
                known.push(user_id(who));
            }
        }
        self.compare_messages(models, about);
        let page = models.users(&UserFilter::default(), None, PageLimit::MOST, &|| true);
        let shown: Vec<UserId> = page.items.into_iter().map(|it| it.user_id).collect();
        assert_eq!(shown, known, "everybody, {about}");
        assert_eq!(page.count, known.len() as u64, "{about}");
        let whole = models.export(None, PageLimit::MOST, &|| true);
        assert_eq!(whole.next, None, "{about}");
        let rows: Vec<UserId> = whole.rows.iter().map(|it| it.user_id.clone()).collect();
        assert_eq!(rows, known, "rows, {about}");
        let mut rows = Vec::new();
        let mut place = None;
        loop {
            let page = models.export(place, PageLimit::clamped(7), &|| true);
            rows.extend(page.rows);
            place = page.next;
            if place.is_none() {
                break;
            }
        }
        assert_eq!(rows, whole.rows, "rows page by page, {about}");
    }

    fn compare_tenant(&self, models: &ReadModels, tenant: usize, about: &str) {
        let id = tenant_id(tenant);
        let details = models.tenants.details(&id);
        let shown = details.map(|details| Tenant {
            name: details.name.parse().unwrap(),
            parent: (0..TENANTS).find(|it| details.parent_tenant_id == Some(tenant_id(*it))),
            brand: (0..BRANDS).find(|it| details.brand_id == Some(brand_id(*it))),
            defaults: (0..TOPICS)
                .filter_map(|topic| {
                    let defaults = details.default_preferences.iter();
                    let mut of_topic = defaults.filter(|(id, _)| **id == topic_id(topic));
                    Some((topic, of_topic.next()?.1.status))
                })
                .collect(),
        });
        assert_eq!(shown, self.tenants.get(&tenant).cloned(), "{id}, {about}");
        let members = |tree: bool| -> BTreeSet<usize> {
            let of = self.memberships.keys();
            let within = |it: usize| it == tenant || tree && self.lineage(it).contains(&tenant);
            of.filter(|(_, it)| within(*it)).map(|it| it.0).collect()
        };
        let shown: BTreeSet<SubjectId> = models.tenants.subjects(&id).into_iter().collect();
        let expected = members(false).into_iter();
        let number = |who| models.subjects.number(user_id(who).as_str()).unwrap();
        assert_eq!(shown, expected.map(number).collect(), "{id}, {about}");
        let count = models.tenants.user_count_with_descendants(&id);
        assert_eq!(count, members(true).len() as u64, "below {id}, {about}");
        let below =
            (0..TENANTS).filter_map(|it| self.lineage(it).iter().position(|it| *it == tenant));
        let levels = models.tenants.levels_below(&id);
        assert_eq!(
            levels,
            below.max().unwrap_or_default(),
            "levels below {id}, {about}"
        );
        let known = self.tenants.contains_key(&tenant) || !members(false).is_empty();
        assert_eq!(models.tenants.is_known(&id), known, "{id}, {about}");
    }

    fn compare_person(
        &self,
        models: &ReadModels,
        who: usize,
        subject: Option<SubjectId>,
        about: &str,
    ) {
        let user = subject.and_then(|subject| models.user(subject, None, PageLimit::MOST));
        assert_eq!(user.is_some(), self.is_known(who), "person {who}, {about}");
        for tenant in [None].into_iter().chain((0..TENANTS).map(Some)) {
            let id = tenant.map(tenant_id);
            let levels = TENANT_LEVELS_LOADED;
            let at = Timestamp(u64::MAX);
            let shown = models.effective_preferences(subject, id.as_ref(), levels, at);
            let shown: Vec<_> = shown
                .into_iter()
                .map(|it| (it.topic, it.effective.status))
                .collect();
            let expected = self.topics.keys();
            let expected = expected.map(|it| (topic_id(*it), self.effective(who, tenant, *it)));
            let expected: Vec<_> = expected.collect();
            assert_eq!(shown, expected, "person {who} in {tenant:?}, {about}");
        }
        let Some(user) = user else { return };
        let profile = user.profile.map(|profile| profile.document.to_value());
        let expected = self.profiles.get(&who).map(|value| json!({"n": value}));
        assert_eq!(profile, expected, "person {who}, {about}");
        let shown: Vec<_> = user
            .memberships
            .iter()
            .map(|it| {
                (
                    it.tenant.clone(),
                    it.profile.as_ref().map(JsonDocument::to_value),
                )
            })
            .collect();
        let expected = self.memberships.iter().filter(|(it, _)| it.0 == who);
        let expected: Vec<_> = expected
            .map(|(it, role)| (tenant_id(it.1), role.map(|role| json!({"role": role}))))
            .collect();
        assert_eq!(shown, expected, "memberships of {who}, {about}");
        let shown: Vec<_> = user.lists.iter().map(|it| it.list.id.clone()).collect();
        let expected = self.lists.iter().filter(|it| it.0 == who);
        assert_eq!(
            shown,
            expected.map(|it| list_id(it.1)).collect::<Vec<_>>(),
            "{about}"
        );
        let choices = user.preferences.choices.iter();
        let shown: BTreeMap<_, _> = choices
            .map(|(key, it)| (key.clone(), it.choice.status))
            .collect();
        let expected = self.choices.iter().filter(|(it, _)| it.0 == who);
        let key = |it: &Chosen| (it.1.map(tenant_id), topic_id(it.2));
        let expected: BTreeMap<_, _> = expected.map(|(it, status)| (key(it), *status)).collect();
        assert_eq!(shown, expected, "choices of {who}, {about}");
        let recipient = user
            .preferences
            .recipient
            .as_ref()
            .map(JsonDocument::to_value);
        assert_eq!(recipient, self.recipients.get(&who).cloned(), "{about}");
        let shown: Vec<_> = user
            .tokens
            .iter()
            .map(|it| (it.token.clone(), it.details.expires_at.map(|at| at.0)))
            .collect();
        let expected = self.tokens.iter().filter(|(it, _)| it.0 == who);
        let expected: Vec<_> = expected
            .map(|(it, known)| (token_id(it.1), known.1))
            .collect();
        assert_eq!(shown, expected, "tokens of {who}, {about}");
    }
}
