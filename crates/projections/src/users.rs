use roaring::RoaringBitmap;
use serde_json::{Map, Value};
use types::{
    JsonDocument, ListId, PageLimit, PreferenceStatus, SectionId, SubjectId, TenantId, Timestamp,
    TopicId, UserId,
};

use crate::profiles::PreparedFilters;
use crate::read_models::Frozen;
use crate::topics::TopicInSection;
use crate::{
    AttributeFilter, AudienceOfMember, EffectivePreference, Layers, MembershipView, OlderChoice,
    PeopleWithin, PersonPreferences, ProfileView, ReadModels, SubscriptionView, TokenView,
    effective,
};

/// People taken up in one go while a page is being filled; nothing is locked for longer.
const SCAN_USERS_MAX: usize = 1_024;

/// Everything about one person, all of it at one moment. Of lists, tenants and audiences the first
/// ones by id.
#[derive(Clone, Debug)]
pub struct UserView {
    pub user_id: UserId,
    pub profile: Option<ProfileView>,
    pub tokens: Vec<TokenView>,
    pub lists: Vec<SubscriptionView>,
    pub memberships: Vec<MembershipView>,
    pub audiences: Vec<AudienceOfMember>,
    pub preferences: PersonPreferences,
    pub counts: UserCounts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserCounts {
    pub tokens: usize,
    pub lists: usize,
    pub tenants: usize,
    pub audiences: usize,
    pub preferences: usize,
}

/// Which people to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Only those whose user id, or e-mail address, name or phone number begins so, whatever the case.
    pub prefix: Option<String>,
    pub attributes: Vec<AttributeFilter>,
    /// Only these.
    pub people: Option<PeopleWithin>,
}

#[derive(Clone, Debug, Default)]
pub struct UsersPage {
    /// In the order of the user ids, byte by byte.
    pub items: Vec<UserSummary>,
    pub more: bool,
    /// All that match, on whatever page.
    pub count: u64,
}

#[derive(Clone, Debug)]
pub struct UserSummary {
    pub user_id: UserId,
    pub profile: Option<ProfileView>,
}

/// What holds of one topic for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPreference {
    pub topic: TopicId,
    pub name: String,
    /// The section, if it is there.
    pub section: Option<(SectionId, String)>,
    pub default_status: PreferenceStatus,
    pub effective: EffectivePreference,
}

impl ReadModels {
    /// Whether anything is known about the person besides the user id: a profile, a subscription to a
    /// list that is not deleted, a membership, a token or a choice.
    pub fn is_known(&self, subject: SubjectId) -> bool {
        self.frozen().is_known(subject)
    }

    /// Everything about one person, and of each kind at most as much as asked for; of what belongs to
    /// tenants all, or what belongs to this one and those below it. `None` if nothing is known.
    pub fn user(
        &self,
        subject: SubjectId,
        within: Option<&TenantId>,
        limit: PageLimit,
    ) -> Option<UserView> {
        let now = self.frozen();
        if !now.is_known(subject) {
            return None;
        }
        let user_id = self.subjects.user_id(subject)?;
        Some(now.user(user_id, subject, within, limit))
    }

