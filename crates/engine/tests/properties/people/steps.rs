mod messages;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Change, ChoiceRequest, ProfileCommand, TenantCommand, TopicPut};
use engine::{
    BrandDetails, Choices, Command, Edit, PreferencePagePublished, SectionDetails, TenantDetails,
    TokenDetails, TopicDetails, UserUpsert,
};
use serde_json::{Map, json};
use types::{
    Choice, JsonDocument, JsonPatch, PreferenceStatus, ProviderKey, Timestamp, TokenStatus,
};

use super::world::{
    Answer, BRANDS, LISTS, PEOPLE, SECTIONS, TENANTS, TOKENS, TOPICS, Tenant, World, brand_id,
    list_id, section_id, tenant_id, token_id, topic_id, user_id,
};
use crate::random::Random;
use crate::running::SECOND;

/// One step, for the engine and for the naive world, which says whether it is refused.
pub(crate) type Step = (Command, Effect);
pub(crate) type Effect = Box<dyn FnOnce(&mut World) -> Answer>;

const STATUSES: [PreferenceStatus; 4] = [
    PreferenceStatus::OptedIn,
    PreferenceStatus::OptedOut,
    PreferenceStatus::OptedOut,
    PreferenceStatus::Required,
];

pub(crate) fn any(random: &mut Random, now: Timestamp) -> Step {
    match random.below(16) {
        0 | 1 => tenant(random),
        2 | 3 => membership(random),
        4 => section_or_topic(random),
        5 => brand(random),
        6 => token(random, now),
        7 | 8 => choice(random),
        9 => person(random),
        10 => upsert(random, now),
        11 => messages::track(random),
        12 => messages::send(random),
        13 | 14 => messages::go_on(random, now),
        _ => default_preference(random),
    }
}

fn tenant(random: &mut Random) -> Step {
    let tenant = random.below(TENANTS);
    if random.percent(20) {
        let command = Command::Tenant {
            tenant: tenant_id(tenant),
            command: TenantCommand::Delete,
        };
        return (command, Box::new(move |world| world.delete_tenant(tenant)));
    }
    let mut defaults = BTreeMap::new();
    for _ in 0..random.below(3) {
        defaults.insert(random.below(TOPICS), random.pick(&STATUSES));
    }
    let details = Tenant {
        name: random.below(3),
        parent: random.percent(60).then(|| random.below(TENANTS)),
        brand: random.percent(30).then(|| random.below(BRANDS)),
        defaults,
    };
    let defaults = details.defaults.iter();
    let command = TenantCommand::Put(TenantDetails {
        name: details.name.to_string(),
        parent_tenant_id: details.parent.map(tenant_id),
        brand_id: details.brand.map(brand_id),
        properties: None,
        user_profile: None,
        default_preferences: defaults
            .map(|(topic, status)| (topic_id(*topic), plain(*status)))
            .collect(),
    });
    let command = Command::Tenant {
        tenant: tenant_id(tenant),
        command,
    };
    (
        command,
        Box::new(move |world| world.put_tenant(tenant, details)),
    )
}

fn plain(status: PreferenceStatus) -> Choice {
    Choice {
        status,
        routing: None,
    }
}

fn default_preference(random: &mut Random) -> Step {
    let (tenant, topic) = (random.below(TENANTS), random.below(TOPICS));
    let status = random.percent(70).then(|| random.pick(&STATUSES));
    let command = match status {
        Some(status) => TenantCommand::SetDefaultPreference {
            topic: topic_id(topic),
            choice: plain(status),
        },
        None => TenantCommand::ClearDefaultPreference {
            topic: topic_id(topic),
        },
    };
    let command = Command::Tenant {
        tenant: tenant_id(tenant),
        command,
    };
    let effect = move |world: &mut World| {
        let tenant = world.tenants.get_mut(&tenant).ok_or("no tenant")?;
        match status {
            Some(status) => drop(tenant.defaults.insert(topic, status)),
            None => drop(tenant.defaults.remove(&topic)),
        }
        Ok(())
    };
    (command, Box::new(effect))
}

