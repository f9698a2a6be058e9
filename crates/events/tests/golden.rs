//! A released shape never changes: every type and schema has a file with its bytes and its JSON,
//! and what is read from one gives the other again.
//!
//! `make golden` writes what is missing, and docs/events.md. It never overwrites a file: a shape
//! whose bytes differ is a new schema.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use events::{Event, Payload, PersonalBytes};

/// One payload of each type and schema, as JSON. A field that may be absent is present here, for an
/// absent one shows nothing of its shape.
const EXAMPLES: &[(&str, u16, &str)] = &[
    (
        "audience.defined",
        1,
        r#"{"name":"Pros","description":"Who pays","filter":{"filters":[{"operator":"EQ","path":"plan","value":"pro"}],"operator":"AND"},"version":300}"#,
    ),
    ("audience.deleted", 1, "{}"),
    (
        "brand.created",
        1,
        r#"{"name":"Acme","settings":{"colors":{"primary":"black"}},"snippets":{"items":[]}}"#,
    ),
    ("brand.deleted", 1, "{}"),
    (
        "brand.updated",
        1,
        r#"{"name":"Acme","settings":{"colors":{"primary":"black"}},"snippets":{"items":[]}}"#,
    ),
    ("clock.advanced", 1, "{}"),
    (
        "key.issued",
        1,
        r#"{"name":"first key","prefix":"mk_Ab3dE","hash":"00ff","scopes":["*"],"tenant_id":"acme","expires_at":1700000000000000000}"#,
    ),
    ("key.expiry_set", 1, r#"{"expires_at":1700000000000000000}"#),
    ("key.revoked", 1, "{}"),
    ("key.used", 1, r#"{"at":1700000000000000000}"#),
    (
        "key.user_token_issued",
        1,
        r#"{"token":"0197","users":300,"grants":["read:preferences"],"expires_at":1700000000000000000}"#,
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
    (
        "preference.cleared",
        1,
        r#"{"topic":"news","topic_name":"News","tenant":"acme","default_status":"OPTED_IN","previous":{"status":"OPTED_OUT","routing":["email","inbox"]}}"#,
    ),
    (
        "preference.quiet_hours_changed",
        1,
        r#"{"quiet_hours":{"time_zone":"Europe/Berlin","days":["monday","sunday"],"from":1320,"to":420}}"#,
    ),
    (
        "preference.recipient_preferences_replaced",
        1,
        r#"{"preferences":{"categories":{"c":{"status":"OPTED_OUT"}}}}"#,
    ),
    (
        "preference.set",
        1,
        r#"{"topic":"news","topic_name":"News","tenant":"acme","chosen":{"choice":{"status":"OPTED_OUT","routing":["email","inbox"]},"digest_schedule_id":"sch_1","snoozes":[{"start":1690000000000000000,"until":1700000000000000000}]},"previous":{"status":"OPTED_IN","routing":["email","inbox"]}}"#,
    ),
    (
        "preference_page.published",
        1,
        r#"{"page_id":"page_1","brand_id":"default","heading":"Choose","description":"What you hear about"}"#,
    ),
    ("profile.deleted", 1, "{}"),
    (
        "profile.updated",
        1,
        r#"{"update":"patch","changes":{"age":42,"email":"ada@example.com","gone":null,"ratio":1.10}}"#,
    ),
    (
        "bulk.created",
        1,
        r#"{"message":{"template":"welcome"},"definition":{"event":"welcome"}}"#,
    ),
    ("bulk.started", 1, "{}"),
    (
        "bulk.users_ingested",
        1,
        r#"{"users":[[0,{"data":{"seat":300}}],[2,{"profile":{"email":"ada@example.com"}}]]}"#,
    ),
    ("inbox.emptied", 1, "{}"),
    (
        "inbox.marked",
        1,
        r#"{"mark":"archived","messages":["1-65f240a0-0001","1-65f240a0-0002"]}"#,
    ),
    (
        "inbox.received",
        1,
        r#"{"message":"1-65f240a0-0001","tenant":"acme","content":{"text":"Ada","title":"Hello"}}"#,
    ),
    (
        "message.accepted",
        1,
        r#"{"message":{"to_many":{"template":"welcome"}},"targets":[{"person":[0,{"data":{"a":1}}]},{"list":{"list":"news","data":{"b":2},"members_of":["acme"]}},{"list_pattern":{"pattern":"news.*","data":null}},{"audience":{"audience":"trial","data":null,"members_of":[]}},{"tenant":{"tenant":"acme","data":null,"include_children":true,"include_parent":false}},{"bulk":{"job":"1-65f240a0-0003"}}],"delayed_until":1690000000000000000,"expires_at":1700000000000000000,"resends":"1-65f240a0-0001"}"#,
    ),
    ("message.archived", 1, "{}"),
    ("message.canceled", 1, "{}"),
    (
        "message.resolved",
        1,
        r#"{"as_of":300,"people":[{"target":1,"tenant":"acme","people":"OjAAAAEAAAAAAAIAEAAAAAEAAgAHAA=="}],"problems":[{"target":2,"problem":"not_there"},{"target":3,"problem":"empty"},{"target":4,"problem":"reached_already"}],"is_last":true}"#,
    ),
    (
        "message.settled",
        1,
        r#"{"outcomes":[[{"status":"SENT","reason":null,"because":"sent","tenant":"acme","channels":[{"channel":"push","provider":null,"used":false,"because":"no_address","attempts":0},{"channel":"email","provider":"smtp","used":true,"because":"sent","attempts":2}],"planned":300,"planned_at":1690000000000000000,"delayed_until":null},2],[{"status":"DELAYED","reason":"UNSUBSCRIBED","because":"quiet_hours","tenant":null,"channels":[],"planned":300,"planned_at":1690000000000000000,"delayed_until":1700000000000000000},1]],"receipts":[[1,"250 ok"]]}"#,
    ),
    ("template.archived", 1, "{}"),
    ("template.published", 1, r#"{"version":300}"#),
    (
        "template.saved",
        1,
        r#"{"version":2,"template":{"content":{"body":"{{name}}","title":"Hello"}}}"#,
    ),
    ("track.forgotten", 1, "{}"),
    (
        "track.recorded",
        1,
        r#"{"event":"Order Placed","properties":{"total":1.10}}"#,
    ),
    (
        "webhook.registered",
        1,
        r#"{"url":"https://example.com/hook","types":["profile.*","audiences:user:matched"],"audience_id":"trial"}"#,
    ),
    ("webhook.removed", 1, "{}"),
    ("webhook.redelivery_requested", 1, r#"{"from":7}"#),
    (
        "request.answered",
        1,
        r#"{"request":"00ff","owner":"key","status":200,"body":{"status":"SUCCESS"},"expires_at":1700000000000000000}"#,
    ),
    (
        "request.answered",
        2,
        r#"{"request":"00ff","owner":"key","status":200,"body":{"status":"SUCCESS"},"body_bytes":300,"expires_at":1700000000000000000}"#,
    ),
    (
        "section.created",
        1,
        r#"{"name":"Marketing","description":"What is new","has_custom_routing":true,"routing_options":["email","sms"]}"#,
    ),
    ("section.deleted", 1, "{}"),
    (
        "section.updated",
        1,
        r#"{"name":"Marketing","description":"What is new","has_custom_routing":true,"routing_options":["email","sms"]}"#,
    ),
    ("subject.erased", 1, "{}"),
    ("subject.registered", 1, r#"{"user_id":"ada@example.com"}"#),
    (
        "tenant.created",
        1,
        r#"{"name":"Acme","parent_tenant_id":"group","brand_id":"bnd_1","properties":{"plan":"pro"},"user_profile":{"locale":"en"},"default_preferences":{"news":{"status":"OPTED_OUT","routing":["email","inbox"]}}}"#,
    ),
    (
        "tenant.default_preference_cleared",
        1,
        r#"{"topic":"news"}"#,
    ),
    (
        "tenant.default_preference_set",
        1,
        r#"{"topic":"news","choice":{"status":"OPTED_OUT","routing":["email","inbox"]}}"#,
    ),
    ("tenant.deleted", 1, "{}"),
    (
        "tenant.history_recorded",
        1,
        r#"{"size":300,"root":"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d","through":4711}"#,
    ),
    ("tenant.member_added", 1, r#"{"profile":{"role":"admin"}}"#),
    ("tenant.member_removed", 1, "{}"),
    (
        "tenant.member_updated",
        1,
        r#"{"profile":{"role":"owner"}}"#,
    ),
    (
        "tenant.members_added",
        1,
        r#"{"profiles":[[0,{"role":"admin"}],[300,{}]]}"#,
    ),
    ("tenant.members_removed", 1, "{}"),
    (
        "tenant.updated",
        1,
        r#"{"name":"Acme","parent_tenant_id":"group","brand_id":"bnd_1","properties":{"plan":"pro"},"user_profile":{"locale":"en"},"default_preferences":{"news":{"status":"OPTED_OUT","routing":["email","inbox"]}}}"#,
    ),
    (
        "token.added",
        1,
        r#"{"token":"abc123","details":{"provider_key":"apn","status":"failed","status_reason":"unregistered","device":{"platform":"ios"},"tracking":{"ip":"::1"},"properties":{"a":1},"expires_at":1700000000000000000}}"#,
    ),
    ("token.removed", 1, r#"{"token":"abc123"}"#),
    (
        "token.updated",
        1,
        r#"{"token":"abc123","details":{"provider_key":"apn","status":"failed","status_reason":"unregistered","device":{"platform":"ios"},"tracking":{"ip":"::1"},"properties":{"a":1},"expires_at":1700000000000000000}}"#,
    ),
    (
        "topic.created",
        1,
        r#"{"section":"marketing","details":{"name":"News","description":"Weekly","default_status":"REQUIRED","allowed_preferences":["snooze","channel_preferences"],"include_unsubscribe_header":true,"routing_options":["direct_message","push"],"topic_data":{"a":1},"digest":{"schedules":[{"schedule_id":"sch_1"}],"template_id":"nt_1"}}}"#,
    ),
    ("topic.deleted", 1, "{}"),
    (
        "topic.updated",
        1,
        r#"{"name":"News","description":"Weekly","default_status":"REQUIRED","allowed_preferences":["snooze","channel_preferences"],"include_unsubscribe_header":true,"routing_options":["direct_message","push"],"topic_data":{"a":1},"digest":{"schedules":[{"schedule_id":"sch_1"}],"template_id":"nt_1"}}"#,
    ),
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
        let payload = Event::payload_from_json(event_type, *schema, json, &[]).unwrap();
        let path = |ending: &str| directory().join(format!("{event_type}.v{schema}.{ending}"));
        let (bin, text, personal) = (path("bin"), path("json"), path("personal"));
        if updating() && !bin.exists() {
            fs::create_dir_all(directory()).unwrap();
            fs::write(&bin, &payload.open).unwrap();
            fs::write(&text, json).unwrap();
            if !payload.personal.is_empty() {
                fs::write(&personal, laid_out(&payload.personal)).unwrap();
            }
        }
        let open = fs::read(&bin).unwrap_or_else(|_| panic!("{} is missing", bin.display()));
        let values = fs::read(&personal).unwrap_or_default();
        assert_eq!(
            laid_out(&payload.personal),
            values,
            "{event_type} v{schema}"
        );
        let golden = Payload {
            open,
            personal: payload.personal.clone(),
        };
        assert_eq!(
            fs::read_to_string(&text).unwrap(),
            *json,
            "{event_type} v{schema}"
        );
        assert_eq!(
            payload, golden,
            "{event_type} v{schema} is written differently"
        );
        assert_eq!(
            Event::payload_to_json(event_type, *schema, golden.clone()).unwrap(),
            *json
        );
        let event = Event::decode(event_type, *schema, golden.clone()).unwrap();
        assert_eq!(event.event_type(), *event_type);
        if event.schema() == *schema {
            assert_eq!(event.encode(), golden);
        }
        // Left-over and missing bytes are refused, not guessed at.
        let refused = |altered: Payload| Event::decode(event_type, *schema, altered).is_err();
        let mut longer = golden.clone();
        longer.open.push(0);
        assert!(refused(longer));
        let mut shorter = golden.clone();
        if shorter.open.pop().is_some() {
            assert!(refused(shorter));
        }
        let mut more = golden.clone();
        let further = golden.personal.last().cloned();
        more.personal.push(further.unwrap_or(PersonalBytes {
            place: 0,
            value: None,
        }));
        assert!(refused(more));
        let mut fewer = golden.clone();
        if fewer.personal.pop().is_some() {
            assert!(refused(fewer));
        }
    }
}

/// Personal values one after the other: place and length, big-endian, then the bytes.
fn laid_out(personal: &[PersonalBytes]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for PersonalBytes { place, value } in personal {
        let value = value.as_deref().expect("examples hold values");
        bytes.extend_from_slice(&place.to_be_bytes());
        let length = u32::try_from(value.len()).expect("examples are short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

#[test]
fn what_is_erased_is_shown_so_and_read_so() {
    for (event_type, schema, json) in EXAMPLES {
        let mut payload = Event::payload_from_json(event_type, *schema, json, &[]).unwrap();
        if payload.personal.is_empty() {
            continue;
        }
        for value in &mut payload.personal {
            value.value = None;
        }
        let shown = Event::payload_to_json(event_type, *schema, payload.clone()).unwrap();
        assert!(shown.contains(r#"{"erased":true}"#), "{shown}");
        let erased = [true; 301];
        let read = Event::payload_from_json(event_type, *schema, &shown, &erased).unwrap();
        assert_eq!(read, payload);
        let event = Event::decode(event_type, *schema, payload.clone()).unwrap();
        if event.schema() == *schema {
            assert_eq!(event.encode(), payload);
        }
    }
    // Somebody's profile may look like what is erased.
    let json = r#"{"update":"merge","changes":{"erased":true}}"#;
    let payload = Event::payload_from_json("profile.updated", 1, json, &[false]).unwrap();
    assert!(payload.personal[0].value.is_some());
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