    /// One page of everybody about whom anything is known. The cost is that of the page without a
    /// filter; with one, everybody is looked at, as long as somebody still wants to know.
    pub fn users(
        &self,
        filter: &UserFilter,
        after: Option<&UserId>,
        limit: PageLimit,
        still_wanted: &dyn Fn() -> bool,
    ) -> UsersPage {
        let mut everybody = self.frozen().everybody();
        if let Some(PeopleWithin(people)) = &filter.people {
            everybody &= people;
        }
        let mut page = UsersPage::default();
        let unfiltered = filter.prefix.is_none() && filter.attributes.is_empty();
        let prefix = filter.prefix.as_ref().map(|prefix| prefix.to_lowercase());
        let attributes = PreparedFilters::new(&filter.attributes);
        let mut bytes = 0;
        let mut scanned = unfiltered.then(|| after.cloned()).flatten();
        while still_wanted() {
            let wanted = |user_id: &UserId, subject: SubjectId| {
                let known = everybody.contains(subject.0);
                known.then(|| (user_id.clone(), subject))
            };
            let at_most = SCAN_USERS_MAX.min(if unfiltered {
                limit.rows() + 1
            } else {
                usize::MAX
            });
            let (candidates, on) = self.subjects.following(scanned.as_ref(), at_most, wanted);
            scanned = on;
            for (user_id, subject) in candidates {
                let profile = self.profiles.view(subject);
                let document = profile.as_ref().map(|profile| &profile.document);
                let begins = |prefix: &String| begins_with(prefix, &user_id, document);
                let passes = prefix.as_ref().is_none_or(begins)
                    && (filter.attributes.is_empty()
                        || document.is_some_and(|document| attributes.accept(document)));
                if !passes {
                    continue;
                }
                page.count += 1;
                if after.is_some_and(|after| user_id <= *after) {
                    continue;
                }
                if page.more || page.items.len() == limit.rows() || bytes > PageLimit::BYTES_MAX {
                    page.more = true;
                } else {
                    bytes += document.map_or(0, |document| document.as_str().len());
                    page.items.push(UserSummary { user_id, profile });
                }
            }
            if scanned.is_none() || unfiltered && page.more {
                break;
            }
        }
        if unfiltered {
            page.count = everybody.len();
        }
        page
    }

    /// The tenant in whose context somebody is reached who is reached without one: the only one of
    /// which the person is a member, of all or of this one and those below it.
    pub fn inferred_tenant(
        &self,
        subject: SubjectId,
        within: Option<&TenantId>,
    ) -> Option<TenantId> {
        let now = self.frozen();
        let is_within =
            |tenant: &&TenantId| within.is_none_or(|root| now.tenants.is_in_tree(tenant, root));
        let mut tenants = now.tenants.of_subject(subject).filter(is_within);
        let only = tenants.next().cloned();
        only.filter(|_| tenants.next().is_none())
    }

    /// What holds of every topic, in the order of their ids, for one person in one context.
    pub fn effective_preferences(
        &self,
        subject: Option<SubjectId>,
        tenant: Option<&TenantId>,
        levels: usize,
        at: Timestamp,
    ) -> Vec<TopicPreference> {
        let now = self.frozen();
        let older = now.older_preferences(subject);
        let topics = now.topics.all();
        topics
            .map(|topic| now.topic_preference(&topic, subject, &older, tenant, levels, at))
            .collect()
    }

    /// As [`ReadModels::effective_preferences`], of one topic; `None` if there is no such topic.
    pub fn effective_preference(
        &self,
        topic: &TopicId,
        subject: Option<SubjectId>,
        tenant: Option<&TenantId>,
        levels: usize,
        at: Timestamp,
    ) -> Option<TopicPreference> {
        let now = self.frozen();
        let topic = now.topics.one(topic)?;
        let older = now.older_preferences(subject);
        Some(now.topic_preference(&topic, subject, &older, tenant, levels, at))
    }
}

fn begins_with(prefix: &str, user_id: &UserId, document: Option<&JsonDocument>) -> bool {
    const NAMED: [&str; 3] = ["email", "name", "phone_number"];
    let begins = |text: &str| text.to_lowercase().starts_with(prefix);
    if begins(user_id.as_str()) {
        return true;
    }
    let members = document.map(|document| document.members(|key| NAMED.contains(&key)));
    let mut values = members.iter().flat_map(Map::values);
    values.any(|value| value.as_str().is_some_and(begins))
}