fn membership(random: &mut Random) -> Step {
    let (who, tenant) = (random.below(PEOPLE), random.below(TENANTS));
    match random.below(10) {
        0..6 => {
            let named: BTreeSet<usize> = (0..random.between(0, 2))
                .map(|_| random.below(TENANTS))
                .collect();
            let role = random.below(4) as u64;
            let change = match role {
                0 => Change::Keep,
                1 => Change::Clear,
                role => Change::Set(JsonDocument::from_value(&json!({"role": role}))),
            };
            let tenants = named.iter().map(|it| (tenant_id(*it), change.clone()));
            let command = Command::JoinTenants {
                user_id: user_id(who),
                tenants: tenants.collect(),
            };
            let effect = move |world: &mut World| {
                for tenant in named {
                    join(world, who, tenant, role);
                }
                Ok(())
            };
            (command, Box::new(effect))
        }
        6..9 => {
            let command = Command::LeaveTenant {
                user_id: user_id(who),
                tenant: tenant_id(tenant),
            };
            let effect = move |world: &mut World| {
                world.memberships.remove(&(who, tenant));
                Ok(())
            };
            (command, Box::new(effect))
        }
        _ => {
            let user_id = user_id(who);
            let effect = move |world: &mut World| {
                world.memberships.retain(|(it, _), _| *it != who);
                Ok(())
            };
            (Command::LeaveEveryTenant { user_id }, Box::new(effect))
        }
    }
}

fn join(world: &mut World, who: usize, tenant: usize, role: u64) {
    let held = world.memberships.entry((who, tenant)).or_default();
    match role {
        0 => {}
        1 => *held = None,
        role => *held = Some(role),
    }
}

fn section_or_topic(random: &mut Random) -> Step {
    let section = random.below(SECTIONS);
    let edit = random.below(3);
    if random.percent(30) {
        let details = SectionDetails {
            name: String::new(),
            description: None,
            has_custom_routing: false,
            routing_options: vec![],
        };
        let command = Command::Section {
            section: section_id(section),
            edit: edit_of(edit, details),
        };
        let effect = move |world: &mut World| {
            let there = world.sections.contains(&section);
            let topics = world.topics.values().filter(|it| it.0 == section).count();
            match edit {
                0 if there => return Err("taken"),
                0 => drop(world.sections.insert(section)),
                _ if !there => return Err("not there"),
                1 => {}
                _ if topics > 0 => return Err("not empty"),
                _ => drop(world.sections.remove(&section)),
            }
            Ok(())
        };
        return (command, Box::new(effect));
    }
    let (topic, status) = (random.below(TOPICS), random.pick(&STATUSES));
    let put = topic_put(status);
    let command = Command::Topic {
        section: section_id(section),
        topic: topic_id(topic),
        edit: edit_of(edit, put),
    };
    let effect = move |world: &mut World| {
        let held = world.topics.get(&topic).copied();
        match edit {
            0 if !world.sections.contains(&section) => return Err("no section"),
            0 if held.is_some() => return Err("taken"),
            0 => drop(world.topics.insert(topic, (section, status))),
            _ if held.is_none_or(|held| held.0 != section) => return Err("not there"),
            1 => drop(world.topics.insert(topic, (section, status))),
            _ => drop(world.topics.remove(&topic)),
        }
        Ok(())
    };
    (command, Box::new(effect))
}

pub(crate) fn topic_put(default_status: PreferenceStatus) -> TopicPut {
    TopicPut {
        details: TopicDetails {
            name: "topic".to_owned(),
            description: None,
            default_status,
            allowed_preferences: vec![],
            include_unsubscribe_header: false,
            routing_options: vec![],
            topic_data: JsonDocument::from_value(&json!({})),
            digest: None,
        },
        digest: Change::Keep,
    }
}

fn brand(random: &mut Random) -> Step {
    let brand = random.below(BRANDS);
    let (edit, name) = (random.below(4), random.below(3) as u64);
    if edit == 3 {
        let published = PreferencePagePublished {
            page_id: "page".to_owned(),
            brand_id: Some(brand_id(brand).into()),
            heading: None,
            description: None,
        };
        let effect = move |world: &mut World| {
            if !world.brands.contains_key(&brand) {
                return Err("no such brand");
            }
            world.page_brand = Some(brand);
            Ok(())
        };
        return (Command::PublishPreferencePage(published), Box::new(effect));
    }
    let details = BrandDetails {
        name: name.to_string(),
        settings: None,
        snippets: None,
    };
    let command = Command::Brand {
        brand: brand_id(brand),
        edit: edit_of(edit, details),
    };
    let effect = move |world: &mut World| {
        let there = world.brands.contains_key(&brand);
        let of_tenant = world.tenants.values().any(|it| it.brand == Some(brand));
        match edit {
            0 if there => return Err("taken"),
            0 => drop(world.brands.insert(brand, name)),
            _ if !there => return Err("not there"),
            1 => drop(world.brands.insert(brand, name)),
            _ if of_tenant || world.page_brand == Some(brand) => return Err("in use"),
            _ => drop(world.brands.remove(&brand)),
        }
        Ok(())
    };
    (command, Box::new(effect))
}

