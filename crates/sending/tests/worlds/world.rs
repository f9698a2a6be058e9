use std::collections::BTreeMap;

use domain::{
    AudienceCommand, AudiencePut, Change, ChoiceRequest, TemplateCommand, TenantCommand, TopicPut,
};
use engine::{
    Command, Edit, NewMessage, NewTarget, Recipient, SectionDetails, SubscribeMode, Subscriber,
    TenantDetails, TokenDetails, TopicDetails, UserUpsert,
};
use events::{MessageTarget, OfPerson, Personal};
use projections::ReadModels;
use serde_json::{Map, Value, json};
use types::filter::{Group, RuleLimits};
use types::{
    AudienceId, Channel, Choice, DeviceToken, JsonDocument, ListId, Message, MessageId,
    MinuteOfDay, PreferenceStatus, ProviderKey, QuietHours, SectionId, Snooze, SubjectId,
    TemplateId, TemplateKey, TenantId, Timestamp, TokenStatus, TopicId, UserId, Weekday,
};

use crate::random::Random;

pub(crate) const LISTS: [&str; 2] = ["news.a", "news.b"];
pub(crate) const TENANTS: [&str; 3] = ["t0", "t1", "t2"];
pub(crate) const TOPIC: &str = "topic";
pub(crate) const TEMPLATE: &str = "template";
const STATUSES: [PreferenceStatus; 3] = [
    PreferenceStatus::OptedIn,
    PreferenceStatus::OptedOut,
    PreferenceStatus::Required,
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) id: String,
    /// Nothing of somebody without a stored profile.
    pub(crate) profile: Option<Map<String, Value>>,
    pub(crate) lists: Vec<&'static str>,
    pub(crate) tenants: Vec<&'static str>,
    /// By tenant, or everywhere.
    pub(crate) choices: BTreeMap<Option<&'static str>, Chosen>,
    pub(crate) is_quiet: bool,
    pub(crate) has_device: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) status: PreferenceStatus,
    pub(crate) routing: Option<Vec<Channel>>,
    pub(crate) is_snoozed: bool,
}

/// Everything that has a say in what becomes of a message. The second tenant is below the first.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) people: Vec<Person>,
    /// Nothing if there is no such topic.
    pub(crate) topic: Option<PreferenceStatus>,
    pub(crate) tenant_defaults: BTreeMap<&'static str, PreferenceStatus>,
    pub(crate) tenant_emails: Vec<&'static str>,
    /// By tenant, or everybody's: whether it is published.
    pub(crate) templates: BTreeMap<Option<&'static str>, bool>,
}

