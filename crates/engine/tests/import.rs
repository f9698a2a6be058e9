//! What is taken in comes out again exactly as it went in, or is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use domain::{ListCommand, ProfileCommand};
use engine::{
    Command, EngineOptions, EventJson, EventStore, Importer, Origin, SubscribeMode, Subscriber,
    Until, replay, start,
};
use projections::ReadModels;
use serde_json::{Map, Value, json};
use types::{Clock as _, JsonDocument, ListId, Position, SystemClock, Timestamp, UserId};

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn subscribe(list: &str, people: &[&str]) -> Command {
    let preferences = json!({"notifications": {"n": {"status": "OPTED_IN"}}});
    let subscriber = |id: &&str| Subscriber {
        user_id: user(id),
        preferences: id
            .starts_with('b')
            .then(|| JsonDocument::from_value(&preferences)),
    };
    Command::Subscribe {
        list: ListId::parse(list).unwrap(),
        subscribers: people.iter().map(subscriber).collect(),
        mode: SubscribeMode::Put,
    }
}

/// A log with one event of nearly every kind, about people whose ids look like something else.
fn written() -> EventStore {
    let store = EventStore::in_memory();
    let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
    let options = EngineOptions::default();
    let (engine, _writer) = start(store.clone(), rebuilt, Arc::new(SystemClock), options);
    let profile = |id: &str, command| Command::Profile {
        user_id: user(id),
        command,
    };
    let document = Map::from_iter([("$serde_json::private::Number".to_owned(), json!("1"))]);
    for command in [
        profile(
            "ada",
            ProfileCommand::Replace(Map::from_iter([("a".to_owned(), json!(1))])),
        ),
        profile("0", ProfileCommand::Merge(document)),
        profile(
            "ada",
            ProfileCommand::Merge(Map::from_iter([("b".to_owned(), json!([1, null]))])),
        ),
        subscribe("member-x:ada", &["ada", "bob", "a:b"]),
        subscribe("x", &["ada:0"]),
        subscribe("x:ada", &["0"]),
        Command::List {
            list: ListId::parse("x").unwrap(),
            command: ListCommand::Delete,
        },
        Command::LeaveEveryList {
            user_id: user("bob"),
        },
        profile("ada", ProfileCommand::Delete),
        Command::EraseUser {
            user_id: user("a:b"),
        },
        subscribe("x:ada", &["a:b", "bob"]),
        Command::EraseUser {
            user_id: user("bob"),
        },
    ] {
        let origin = Origin {
            correlation_id: Some("request 1".to_owned()),
            ..Origin::default()
        };
        engine.execute_blocking(command, origin).unwrap();
    }
    store
}

fn exported(store: &EventStore, models: &ReadModels) -> Vec<String> {
    let mut lines = Vec::new();
    for raw in store.log.read(Position(1), usize::MAX).unwrap() {
        for record in raw.decode().unwrap().records() {
            let user_id = |subject| models.subjects.user_id(subject);
            let shown = EventJson::from_record(&record.unwrap(), &store.vault, user_id);
            lines.push(serde_json::to_string(&shown.unwrap()).unwrap());
        }
    }
    lines
}

fn export() -> (EventStore, Vec<String>) {
    let store = written();
    let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
    let lines = exported(&store, &rebuilt.read_models);
    (store, lines)
}

fn import<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<EventStore, String> {
    let store = EventStore::in_memory();
    let latest = Timestamp(SystemClock.now().0 + 1_000_000_000);
    let mut importer = Importer::new(latest, Arc::clone(&store.vault));
    for line in lines {
        store
            .log
            .append(&[importer.record(line).map_err(|error| error.to_string())?])
            .unwrap();
    }
    Ok(store)
}

#[test]
fn an_export_comes_back_as_the_same_history() {
    let (store, lines) = export();
    let imported = import(lines.iter().map(String::as_str)).unwrap();
    assert_eq!(imported.log.head().position, store.log.head().position);
    let (before, after) = (
        replay(&store, Until::Head, &mut |_| ())
            .unwrap()
            .read_models,
        replay(&imported, Until::Head, &mut |_| ())
            .unwrap()
            .read_models,
    );
    assert_eq!(before.digests(), after.digests());
    assert_eq!(exported(&imported, &after), lines);
}

/// Whatever is done to one line, what is taken in can be replayed and comes out as it went in.
#[test]
fn a_changed_line_is_refused_or_another_history_that_could_have_been() {
    let (_, lines) = export();
    let mut refused = 0;
    for (place, line) in lines.iter().enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        for (field, values) in [
            ("position", vec![json!(0), json!(99), json!("1")]),
            ("version", vec![json!(0), json!(99)]),
            (
                "stream",
                vec![
                    json!("list-x"),
                    json!("profile-ada"),
                    json!("key-"),
                    json!("x"),
                ],
            ),
            (
                "type",
                vec![json!("subject.registered"), json!("profile.exploded")],
            ),
            ("schema", vec![json!(2)]),
            (
                "recorded_at",
                vec![
                    json!("9000-01-01T00:00:00Z"),
                    json!("1960-01-01T00:00:00Z"),
                    json!("x"),
                ],
            ),
            (
                "subjects",
                vec![json!([]), json!(["nobody"]), json!(["ada", "ada"])],
            ),
            (
                "id",
                vec![json!("x"), json!("01a20b6c-cd3b-7972-814b-38da7843ad1d")],
            ),
            (
                "data",
                vec![
                    json!([1]),
                    json!({"more": 1}),
                    json!({"update": "merge", "changes": [1]}),
                ],
            ),
            ("more", vec![json!(1)]),
        ] {
            for value in values {
                let mut changed = event.clone();
                if changed[field] == value {
                    continue;
                }
                changed[field] = value;
                let changed = edited(line, &event, field, &changed[field]);
                let given: Vec<&str> = lines[..place]
                    .iter()
                    .map(String::as_str)
                    .chain([changed.as_str()])
                    .collect();
                let Ok(store) = import(given.iter().copied()) else {
                    refused += 1;
                    continue;
                };
                // Another history that could have been is as good as this one.
                let rebuilt = replay(&store, Until::Head, &mut |_| ()).unwrap();
                assert_eq!(exported(&store, &rebuilt.read_models), given);
            }
        }
    }
    assert!(refused > 200);
}

/// The line with one member changed; the members of a line stand in a fixed order, `data` last.
fn edited(line: &str, event: &Value, field: &str, value: &Value) -> String {
    if field == "data" {
        let (before, _) = line.split_once(",\"data\":").unwrap();
        return format!("{before},\"data\":{value}}}");
    }
    let Some(old) = event.get(field) else {
        return line.replacen('{', &format!("{{\"{field}\":{value},"), 1);
    };
    let (old, new) = (format!("\"{field}\":{old}"), format!("\"{field}\":{value}"));
    assert!(line.contains(&old), "{line} holds {old}");
    line.replacen(&old, &new, 1)
}

#[test]
fn the_same_event_in_other_words_is_refused() {
    let (_, lines) = export();
    let line = &lines[0];
    for changed in [
        format!(" {line}"),
        format!("{line}\r"),
        line.replace("\":", "\": "),
        line.replace('Z', "+00:00"),
        line[..line.len() - 1].to_owned(),
        String::new(),
    ] {
        assert!(import([changed.as_str()]).is_err(), "{changed}");
    }
    assert!(import([lines[1].as_str()]).is_err(), "a gap");
    assert!(
        import([lines[0].as_str(), lines[0].as_str()]).is_err(),
        "a repetition"
    );
}
