//! Messages, bulk jobs, what lies in inboxes, and what people did.

use std::collections::BTreeSet;

use domain::TemplateCommand;
use engine::{Command, InboxSelection, NewMessage, NewTarget, Recipient, Settlement};
use events::{MessageOutcome, MessageTarget};
use serde_json::json;
use types::{
    InboxMark, JsonDocument, MessageStatus, Position, SubjectId, TemplateId, TemplateKey, Timestamp,
};

use super::Step;
use crate::people::world::{LISTS, MESSAGES, PEOPLE, World, job_id, list_id, message_id, user_id};
use crate::random::Random;

pub(super) fn track(random: &mut Random) -> Step {
    let (who, event) = (random.below(PEOPLE), random.below(3));
    let properties = random.percent(50).then(|| json!({"secret": who}));
    let command = Command::Track {
        user_id: user_id(who),
        event: event.to_string(),
        properties: properties.as_ref().map(JsonDocument::from_value),
    };
    let effect = move |world: &mut World| {
        *world.tracked.entry((who, event)).or_default() += 1;
        Ok(())
    };
    (command, Box::new(effect))
}

fn recipient(who: usize) -> Recipient {
    Recipient {
        user_id: user_id(who),
        given: JsonDocument::from_value(&json!({"data": {"secret": who}})),
        profile: None,
    }
}

pub(super) fn send(random: &mut Random) -> Step {
    let message = random.below(MESSAGES);
    let people: BTreeSet<usize> = (0..random.between(1, 3))
        .map(|_| random.below(PEOPLE))
        .collect();
    let list = random.percent(40).then(|| random.below(LISTS));
    let mut targets: Vec<_> = people
        .iter()
        .map(|who| NewTarget::Person(recipient(*who)))
        .collect();
    targets.extend(list.map(|list| {
        NewTarget::Many(MessageTarget::List {
            list: list_id(list),
            data: None,
            members_of: vec![],
        })
    }));
    let is_to_one = people.len() == 1 && list.is_none();
    let text = json!({"content": {"body": "secret"}, "metadata": {"event": "e"}});
    let command = Command::Send(Box::new(NewMessage {
        id: message_id(message),
        message: JsonDocument::from_value(&text),
        targets,
        delayed_until: None,
        expires_at: None,
        resends: None,
    }));
    let effect = move |world: &mut World| {
        if world.messages.contains_key(&message) {
            return Err("there is one");
        }
        world.messages.insert(message, is_to_one);
        if is_to_one {
            world.alone.extend(people.iter().map(|who| (message, *who)));
        }
        world.registered.extend(people);
        Ok(())
    };
    (command, Box::new(effect))
}

/// Whatever comes after.
pub(super) fn go_on(random: &mut Random, now: Timestamp) -> Step {
    let message = random.below(MESSAGES);
    match random.below(7) {
        0 | 1 => resolve(message),
        2 => archive(message),
        3 => mark(random),
        4 => template(random),
        5 => job(random, message),
        _ => settle(random, message, now),
    }
}

/// As it is asked for, to nobody: whom sets lead to is looked at elsewhere.
fn resolve(message: usize) -> Step {
    let command = Command::ResolveMessage {
        id: message_id(message),
        targets: vec![],
        named: vec![],
    };
    let effect = move |world: &mut World| match world.messages.get_mut(&message) {
        None | Some(true) => Err("there is none, or it is known"),
        Some(is_resolved) => {
            *is_resolved = true;
            Ok(())
        }
    };
    (command, Box::new(effect))
}

fn archive(message: usize) -> Step {
    let id = message_id(message);
    let effect = move |world: &mut World| {
        let is_there = world.messages.contains_key(&message);
        is_there.then_some(()).ok_or("there is none")
    };
    (Command::ArchiveMessage { id }, Box::new(effect))
}

fn mark(random: &mut Random) -> Step {
    let command = Command::MarkInbox {
        user_id: user_id(random.below(PEOPLE)),
        mark: random.pick(InboxMark::ALL),
        messages: InboxSelection::All { tenant: None },
    };
    (command, Box::new(|_| Ok(())))
}

fn template(random: &mut Random) -> Step {
    let text = json!({"content": {"body": random.below(3).to_string()}});
    let command = Command::Template {
        key: TemplateKey {
            tenant: None,
            id: TemplateId::parse("t").unwrap(),
        },
        command: TemplateCommand::Save {
            template: JsonDocument::from_value(&text),
            publish: random.percent(50),
        },
    };
    (command, Box::new(|_| Ok(())))
}

fn job(random: &mut Random, job: usize) -> Step {
    let text = JsonDocument::from_value(&json!({"content": {"body": "b"}}));
    match random.below(3) {
        0 => {
            let command = Command::CreateBulkJob {
                job: job_id(job),
                message: text.clone(),
                definition: text,
            };
            let effect = move |world: &mut World| {
                if world.jobs.contains_key(&job) {
                    return Err("there is one");
                }
                world.jobs.insert(job, (false, BTreeSet::new()));
                Ok(())
            };
            (command, Box::new(effect))
        }
        1 => {
            let who = random.below(PEOPLE);
            let command = Command::IngestUsers {
                job: job_id(job),
                users: vec![recipient(who)],
            };
            let effect = move |world: &mut World| match world.jobs.get_mut(&job) {
                None | Some((true, _)) => Err("there is none, or it runs"),
                Some((false, people)) => {
                    world.registered.insert(who);
                    people.insert(who);
                    Ok(())
                }
            };
            (command, Box::new(effect))
        }
        _ => {
            let effect = move |world: &mut World| {
                let job = world.jobs.get_mut(&job).ok_or("there is none")?;
                job.0 = true;
                Ok(())
            };
            (Command::RunBulkJob { job: job_id(job) }, Box::new(effect))
        }
    }
}

/// Settles a message to one person for that person, whatever number that is: the others are passed over.
fn settle(random: &mut Random, message: usize, now: Timestamp) -> Step {
    let status = random.pick(&[MessageStatus::Sent, MessageStatus::Undeliverable]);
    let outcome = MessageOutcome {
        status,
        reason: None,
        because: "sent".to_owned(),
        tenant: None,
        channels: vec![],
        planned: Position(1),
        planned_at: now,
        delayed_until: None,
    };
    // Nobody has such a number.
    let settlements = vec![Settlement {
        subject: SubjectId(1_000_000),
        outcome,
        receipt: Some("secret".to_owned()),
        inbox: Some(JsonDocument::from_value(&json!({"text": "secret"}))),
        dead_tokens: vec![],
    }];
    let command = Command::SettleMessage {
        id: message_id(message),
        settlements,
    };
    let effect = move |world: &mut World| {
        let is_there = world.messages.contains_key(&message);
        is_there.then_some(()).ok_or("there is none")
    };
    (command, Box::new(effect))
}