fn details(random: &mut Random, now: Timestamp) -> (u64, Option<u64>, TokenDetails) {
    let kind = random.below(3) as u64;
    let lasts = random.below(20) as u64;
    let expires_at = random.percent(80).then(|| now.0 + (lasts + 1) * SECOND);
    let details = TokenDetails {
        provider_key: ProviderKey::ALL[usize::try_from(kind).unwrap()],
        status: TokenStatus::Active,
        status_reason: None,
        device: None,
        tracking: None,
        properties: None,
        expires_at: expires_at.map(Timestamp),
    };
    (kind, expires_at, details)
}

fn token(random: &mut Random, now: Timestamp) -> Step {
    let (who, token) = (random.below(PEOPLE), random.below(TOKENS));
    match random.below(10) {
        0..6 => {
            let (kind, expires_at, details) = details(random, now);
            let command = Command::RegisterTokens {
                user_id: user_id(who),
                tokens: vec![(token_id(token), details)],
            };
            let effect = move |world: &mut World| {
                world.tokens.insert((who, token), (kind, expires_at));
                Ok(())
            };
            (command, Box::new(effect))
        }
        6..8 => {
            let operations = json!([{"op": "replace", "path": "/expiry_date", "value": false}]);
            let command = Command::PatchToken {
                user_id: user_id(who),
                token: token_id(token),
                patch: JsonPatch::parse(operations.as_array().unwrap().clone()).unwrap(),
            };
            let effect = move |world: &mut World| {
                let held = world.tokens.get_mut(&(who, token)).ok_or("no token")?;
                held.1 = None;
                Ok(())
            };
            (command, Box::new(effect))
        }
        _ => {
            let command = Command::RemoveToken {
                user_id: user_id(who),
                token: token_id(token),
            };
            let effect = move |world: &mut World| {
                world.tokens.remove(&(who, token));
                Ok(())
            };
            (command, Box::new(effect))
        }
    }
}

pub(crate) fn request(status: PreferenceStatus) -> ChoiceRequest {
    ChoiceRequest {
        status,
        routing: None,
        digest_schedule_id: Change::Keep,
        snoozes: Change::Keep,
    }
}

fn choice(random: &mut Random) -> Step {
    let who = random.below(PEOPLE);
    let tenant = random.percent(50).then(|| random.below(TENANTS));
    let topic = random.below(TOPICS);
    let status = random.pick(&STATUSES);
    let named: BTreeMap<usize, PreferenceStatus> = (0..random.between(0, 3))
        .map(|_| (random.below(TOPICS), random.pick(&STATUSES)))
        .collect();
    let requests = || {
        let requests = named.iter();
        requests
            .map(|(topic, status)| (topic_id(*topic), request(*status)))
            .collect()
    };
    let kind = random.below(5);
    let choices = match kind {
        0 | 1 => Choices::Set(topic_id(topic), request(status)),
        2 => Choices::Clear(topic_id(topic)),
        3 => Choices::SetMany(requests()),
        _ => Choices::ReplaceAll(requests()),
    };
    let command = Command::Choose {
        user_id: user_id(who),
        tenant: tenant.map(tenant_id),
        choices,
    };
    let effect = move |world: &mut World| match kind {
        0 | 1 => world.choose((who, tenant, topic), status),
        2 if !world.topics.contains_key(&topic) => Err("no topic"),
        2 => {
            world.choices.remove(&(who, tenant, topic));
            Ok(())
        }
        3 => {
            for (topic, status) in named {
                // One that is refused does not hold up the others.
                let _ = world.choose((who, tenant, topic), status);
            }
            Ok(())
        }
        _ => {
            let before = world.choices.clone();
            let stays = |(it, of, topic): &(usize, Option<usize>, usize)| {
                *it != who || *of != tenant || named.contains_key(topic)
            };
            world.choices.retain(|key, _| stays(key));
            let mut named = named.iter();
            let all =
                named.try_for_each(|(topic, status)| world.choose((who, tenant, *topic), *status));
            if all.is_err() {
                world.choices = before;
            }
            all
        }
    };
    (command, Box::new(effect))
}

