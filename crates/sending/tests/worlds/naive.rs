//! The same questions, answered as one would by hand.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use types::{Channel, PreferenceStatus};

use crate::world::{Person, Sent, To, World};
use crate::{Outcome, Outcomes};

/// How somebody is reached: in which tenant by the target, and with what given address.
#[derive(Default)]
struct Reached {
    tenant: Option<&'static str>,
    email: Option<String>,
}

pub(crate) fn outcomes(world: &World, sent: &Sent) -> Outcomes {
    let mut reached: BTreeMap<String, Reached> = BTreeMap::new();
    for to in &sent.to {
        for (id, through) in people_of(world, to) {
            reached.entry(id).or_insert(through);
        }
    }
    let outcome = |(id, through): (String, Reached)| {
        let stranger = Person {
            id: id.clone(),
            ..Person::default()
        };
        let person = world.people.iter().find(|it| it.id == id);
        let outcome = decide(world, sent, person.unwrap_or(&stranger), &through);
        (id, outcome)
    };
    reached.into_iter().map(outcome).collect()
}

fn people_of(world: &World, to: &To) -> Vec<(String, Reached)> {
    let those = |is: &dyn Fn(&Person) -> bool, tenant: Option<&'static str>| {
        let people = world.people.iter().filter(|it| is(it));
        let people = people.map(|it| {
            (
                it.id.clone(),
                Reached {
                    tenant,
                    email: None,
                },
            )
        });
        people.collect::<Vec<_>>()
    };
    match to {
        To::Person { id, email } => {
            let email = email.clone();
            vec![(
                id.clone(),
                Reached {
                    tenant: None,
                    email,
                },
            )]
        }
        To::List(list) => those(&|it| it.lists.contains(list), None),
        To::Pattern("news.*") => those(&|it| !it.lists.is_empty(), None),
        To::Pattern(_) => vec![],
        To::Audience => those(
            &|it| it.profile.as_ref().is_some_and(|it| it["plan"] == "a"),
            None,
        ),
        To::Tenant {
            tenant,
            children,
            parent,
        } => {
            let mut tenants = vec![*tenant];
            tenants.extend((*children && *tenant == "t0").then_some("t1"));
            tenants.extend((*parent && *tenant == "t1").then_some("t0"));
            let of = |it: &'static str| those(&|person| person.tenants.contains(&it), Some(it));
            tenants.into_iter().flat_map(of).collect()
        }
    }
}

