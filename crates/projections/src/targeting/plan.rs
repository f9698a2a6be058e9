use events::{BrandDetails, MessageTarget, TopicDetails};
use serde_json::{Map, Value, json};
use types::{
    BrandId, Channel, JsonDocument, ListPattern, Message, MessageReason, MessageStatus, Position,
    PreferenceStatus, Routing, RoutingMethod, RoutingStep, SubjectId, TemplateId, TemplateKey,
    TenantId, Timestamp, TopicId, merge_patch,
};

use super::Address;
use super::route::{
    ChannelPlan, Decision, NO_ADDRESS, NOT_CHOSEN, PlannedRoute, PlannedStep, UNKNOWN_CHANNEL,
    channel_named,
};
use crate::preferences::{EffectivePreference, Layers, OlderChoice, effective};
use crate::read_models::Frozen;
use crate::{ReadModels, TemplateVersion};

/// The channels of a message that names none, where its template names none either: the first by which
/// the person can be reached; or that of a recipient that is one on a channel of its own.
const DEFAULT_CHANNELS: [&str; 3] = ["email", "push", "sms"];

/// What was given for one person in the message itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Laid over the stored profile for this message.
    pub profile: Map<String, Value>,
    /// Laid over the data of the message.
    pub data: Map<String, Value>,
    pub locale: Option<String>,
    pub tenant: Option<TenantId>,
    /// Courier's `RecipientPreferences`, instead of those that are stored in the older form.
    pub preferences: Option<Value>,
}

impl Given {
    /// Reads what was written down at acceptance; nothing of what cannot be read.
    pub fn parse(document: &JsonDocument) -> Self {
        let mut members = document.to_object();
        let mut object = |name: &str| match members.remove(name) {
            Some(Value::Object(object)) => object,
            _ => Map::new(),
        };
        let (profile, data) = (object("profile"), object("data"));
        let text = |name: &str| Some(members.get(name)?.as_str()?.to_owned());
        Self {
            profile,
            data,
            locale: text("locale"),
            tenant: text("tenant_id").and_then(|it| TenantId::parse(&it).ok()),
            preferences: members.get("preferences").cloned(),
        }
    }

    /// Whether it says how the person can be reached, in whatever way.
    pub fn has_contact(&self) -> bool {
        Address::is_contact(&self.profile)
    }

    /// The reverse of [`Given::parse`].
    pub fn to_document(&self) -> JsonDocument {
        let mut members = Map::new();
        if !self.profile.is_empty() {
            members.insert("profile".to_owned(), self.profile.clone().into());
        }
        if !self.data.is_empty() {
            members.insert("data".to_owned(), self.data.clone().into());
        }
        if let Some(locale) = &self.locale {
            members.insert("locale".to_owned(), locale.as_str().into());
        }
        if let Some(tenant) = &self.tenant {
            members.insert("tenant_id".to_owned(), tenant.as_str().into());
        }
        if let Some(preferences) = &self.preferences {
            members.insert("preferences".to_owned(), preferences.clone());
        }
        members.into()
    }
}

/// What is to become of a message for one person?
#[derive(Clone, Copy, Debug)]
pub struct PlanQuestion<'a> {
    pub message: &'a Message,
    /// Nothing of somebody who is not known at all.
    pub subject: Option<SubjectId>,
    /// Through which target the person is reached, and in the context of which tenant by that.
    pub target: &'a MessageTarget,
    pub target_tenant: Option<&'a TenantId>,
    pub given: &'a Given,
    /// Levels of a tenant's ancestry that are loaded.
    pub tenant_levels: usize,
    pub at: Timestamp,
}