fn person(random: &mut Random) -> Step {
    let who = random.below(PEOPLE);
    let user_id = user_id(who);
    match random.below(6) {
        0 => {
            let effect = move |world: &mut World| {
                world.delete_user(who);
                Ok(())
            };
            (Command::DeleteUser { user_id }, Box::new(effect))
        }
        1 => {
            let effect = move |world: &mut World| {
                let registered = world.registered.remove(&who);
                world.delete_user(who);
                world.erase_from_messages(who);
                if registered { Ok(()) } else { Err("nobody") }
            };
            (Command::EraseUser { user_id }, Box::new(effect))
        }
        2 => {
            let command = Command::Profile {
                user_id,
                command: ProfileCommand::Delete,
            };
            let effect = move |world: &mut World| {
                world.profiles.remove(&who);
                Ok(())
            };
            (command, Box::new(effect))
        }
        3 => {
            let lists = vec![(list_id(random.below(LISTS)), None)];
            let list = (0..LISTS).find(|it| list_id(*it) == lists[0].0).unwrap();
            let effect = move |world: &mut World| {
                world.lists.insert((who, list));
                Ok(())
            };
            (
                Command::SubscribeToLists { user_id, lists },
                Box::new(effect),
            )
        }
        _ => {
            let status = random.pick(&["OPTED_IN", "OPTED_OUT"]);
            let wanted = json!({"categories": {"other": {"status": status}}});
            let preferences = random.percent(70).then_some(wanted);
            let command = Command::RecipientPreferences {
                user_id,
                preferences: preferences.as_ref().map(JsonDocument::from_value),
            };
            let effect = move |world: &mut World| {
                match preferences {
                    Some(preferences) => drop(world.recipients.insert(who, preferences)),
                    None => drop(world.recipients.remove(&who)),
                }
                Ok(())
            };
            (command, Box::new(effect))
        }
    }
}

/// Several people in one command, each as a whole or not at all.
fn upsert(random: &mut Random, now: Timestamp) -> Step {
    let mut users = Vec::new();
    let mut effects: Vec<Effect> = Vec::new();
    // Who is written joins only once all are decided, so that is told apart.
    let mut joins = Vec::new();
    for _ in 0..random.between(1, 4) {
        let who = random.below(PEOPLE);
        let value = random.percent(60).then(|| random.below(3) as u64);
        let list = random.percent(40).then(|| random.below(LISTS));
        let tenant = random.percent(40).then(|| (random.below(TENANTS), 0));
        let chosen = random.percent(40).then(|| {
            let tenant = random.percent(50).then(|| random.below(TENANTS));
            (tenant, random.below(TOPICS), random.pick(&STATUSES))
        });
        let token = random.percent(40).then(|| random.below(TOKENS));
        let (kind, expires_at, details) = details(random, now);
        users.push(UserUpsert {
            user_id: user_id(who),
            profile: value.map(|value| Map::from_iter([("n".to_owned(), json!(value))])),
            lists: list.map(|list| (list_id(list), None)).into_iter().collect(),
            tenants: tenant
                .map(|(tenant, _)| (tenant_id(tenant), Change::Keep))
                .into_iter()
                .collect(),
            choices: chosen
                .map(|(tenant, topic, status)| {
                    ((tenant.map(tenant_id), topic_id(topic)), request(status))
                })
                .into_iter()
                .collect(),
            recipient_preferences: None,
            quiet_hours: None,
            tokens: token
                .map(|token| (token_id(token), details))
                .into_iter()
                .collect(),
            restore: false,
        });
        joins.push((who, list, tenant));
        effects.push(Box::new(move |world| {
            if let Some((tenant, topic, status)) = chosen {
                world.choose((who, tenant, topic), status)?;
            }
            if let Some(value) = value {
                world.profiles.insert(who, value);
            }
            if let Some(token) = token {
                world.tokens.insert((who, token), (kind, expires_at));
            }
            Ok(())
        }));
    }
    let effect = move |world: &mut World| {
        for (effect, (who, list, tenant)) in effects.into_iter().zip(joins) {
            if effect(world).is_err() {
                continue;
            }
            if let Some(list) = list {
                world.lists.insert((who, list));
            }
            if let Some((tenant, role)) = tenant {
                join(world, who, tenant, role);
            }
        }
        Ok(())
    };
    (Command::UpsertUsers(users), Box::new(effect))
}

fn edit_of<D>(which: usize, details: D) -> Edit<D> {
    match which {
        0 => Edit::Create(details),
        1 => Edit::Replace(details),
        _ => Edit::Delete,
    }
}