fn decide(world: &World, sent: &Sent, person: &Person, reached: &Reached) -> Outcome {
    let context = sent.message.get("context");
    let context = context.and_then(|it| it["tenant_id"].as_str());
    let only = match person.tenants[..] {
        [only] => Some(only),
        _ => None,
    };
    let tenant = reached.tenant.or(context).or(only);
    let outcome = |status, reason, because: &str| Outcome {
        status,
        reason,
        because: because.to_owned(),
        tenant: tenant.map(str::to_owned),
        used: vec![],
    };
    let is_somebody = person.profile.is_some()
        || !person.lists.is_empty()
        || !person.tenants.is_empty()
        || !person.choices.is_empty()
        || person.is_quiet
        || person.has_device;
    if !is_somebody && reached.email.is_none() {
        return outcome("UNROUTABLE", Some("NO_CHANNELS"), "nobody");
    }
    if sent.message.contains_key("template") {
        let of = |owner: Option<&str>| {
            let mut templates = world.templates.iter();
            templates
                .find(|(it, _)| **it == owner)
                .map(|(_, published)| *published)
        };
        let of_tenant = tenant.and_then(|it| of(Some(it)));
        let held: Vec<bool> = of_tenant.into_iter().chain(of(None)).collect();
        if !held.contains(&true) {
            let unclear =
                tenant.is_none() && person.tenants.iter().any(|it| of(Some(it)) == Some(true));
            return if !held.is_empty() {
                outcome("UNDELIVERABLE", Some("UNPUBLISHED"), "template_unpublished")
            } else if unclear {
                outcome("UNMAPPED", None, "tenant_context_not_found")
            } else {
                outcome("UNMAPPED", None, "no_template")
            };
        }
    }
    let mut chosen_channels = None;
    let mut is_required = false;
    if sent.message.contains_key("preferences") {
        let lineage = match tenant {
            Some("t1") => vec!["t1", "t0"],
            Some(tenant) => vec![tenant],
            None => vec![],
        };
        let default = lineage.iter().find_map(|it| world.tenant_defaults.get(it));
        let of_topic = world.topic.unwrap_or(PreferenceStatus::OptedIn);
        let in_tenant = tenant.and_then(|it| {
            let mut choices = person.choices.iter();
            choices
                .find(|(context, _)| **context == Some(it))
                .map(|(_, chosen)| chosen)
        });
        let everywhere = person.choices.get(&None);
        let own = [in_tenant, everywhere];
        is_required = of_topic == PreferenceStatus::Required
            || default == Some(&PreferenceStatus::Required)
                && own
                    .iter()
                    .flatten()
                    .next()
                    .is_none_or(|it| it.status == PreferenceStatus::OptedOut);
        let (status, layer) = match (own, default) {
            _ if is_required => (PreferenceStatus::Required, ""),
            ([Some(chosen), _], _) => (chosen.status, "user_in_tenant"),
            ([None, Some(chosen)], _) => (chosen.status, "user"),
            ([None, None], Some(default)) => (*default, "tenant_default"),
            ([None, None], None) => (of_topic, "topic"),
        };
        if status == PreferenceStatus::OptedOut {
            let because = format!("opted_out:{layer}");
            return outcome("UNDELIVERABLE", Some("UNSUBSCRIBED"), &because);
        }
        let insists =
            of_topic == PreferenceStatus::Required || default == Some(&PreferenceStatus::Required);
        if !insists && own.iter().flatten().any(|it| it.is_snoozed) {
            return outcome("FILTERED", Some("FILTERED"), "snoozed");
        }
        chosen_channels = own.iter().flatten().find_map(|it| it.routing.clone());
    }
    if person.is_quiet && !is_required {
        return outcome("DELAYED", None, "quiet_hours");
    }
    let profile = profile_of(world, person, reached, tenant);
    let routing = sent.message.get("routing").cloned().unwrap_or_else(
        || serde_json::json!({"method": "single", "channels": ["email", "push", "sms"]}),
    );
    let body = sent
        .message
        .get("content")
        .map(|it| it["body"].as_str().unwrap_or_default());
    let needs_name = body.is_none_or(|it| it.contains("name"));
    let mut walk = Walk {
        profile: &profile,
        person,
        chosen: chosen_channels.as_deref(),
        words: vec![],
        used: vec![],
    };
    walk.go(&routing, true);
    let Walk { words, used, .. } = walk;
    if !words.contains(&"usable") {
        return if words.contains(&"channel_not_chosen") {
            outcome("UNDELIVERABLE", Some("UNSUBSCRIBED"), "channel_not_chosen")
        } else if words.contains(&"no_provider") {
            outcome("UNROUTABLE", Some("NO_PROVIDERS"), "no_provider")
        } else {
            outcome("UNROUTABLE", Some("NO_CHANNELS"), "no_address")
        };
    }
    if needs_name && !profile.contains_key("name") {
        let because = "missing_variable:profile.name";
        return outcome("UNDELIVERABLE", Some("FAILED"), because);
    }
    let in_inbox_only = used.iter().all(|it| it == "inbox");
    let mut sent = outcome(
        if in_inbox_only { "DELIVERED" } else { "SENT" },
        None,
        "sent",
    );
    sent.used = used;
    sent
}

fn profile_of(
    world: &World,
    person: &Person,
    reached: &Reached,
    tenant: Option<&str>,
) -> Map<String, Value> {
    let mut profile = Map::new();
    let lineage = match tenant {
        Some("t1") => vec!["t0", "t1"],
        Some(tenant) => vec![tenant],
        None => vec![],
    };
    for tenant in lineage {
        if world.tenant_emails.contains(&tenant) {
            profile.insert("email".to_owned(), format!("{tenant}@example.com").into());
        }
    }
    profile.extend(person.profile.clone().unwrap_or_default());
    if let Some(email) = &reached.email {
        profile.insert("email".to_owned(), email.as_str().into());
    }
    profile
}

struct Walk<'a> {
    profile: &'a Map<String, Value>,
    person: &'a Person,
    chosen: Option<&'a [Channel]>,
    /// What was found of each channel.
    words: Vec<&'static str>,
    used: Vec<String>,
}

impl Walk<'_> {
    fn go(&mut self, group: &Value, is_wanted: bool) -> bool {
        let is_single = group["method"] != "all";
        let mut is_wanted = is_wanted;
        let mut any = false;
        for step in group["channels"].as_array().into_iter().flatten() {
            let done = match step.as_str() {
                Some(name) => self.channel(name, is_wanted),
                None => self.go(step, is_wanted),
            };
            any |= done;
            is_wanted &= !(done && is_single);
        }
        any
    }

    fn channel(&mut self, name: &str, is_wanted: bool) -> bool {
        let is_chosen = |channel: Channel| self.chosen.is_none_or(|it| it.contains(&channel));
        let has = |member: &str| self.profile.contains_key(member);
        let (channel, has_address) = match name {
            "email" => (Channel::Email, has("email")),
            "sms" => (Channel::Sms, has("phone_number")),
            "push" => (Channel::Push, self.person.has_device),
            "inbox" => (Channel::Inbox, true),
            _ => {
                self.words.push("no_provider");
                return false;
            }
        };
        let word = if !is_chosen(channel) {
            "channel_not_chosen"
        } else if has_address {
            "usable"
        } else {
            "no_address"
        };
        self.words.push(word);
        let is_used = is_wanted && word == "usable";
        if is_used {
            self.used.push(name.to_owned());
        }
        is_used
    }
}