/// A message, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) to: Vec<To>,
    pub(crate) message: Map<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) enum To {
    Person {
        id: String,
        email: Option<String>,
    },
    List(&'static str),
    Pattern(&'static str),
    Audience,
    Tenant {
        tenant: &'static str,
        children: bool,
        parent: bool,
    },
}

impl World {
    pub(crate) fn any(random: &mut Random) -> Self {
        let people = (0..random.between(2, 8)).map(|number| person(random, number));
        let people = people.collect();
        let some = |random: &mut Random, percent| {
            let tenants = TENANTS.into_iter();
            tenants
                .filter(|_| random.percent(percent))
                .collect::<Vec<_>>()
        };
        let defaults = some(random, 30).into_iter();
        let tenant_defaults = defaults.map(|it| (it, random.pick(&STATUSES))).collect();
        let mut templates = BTreeMap::new();
        for owner in [None, Some("t0"), Some("t1")] {
            if random.percent(40) {
                templates.insert(owner, random.percent(60));
            }
        }
        Self {
            people,
            topic: random.percent(85).then(|| random.pick(&STATUSES)),
            tenant_defaults,
            tenant_emails: some(random, 20),
            templates,
        }
    }

    /// Two people who do not want to be disturbed.
    pub(crate) fn of_quiet_people() -> Self {
        let person = |number: usize| Person {
            id: format!("p{number}"),
            is_quiet: true,
            has_device: true,
            ..Person::default()
        };
        Self {
            people: vec![person(0), person(1)],
            topic: None,
            tenant_defaults: BTreeMap::new(),
            tenant_emails: vec![],
            templates: BTreeMap::new(),
        }
    }

    /// What makes the world so.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands = vec![Command::Section {
            section: SectionId::parse("section").unwrap(),
            edit: Edit::Create(SectionDetails {
                name: String::new(),
                description: None,
                has_custom_routing: false,
                routing_options: vec![],
            }),
        }];
        if let Some(status) = self.topic {
            commands.push(topic(status));
        }
        for tenant in TENANTS {
            let email = json!({"email": format!("{tenant}@example.com")});
            let has_email = self.tenant_emails.contains(&tenant);
            let default = self.tenant_defaults.get(tenant);
            let default = default.map(|status| {
                let choice = Choice {
                    status: *status,
                    routing: None,
                };
                (TopicId::parse(TOPIC).unwrap(), choice)
            });
            commands.push(Command::Tenant {
                tenant: TenantId::parse(tenant).unwrap(),
                command: TenantCommand::Put(TenantDetails {
                    name: tenant.to_owned(),
                    parent_tenant_id: (tenant == "t1").then(|| TenantId::parse("t0").unwrap()),
                    brand_id: None,
                    properties: None,
                    user_profile: has_email.then(|| JsonDocument::from_value(&email)),
                    default_preferences: default.into_iter().collect(),
                }),
            });
        }
        for list in LISTS {
            let subscribers = self.people.iter().filter(|it| it.lists.contains(&list));
            let subscribers = subscribers.map(|it| Subscriber {
                user_id: user_id(&it.id),
                preferences: None,
            });
            commands.push(Command::Subscribe {
                list: ListId::parse(list).unwrap(),
                subscribers: subscribers.collect(),
                mode: SubscribeMode::Add,
            });
        }
        let rule = json!({"filters": [{"operator": "EQ", "path": "plan", "value": "a"}]});
        let rule = Group::parse(&rule, None, RuleLimits::STORED).unwrap();
        commands.push(Command::Audience {
            audience: AudienceId::parse("plan-a").unwrap(),
            command: AudienceCommand::Put(AudiencePut {
                name: Change::Keep,
                description: Change::Keep,
                filter: Change::Set(rule),
                operator: None,
            }),
        });
        let people = self.people.iter().map(Person::upsert);
        commands.push(Command::UpsertUsers(people.collect()));
        for (owner, published) in &self.templates {
            let content = json!({"content": {"title": "T", "body": "Hello {{profile.name}}"}});
            commands.push(Command::Template {
                key: TemplateKey {
                    tenant: owner.map(|it| TenantId::parse(it).unwrap()),
                    id: TemplateId::parse(TEMPLATE).unwrap(),
                },
                command: TemplateCommand::Save {
                    template: JsonDocument::from_value(&content),
                    publish: *published,
                },
            });
        }
        commands
    }

    pub(crate) fn message(&self, random: &mut Random) -> Sent {
        let mut message = Map::new();
        let mut put = |name: &str, value: Value| drop(message.insert(name.to_owned(), value));
        if random.percent(40) {
            put("template", TEMPLATE.into());
        } else {
            let body = random.pick(&["Plain", "Hello {{profile.name}}"]);
            put("content", json!({"title": "T", "body": body}));
        }
        if random.percent(60) {
            put("preferences", json!({"subscription_topic_id": TOPIC}));
        }
        if random.percent(20) {
            put("context", json!({"tenant_id": random.pick(&TENANTS)}));
        }
        let routing = [
            json!({"method": "single", "channels": ["email", "sms"]}),
            json!({"method": "all", "channels": ["email", "sms", "push"]}),
            json!({"method": "single", "channels": ["carrier_pigeon", "inbox"]}),
            json!({"method": "all", "channels": ["carrier_pigeon"]}),
            json!({"method": "all", "channels": ["inbox",
                   {"method": "single", "channels": ["sms", "email"]}]}),
        ];
        if random.percent(60) {
            put("routing", random.pick(&routing));
        }
        let count = random.between(1, 4);
        Sent {
            to: (0..count).map(|place| self.to(random, place)).collect(),
            message,
        }
    }

    fn to(&self, random: &mut Random, place: usize) -> To {
        match random.below(7) {
            0 | 1 => To::Person {
                id: self.people[random.below(self.people.len())].id.clone(),
                email: random.percent(30).then(|| "inline@example.com".to_owned()),
            },
            2 => To::Person {
                id: format!("stranger{place}"),
                email: random.percent(60).then(|| "inline@example.com".to_owned()),
            },
            3 => To::List(random.pick(&LISTS)),
            4 => To::Pattern(random.pick(&["news.*", "none.*"])),
            5 => To::Audience,
            _ => To::Tenant {
                tenant: random.pick(&TENANTS),
                children: random.percent(30),
                parent: random.percent(30),
            },
        }
    }
}