/// What is to become of a message for one person, with all that it takes to write it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The last event that it rests on.
    pub planned: Position,
    pub tenant: Option<TenantId>,
    /// The tenant as content sees it.
    pub tenant_shown: Option<Value>,
    pub profile: Map<String, Value>,
    pub locale: Option<String>,
    pub brand: Option<(BrandId, BrandDetails)>,
    pub template: Option<TemplateChoice>,
    pub topic: Option<TopicId>,
    /// Whether the person can have no more of it: the topic, if there is one, is not required.
    pub can_unsubscribe: bool,
    pub is_erased: bool,
    pub decision: Decision,
}

/// The version of a template that holds for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateChoice {
    pub key: TemplateKey,
    pub version: u32,
    pub template: JsonDocument,
}

/// Why a message has no template.
enum NoTemplate {
    Unknown,
    Unpublished,
    /// Tenants of the person have one, and it is not known which tenant is meant.
    TenantUnclear,
}

impl ReadModels {
    /// A function of the question and of everything up to the event that the answer names.
    pub fn plan(&self, question: PlanQuestion<'_>) -> Plan {
        let now = self.frozen();
        let planned = self.checkpoint();
        let PlanQuestion {
            message,
            subject,
            target_tenant,
            given,
            tenant_levels,
            ..
        } = question;
        let tenant = given.tenant.clone();
        let tenant = tenant
            .or_else(|| target_tenant.cloned())
            .or_else(|| message.tenant.clone())
            .or_else(|| now.only_tenant(subject));
        let mut plan = now.person(question, tenant, planned);
        plan.is_erased = subject.is_some_and(|it| self.subjects.user_id(it).is_none());
        let template = message.template.as_deref();
        let template = template.map(|id| self.template(&now, id, plan.tenant.as_ref(), subject));
        let (template, no_template) = match template.transpose() {
            Ok(template) => (template, None),
            Err(why) => (None, Some(why)),
        };
        let document = template.as_ref().map(|it| it.template.to_object());
        plan.template = template;
        let brand = message.brand_id.clone();
        let of_tenant = || {
            let tenant = plan.tenant.as_ref()?;
            let mut chain = now.tenants.chain(tenant, tenant_levels);
            chain.find_map(|(_, details)| details.brand_id.clone())
        };
        plan.brand = brand.or_else(of_tenant).and_then(|id| {
            let details = self.brands.get(&id)?.details;
            Some((id, details))
        });
        let of_template = |name: &str| document.as_ref()?.get(name);
        plan.topic = message.topic.clone().or_else(|| {
            let topic = of_template("topic_id")?.as_str()?;
            TopicId::parse(topic).ok()
        });
        let routing = of_template("routing").and_then(|it| Routing::parse(it).ok());
        let routing = message.routing.clone().or(routing);
        plan.decision = now.decide(&mut plan, question, no_template.as_ref(), routing);
        plan
    }

    fn template(
        &self,
        now: &Frozen<'_>,
        id: &str,
        tenant: Option<&TenantId>,
        subject: Option<SubjectId>,
    ) -> Result<TemplateChoice, NoTemplate> {
        let id = TemplateId::parse(id).map_err(|_| NoTemplate::Unknown)?;
        let key = |tenant: Option<&TenantId>| TemplateKey {
            tenant: tenant.cloned(),
            id: id.clone(),
        };
        let mut is_unpublished = false;
        // That of the tenant goes before that of everybody; of a tenant that is not there none is.
        for key in tenant
            .filter(|it| now.tenants.is_known(it))
            .map(|it| key(Some(it)))
            .into_iter()
            .chain([key(None)])
        {
            if let Some(view) = self.templates.get(&key, TemplateVersion::Published) {
                return Ok(TemplateChoice {
                    key,
                    version: view.version,
                    template: view.template,
                });
            }
            is_unpublished |= self.templates.get(&key, TemplateVersion::Latest).is_some();
        }
        if is_unpublished {
            return Err(NoTemplate::Unpublished);
        }
        let mut tenants = subject
            .into_iter()
            .flat_map(|it| now.tenants.of_subject(it));
        let unclear = tenant.is_none()
            && tenants.any(|tenant| {
                let held = self
                    .templates
                    .get(&key(Some(tenant)), TemplateVersion::Published);
                held.is_some()
            });
        Err(if unclear {
            NoTemplate::TenantUnclear
        } else {
            NoTemplate::Unknown
        })
    }
}

