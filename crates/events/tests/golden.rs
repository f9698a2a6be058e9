//! A released shape never changes: every type and schema has a file with its bytes and its JSON,
//! and what is read from one gives the other again.
//!
//! `make golden` writes what is missing, and docs/events.md. It never overwrites a file: a shape
//! whose bytes differ is a new schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use events::Event;

/// One payload of each type and schema, as JSON. A field that may be absent is present here, for an
/// absent one shows nothing of its shape.
const EXAMPLES: &[(&str, u16, &str)] = &[
    (
        "audience.defined",
        1,
        r#"{"name":"Pros","description":"Who pays","filter":{"filters":[{"operator":"EQ","path":"plan","value":"pro"}],"operator":"AND"},"version":300}"#,
    ),
    ("audience.deleted", 1, "{}"),
    ("clock.advanced", 1, "{}"),
    (
        "key.issued",
        1,
        r#"{"name":"first key","prefix":"mk_Ab3dE","hash":"00ff","scopes":["*"],"tenant_id":"acme","expires_at":1700000000000000000}"#,
    ),
    (
        "list.created",
        1,
        r#"{"name":"News","preferences":{"notifications":{"n":{"status":"OPTED_IN"}}}}"#,
    ),
    ("list.deleted", 1, "{}"),
    (
        "list.member_added",
        1,
        r#"{"preferences":{"notifications":{"n":{"status":"OPTED_IN"}}}}"#,
    ),
    ("list.member_removed", 1, "{}"),
    (
        "list.member_updated",
        1,
        r#"{"preferences":{"notifications":{"n":{"status":"OPTED_OUT"}}}}"#,
    ),
    (
        "list.members_added",
        1,
        r#"{"preferences":[[0,{"notifications":{"n":{"status":"OPTED_IN"}}}],[300,{"categories":{}}]]}"#,
    ),
    ("list.members_removed", 1, "{}"),
    ("list.restored", 1, "{}"),
    (
        "list.updated",
        1,
        r#"{"name":"Weekly","preferences":{"categories":{"c":{"status":"REQUIRED"}}}}"#,
    ),
    ("profile.deleted", 1, "{}"),
    (
        "profile.updated",
        1,
        r#"{"update":"patch","changes":{"age":42,"email":"ada@example.com","gone":null,"ratio":1.10}}"#,
    ),
    ("subject.registered", 1, r#"{"user_id":"ada@example.com"}"#),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

#[test]
fn every_shape_is_what_it_was_when_it_was_released() {
    for (event_type, schema, json) in EXAMPLES {
        let bytes = Event::payload_from_json(event_type, *schema, json).unwrap();
        let path = directory().join(format!("{event_type}.v{schema}"));
        let (bin, text) = (
            path.with_extension(format!("v{schema}.bin")),
            path.with_extension(format!("v{schema}.json")),
        );
        if updating() && !bin.exists() {
            fs::create_dir_all(directory()).unwrap();
            fs::write(&bin, &bytes).unwrap();
            fs::write(&text, json).unwrap();
        }
        let golden = fs::read(&bin).unwrap_or_else(|_| panic!("{} is missing", bin.display()));
        assert_eq!(
            fs::read_to_string(&text).unwrap(),
            *json,
            "{event_type} v{schema}"
        );
        assert_eq!(
            bytes, golden,
            "{event_type} v{schema} is written differently"
        );
        assert_eq!(
            Event::payload_to_json(event_type, *schema, &golden).unwrap(),
            *json
        );
        let event = Event::decode(event_type, *schema, &golden).unwrap();
        assert_eq!(event.event_type(), *event_type);
        if event.schema() == *schema {
            assert_eq!(event.encode(), golden);
        }
        // Left-over and missing bytes are refused, not guessed at.
        let longer = [golden.as_slice(), &[0]].concat();
        assert!(Event::decode(event_type, *schema, &longer).is_err());
        if let Some((_, shorter)) = golden.split_last() {
            assert!(Event::decode(event_type, *schema, &golden[..shorter.len()]).is_err());
        }
    }
}

#[test]
fn every_type_and_schema_has_an_example_and_a_file_and_there_are_no_others() {
    let types: BTreeSet<String> = Event::types()
        .map(|(name, schema)| format!("{name}.v{schema}"))
        .collect();
    let examples: BTreeSet<String> = EXAMPLES
        .iter()
        .map(|(name, schema, _)| format!("{name}.v{schema}"))
        .collect();
    assert_eq!(types, examples);
    if !updating() {
        let files: BTreeSet<String> = fs::read_dir(directory())
            .unwrap()
            .filter_map(|entry| {
                entry
                    .unwrap()
                    .file_name()
                    .to_str()?
                    .strip_suffix(".bin")
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(files, types);
    }
}

#[test]
fn the_catalogue_lists_every_event() {
    let mut catalogue = "# Events\n\nWritten by `make golden`; do not edit.\nOne payload of every type and schema, as feeds and exports show it under `data`.\n".to_owned();
    for (event_type, schema, json) in EXAMPLES {
        write!(
            catalogue,
            "\n## {event_type}, schema {schema}\n\n```json\n{json}\n```\n"
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    if updating() {
        fs::write(&path, &catalogue).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        catalogue,
        "run `make golden`"
    );
}