fn person(random: &mut Random, number: usize) -> Person {
    let mut profile = Map::new();
    if random.percent(60) {
        profile.insert("email".to_owned(), format!("p{number}@example.com").into());
    }
    if random.percent(30) {
        profile.insert("phone_number".to_owned(), "+491701234567".into());
    }
    if random.percent(70) {
        profile.insert("name".to_owned(), "Ada".into());
    }
    profile.insert("plan".to_owned(), random.pick(&["a", "b"]).into());
    let mut choices = BTreeMap::new();
    for context in [None, Some("t0"), Some("t1"), Some("t2")] {
        if random.percent(20) {
            let status = random.pick(&STATUSES[..2]);
            let routing = [vec![Channel::Email], vec![Channel::Sms, Channel::Inbox]];
            choices.insert(
                context,
                Chosen {
                    status,
                    routing: random.percent(30).then(|| random.pick(&routing)),
                    is_snoozed: random.percent(25),
                },
            );
        }
    }
    let mut some = |names: &[&'static str], percent| {
        let names = names.iter().copied();
        names
            .filter(|_| random.percent(percent))
            .collect::<Vec<_>>()
    };
    let (lists, tenants) = (some(&LISTS, 40), some(&TENANTS, 25));
    Person {
        id: format!("p{number}"),
        profile: random.percent(85).then_some(profile),
        lists,
        tenants,
        choices,
        is_quiet: random.percent(10),
        has_device: random.percent(25),
    }
}

impl Person {
    fn upsert(&self) -> UserUpsert {
        let always = |days: &[Weekday]| {
            let (from, to) = (MinuteOfDay::parse("00:00"), MinuteOfDay::parse("00:00"));
            QuietHours::new("UTC", days.to_vec(), from.unwrap(), to.unwrap()).unwrap()
        };
        let choices = self.choices.iter().map(|(context, chosen)| {
            let tenant = context.map(|it| TenantId::parse(it).unwrap());
            let snooze = Snooze {
                start: None,
                until: Timestamp(u64::MAX / 2),
            };
            let request = ChoiceRequest {
                status: chosen.status,
                routing: chosen.routing.clone(),
                digest_schedule_id: Change::Keep,
                snoozes: Change::Set(chosen.is_snoozed.then_some(snooze).into_iter().collect()),
            };
            ((tenant, TopicId::parse(TOPIC).unwrap()), request)
        });
        let details = TokenDetails {
            provider_key: ProviderKey::FirebaseFcm,
            status: TokenStatus::Active,
            status_reason: None,
            device: None,
            tracking: None,
            properties: None,
            expires_at: None,
        };
        let token = DeviceToken::parse(&format!("token-{}", self.id)).unwrap();
        UserUpsert {
            user_id: user_id(&self.id),
            profile: self.profile.clone(),
            lists: vec![],
            tenants: self
                .tenants
                .iter()
                .map(|it| (TenantId::parse(it).unwrap(), Change::Keep))
                .collect(),
            choices: choices.collect(),
            recipient_preferences: None,
            quiet_hours: self.is_quiet.then(|| always(Weekday::ALL)),
            tokens: self
                .has_device
                .then_some((token, details))
                .into_iter()
                .collect(),
            // Choices are taken whether the topic is there or not.
            restore: true,
        }
    }
}