fn default_routing(given: &Given) -> Routing {
    const DIRECT: [&str; 4] = ["slack", "ms_teams", "discord", "pagerduty"];
    let names: &[&str] = if given.profile.contains_key("webhook") {
        &["webhook"]
    } else if DIRECT.iter().any(|it| given.profile.contains_key(*it)) {
        &["direct_message"]
    } else {
        &DEFAULT_CHANNELS
    };
    let steps = names
        .iter()
        .map(|name| RoutingStep::Named((*name).to_owned()));
    Routing {
        method: RoutingMethod::Single,
        steps: steps.collect(),
    }
}

fn skip(status: MessageStatus, reason: Option<MessageReason>, because: &str) -> Decision {
    Decision::Skip {
        status,
        reason,
        because: because.to_owned(),
    }
}

fn unsubscribed(because: &str) -> Decision {
    let reason = Some(MessageReason::Unsubscribed);
    skip(MessageStatus::Undeliverable, reason, because)
}

impl Frozen<'_> {
    /// The tenant of somebody who is a member of that and of no other.
    fn only_tenant(&self, subject: Option<SubjectId>) -> Option<TenantId> {
        let mut tenants = self.tenants.of_subject(subject?);
        let only = tenants.next()?.clone();
        tenants.next().is_none().then_some(only)
    }

    /// A plan of which only what concerns the person is known.
    fn person(
        &self,
        question: PlanQuestion<'_>,
        tenant: Option<TenantId>,
        planned: Position,
    ) -> Plan {
        let mut profile = Map::new();
        let mut properties = Map::new();
        let mut lay_over =
            |document: &JsonDocument| merge_patch(&mut profile, document.to_object());
        let mut name = None;
        if let Some(tenant) = &tenant {
            let chain: Vec<_> = self.tenants.chain(tenant, question.tenant_levels).collect();
            for (id, details) in chain.into_iter().rev() {
                details.user_profile.iter().for_each(&mut lay_over);
                if let Some(document) = &details.properties {
                    merge_patch(&mut properties, document.to_object());
                }
                if id == tenant {
                    name = Some(details.name.clone());
                }
            }
        }
        if let Some(subject) = question.subject {
            self.profiles
                .document(subject)
                .iter()
                .for_each(&mut lay_over);
            let membership = tenant
                .as_ref()
                .and_then(|tenant| self.tenants.membership_profile(tenant, subject));
            membership.into_iter().for_each(&mut lay_over);
        }
        merge_patch(&mut profile, question.given.profile.clone());
        let tenant_shown = tenant
            .as_ref()
            .map(|tenant| json!({"id": tenant.as_str(), "name": name, "properties": properties}));
        let of_profile = profile.get("locale").and_then(Value::as_str);
        let locale = question.given.locale.clone();
        Plan {
            planned,
            tenant_shown,
            locale: locale.or_else(|| of_profile.map(str::to_owned)),
            profile,
            tenant,
            brand: None,
            template: None,
            topic: None,
            can_unsubscribe: true,
            is_erased: false,
            decision: unsubscribed(""),
        }
    }

    fn decide(
        &self,
        plan: &mut Plan,
        question: PlanQuestion<'_>,
        no_template: Option<&NoTemplate>,
        routing: Option<Routing>,
    ) -> Decision {
        let PlanQuestion {
            message,
            subject,
            target,
            given,
            at,
            ..
        } = question;
        if plan.is_erased {
            return skip(
                MessageStatus::Undeliverable,
                Some(MessageReason::Failed),
                "erased",
            );
        }
        let is_somebody = subject.is_some_and(|subject| self.is_known(subject))
            || Address::is_contact(&given.profile);
        if !is_somebody {
            let reason = Some(MessageReason::NoChannels);
            return skip(MessageStatus::Unroutable, reason, "nobody");
        }
        match no_template {
            // What is written out needs no template.
            _ if message.content.is_some() => {}
            Some(NoTemplate::Unknown) => return skip(MessageStatus::Unmapped, None, "no_template"),
            Some(NoTemplate::TenantUnclear) => {
                return skip(MessageStatus::Unmapped, None, "tenant_context_not_found");
            }
            Some(NoTemplate::Unpublished) => {
                let reason = Some(MessageReason::Unpublished);
                return skip(MessageStatus::Undeliverable, reason, "template_unpublished");
            }
            None => {}
        }
        let preference = plan
            .topic
            .clone()
            .map(|topic| self.preference(plan, &topic, question));
        let by_list = self.by_list(plan, target, subject, message.template.as_deref());
        if let Some(preference) = &preference {
            let is_required = preference.status == PreferenceStatus::Required;
            plan.can_unsubscribe = !is_required;
            if preference.status == PreferenceStatus::OptedOut {
                return unsubscribed(&format!("opted_out:{}", preference.status_from.name()));
            }
            if preference.snoozed_until.is_some() {
                let reason = Some(MessageReason::Filtered);
                return skip(MessageStatus::Filtered, reason, "snoozed");
            }
            if by_list.is_some() && !is_required {
                return unsubscribed(by_list.unwrap_or_default());
            }
        } else if let Some(because) = by_list {
            return unsubscribed(because);
        }
        let is_urgent = preference
            .as_ref()
            .is_some_and(|it| it.status == PreferenceStatus::Required);
        let person = subject.and_then(|subject| self.preferences.person(subject));
        let quiet = person.and_then(|person| person.quiet_hours.as_ref());
        if let Some(until) = quiet
            .and_then(|quiet| quiet.end_of(at))
            .filter(|_| !is_urgent)
        {
            let because = "quiet_hours".to_owned();
            return Decision::Later { until, because };
        }
        let routing = routing.unwrap_or_else(|| default_routing(given));
        let tokens = subject.map(|subject| self.tokens.of_subject(subject));
        let mut tokens = tokens.unwrap_or_default();
        tokens.retain(|token| token.details.expires_at.is_none_or(|it| it > at));
        let step = |name: &str| {
            let (channel, provider) = channel_named(name);
            let is_used = |channel: Channel| {
                let mut uses = preference.iter().flat_map(|it| &it.channels);
                uses.find(|it| it.channel == channel)
                    .is_none_or(|it| it.used)
            };
            let addresses = channel.map(|it| Address::on(it, &plan.profile, &tokens));
            let addresses = addresses.unwrap_or_default();
            let unusable = match channel {
                Some(channel) if !is_used(channel) => Some(NOT_CHOSEN),
                None | Some(Channel::DirectMessage) => Some(UNKNOWN_CHANNEL),
                Some(_) if addresses.is_empty() => Some(NO_ADDRESS),
                Some(_) => None,
            };
            ChannelPlan {
                name: name.to_owned(),
                channel,
                provider,
                addresses,
                unusable,
            }
        };
        Decision::Route(route(&routing, &step))
    }

    /// What the person wants of the topic. One that is not there has no default of its own, and what
    /// people chose of it holds all the same.
    fn preference(
        &self,
        plan: &Plan,
        topic: &TopicId,
        question: PlanQuestion<'_>,
    ) -> EffectivePreference {
        let stand_in = TopicDetails {
            name: String::new(),
            description: None,
            default_status: PreferenceStatus::OptedIn,
            allowed_preferences: Vec::new(),
            include_unsubscribe_header: false,
            routing_options: Vec::new(),
            topic_data: Map::new().into(),
            digest: None,
        };
        let held = self.topics.one(topic);
        let person = question.subject;
        let person = person.and_then(|subject| self.preferences.person(subject));
        let choice = |tenant| person.and_then(|person| person.choice(topic, tenant));
        let stored = person.and_then(|person| person.recipient.as_ref());
        let stored = || stored.and_then(|stored| OlderChoice::of(&stored.to_value(), topic));
        let given = question.given.preferences.as_ref();
        let older = given.map_or_else(stored, |given| OlderChoice::of(given, topic));
        let tenant = plan.tenant.as_ref();
        let chain = tenant.map(|tenant| self.tenants.chain(tenant, question.tenant_levels));
        let defaults = chain
            .into_iter()
            .flatten()
            .filter_map(|(id, details)| Some((id, details.default_preferences.get(topic)?)));
        let layers = Layers {
            in_tenant: tenant.and_then(|tenant| choice(Some(tenant))),
            everywhere: choice(None),
            older: older.as_ref(),
            tenant_defaults: defaults.collect(),
            topic: held.as_ref().map_or(&stand_in, |it| it.details),
            schedules: held.as_ref().map_or(&[], |it| it.schedules),
            section: held.as_ref().and_then(|it| Some(it.section?.1)),
        };
        effective(&layers, question.at)
    }

    /// Whether what was chosen in the older form speaks against it: with the subscription through which
    /// the person is reached, for the list, or for the template.
    fn by_list(
        &self,
        plan: &Plan,
        target: &MessageTarget,
        subject: Option<SubjectId>,
        template: Option<&str>,
    ) -> Option<&'static str> {
        let names = [plan.topic.as_ref().map(TopicId::as_str), template];
        let topics = names.into_iter().flatten();
        let topics: Vec<TopicId> = topics.filter_map(|it| TopicId::parse(it).ok()).collect();
        let status = |document: &JsonDocument| {
            let value = document.to_value();
            let mut choices = topics.iter().filter_map(|it| OlderChoice::of(&value, it));
            choices.next().map(|it| it.choice.status)
        };
        let list = match target {
            MessageTarget::List { list, .. } => ListPattern::parse(list.as_str()).ok(),
            MessageTarget::ListPattern { pattern, .. } => ListPattern::parse(pattern).ok(),
            MessageTarget::Person(_)
            | MessageTarget::Audience { .. }
            | MessageTarget::Tenant { .. }
            | MessageTarget::Bulk { .. } => None,
        };
        if topics.is_empty() {
            return None;
        }
        if let (Some(pattern), Some(subject)) = (&list, subject) {
            // Who is subscribed to several lists of a pattern is told unless all say no.
            let mut said = None;
            for list in self.lists.live_matching(pattern) {
                let Some((own, of_list)) = self.lists.said_of(list, subject) else {
                    continue;
                };
                let own = own.and_then(status);
                match own.or_else(|| of_list.and_then(status)) {
                    Some(PreferenceStatus::OptedOut) => {
                        said = Some(if own.is_some() {
                            "opted_out:subscription"
                        } else {
                            "opted_out:list"
                        });
                    }
                    Some(PreferenceStatus::OptedIn | PreferenceStatus::Required) | None => {
                        return None;
                    }
                }
            }
            if said.is_some() {
                return said;
            }
        }
        // Without a topic, what was chosen of the notification of that id holds by itself.
        if plan.topic.is_none()
            && let Some(person) = subject.and_then(|it| self.preferences.person(it))
            && let Some(recipient) = &person.recipient
            && status(recipient) == Some(PreferenceStatus::OptedOut)
        {
            return Some("opted_out:recipient_preferences");
        }
        None
    }
}

fn route(routing: &Routing, step: &impl Fn(&str) -> ChannelPlan) -> PlannedRoute {
    let steps = routing.steps.iter().map(|it| match it {
        RoutingStep::Named(name) => PlannedStep::Channel(step(name)),
        RoutingStep::Group(group) => PlannedStep::Group(route(group, step)),
    });
    PlannedRoute {
        method: routing.method,
        steps: steps.collect(),
    }
}