impl Frozen<'_> {
    pub(crate) fn is_known(&self, subject: SubjectId) -> bool {
        self.profiles.document(subject).is_some()
            || self.lists.of_subject_live(subject).next().is_some()
            || self.tenants.of_subject(subject).next().is_some()
            || self.tokens.has_any(subject)
            || self.preferences.person(subject).is_some()
            || self.tracked.knows(subject)
            || self.inboxes.knows(subject)
    }

    fn everybody(&self) -> RoaringBitmap {
        let mut everybody = self.tokens.everybody();
        everybody |= self.audiences.population();
        everybody |= self.lists.everybody();
        everybody |= self.tenants.everybody();
        everybody |= self.preferences.everybody();
        everybody |= self.tracked.everybody();
        everybody |= self.inboxes.everybody();
        everybody
    }

    fn user(
        &self,
        user_id: UserId,
        subject: SubjectId,
        within: Option<&TenantId>,
        limit: PageLimit,
    ) -> UserView {
        let sees_list = |list: &ListId| {
            within.is_none_or(|root| self.tenants.are_lists_in_tree(list.as_str(), root))
        };
        let sees_tenant =
            |tenant: &TenantId| within.is_none_or(|root| self.tenants.is_in_tree(tenant, root));
        let tokens = self.tokens.of_subject(subject);
        let (lists, _) = self.lists.subscriptions(subject, &sees_list, None, limit);
        let (memberships, _) = self.tenants.memberships(subject, within, None, limit);
        let preferences = self.preferences.person(subject).cloned();
        let mut preferences = preferences.unwrap_or_default();
        preferences
            .choices
            .retain(|(context, _), _| context.as_ref().is_none_or(sees_tenant));
        // Audiences belong to no tenant.
        let (audiences, audience_count) = if within.is_none() {
            let (audiences, _) = self.audiences_of(subject, None, limit);
            let count = self.audiences.numbers_holding(subject, None).count();
            (audiences, count)
        } else {
            (Vec::new(), 0)
        };
        let lists_seen = self.lists.of_subject_live(subject);
        let tenants_seen = self.tenants.of_subject(subject);
        UserView {
            user_id,
            profile: self.profiles.view(subject),
            counts: UserCounts {
                tokens: tokens.len(),
                lists: lists_seen.filter(|list| sees_list(list)).count(),
                tenants: tenants_seen.filter(|tenant| sees_tenant(tenant)).count(),
                audiences: audience_count,
                preferences: preferences.choices.len(),
            },
            tokens,
            lists,
            memberships,
            audiences,
            preferences,
        }
    }

    /// What the person chose in the older form; `null` if nothing.
    fn older_preferences(&self, subject: Option<SubjectId>) -> Value {
        let person = subject.and_then(|subject| self.preferences.person(subject));
        let recipient = person.and_then(|person| person.recipient.as_ref());
        recipient.map_or(Value::Null, JsonDocument::to_value)
    }

    fn topic_preference(
        &self,
        topic: &TopicInSection<'_>,
        subject: Option<SubjectId>,
        older: &Value,
        tenant: Option<&TenantId>,
        levels: usize,
        at: Timestamp,
    ) -> TopicPreference {
        let person = subject.and_then(|subject| self.preferences.person(subject));
        let choice = |tenant| person.and_then(|person| person.choice(topic.id, tenant));
        let older = OlderChoice::of(older, topic.id);
        let chain = tenant.map(|tenant| self.tenants.chain(tenant, levels));
        let defaults = chain
            .into_iter()
            .flatten()
            .filter_map(|(id, details)| Some((id, details.default_preferences.get(topic.id)?)));
        let layers = Layers {
            in_tenant: tenant.and_then(|tenant| choice(Some(tenant))),
            everywhere: choice(None),
            older: older.as_ref(),
            tenant_defaults: defaults.collect(),
            topic: topic.details,
            schedules: topic.schedules,
            section: topic.section.map(|(_, details)| details),
        };
        let section = topic.section;
        TopicPreference {
            topic: topic.id.clone(),
            name: topic.details.name.clone(),
            section: section.map(|(id, details)| (id.clone(), details.name.clone())),
            default_status: topic.details.default_status,
            effective: effective(&layers, at),
        }
    }
}