fn topic(status: PreferenceStatus) -> Command {
    Command::Topic {
        section: SectionId::parse("section").unwrap(),
        topic: TopicId::parse(TOPIC).unwrap(),
        edit: Edit::Create(TopicPut {
            details: TopicDetails {
                name: "Topic".to_owned(),
                description: None,
                default_status: status,
                allowed_preferences: vec![],
                include_unsubscribe_header: false,
                routing_options: vec![],
                topic_data: Map::new().into(),
                digest: None,
            },
            digest: Change::Keep,
        }),
    }
}

fn user_id(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn given(email: Option<&String>) -> JsonDocument {
    let given = email.map_or_else(|| json!({}), |it| json!({"profile": {"email": it}}));
    JsonDocument::from_value(&given)
}

impl Sent {
    /// To the first of [`World::of_quiet_people`], or to both.
    pub(crate) fn to_quiet_people(both: bool) -> Self {
        let person = |number: usize| To::Person {
            id: format!("p{number}"),
            email: None,
        };
        let content = json!({"content": {"body": "Hello"}});
        Self {
            to: (0..=usize::from(both)).map(person).collect(),
            message: content.as_object().cloned().unwrap_or_default(),
        }
    }

    pub(crate) fn parsed(&self) -> Message {
        Message::parse(&self.message).unwrap()
    }

    pub(crate) fn command(&self, id: MessageId) -> NewMessage {
        let targets = self.to.iter().map(|to| match to {
            To::Person { id, email } => NewTarget::Person(Recipient {
                user_id: user_id(id),
                given: given(email.as_ref()),
                profile: None,
            }),
            To::List(_) | To::Pattern(_) | To::Audience | To::Tenant { .. } => {
                NewTarget::Many(many(to))
            }
        });
        NewMessage {
            id,
            message: self.message.clone().into(),
            targets: targets.collect(),
            delayed_until: None,
            expires_at: None,
            resends: None,
        }
    }

    /// As a dry run asks: everybody who is named once, by number if known.
    pub(crate) fn targets(
        &self,
        models: &ReadModels,
    ) -> (Vec<MessageTarget>, Vec<Option<SubjectId>>) {
        let (mut targets, mut named) = (Vec::new(), Vec::new());
        let mut seen: Vec<&String> = Vec::new();
        for to in &self.to {
            match to {
                To::Person { id, email } => {
                    let held = seen.iter().position(|it| *it == id);
                    let place = u32::try_from(held.unwrap_or(seen.len())).unwrap();
                    if held.is_none() {
                        seen.push(id);
                        named.push(models.subjects.number(id));
                    }
                    let value = Personal::Known(given(email.as_ref()));
                    targets.push(MessageTarget::Person(OfPerson { place, value }));
                }
                To::List(_) | To::Pattern(_) | To::Audience | To::Tenant { .. } => {
                    targets.push(many(to));
                }
            }
        }
        (targets, named)
    }

    /// The person whom a target names.
    pub(crate) fn name_of(&self, target: u32) -> String {
        match self.to.get(target as usize) {
            Some(To::Person { id, .. }) => id.clone(),
            other => panic!("{other:?} is no person"),
        }
    }
}

fn many(to: &To) -> MessageTarget {
    match to {
        To::List(list) => MessageTarget::List {
            list: ListId::parse(list).unwrap(),
            data: None,
            members_of: vec![],
        },
        To::Pattern(pattern) => MessageTarget::ListPattern {
            pattern: (*pattern).to_owned(),
            data: None,
        },
        To::Audience => MessageTarget::Audience {
            audience: AudienceId::parse("plan-a").unwrap(),
            data: None,
            members_of: vec![],
        },
        To::Tenant {
            tenant,
            children,
            parent,
        } => MessageTarget::Tenant {
            tenant: TenantId::parse(tenant).unwrap(),
            data: None,
            include_children: *children,
            include_parent: *parent,
        },
        To::Person { .. } => panic!("a person is no set"),
    }
}
