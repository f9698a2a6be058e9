use domain::limits::{
    BULK_USERS_MAX, INBOX_MARKS_MAX, MESSAGE_TARGETS_MAX, TRACKED_NAME_BYTES_MAX,
};
use serde_json::{Value, json};
use types::InboxMark;

use super::super::Doc;
use super::super::shapes::{
    array, boolean, id, id_if_any, nullable, object, one_of, optional_object, text, tolerant_limit,
};
use super::{delete, get, last_page, paged, paged_strictly, post, put};
use crate::routes::{LinkedPage, bulk, inbound, inbox, messages, resolve, send, templates};

const MESSAGE: &str = "1-6744f2a0-47a6a120c8374de9bcf9f22c";
const AT: &str = "2026-11-25T10:00:00.000Z";

/// One recipient, of whichever kind.
fn recipient() -> Value {
    let named = |name: &'static str| json!({"type": "object", "required": [name]});
    let mut recipient = object([
        ("user_id", nullable(id())),
        ("email", nullable(json!({"type": "string"}))),
        ("phone_number", nullable(json!({"type": "string"}))),
        ("list_id", nullable(json!({"type": "string"}))),
        ("list_pattern", nullable(json!({"type": "string"}))),
        ("audience_id", nullable(id())),
        ("tenant_id", nullable(id())),
        ("locale", nullable(text(1_024))),
        ("data", optional_object()),
        ("preferences", optional_object()),
    ]);
    recipient["description"] = "A user, a list, a list pattern, an audience or a tenant; \
        whatever else it says of a user belongs to the profile."
        .into();
    let kinds = [
        "user_id",
        "email",
        "list_id",
        "list_pattern",
        "audience_id",
        "tenant_id",
    ];
    recipient["anyOf"] = kinds.map(named).to_vec().into();
    recipient
}

fn content() -> Value {
    json!({
        "type": "object",
        "description": "Title and body, or Elemental: `version` and `elements`.",
        "properties": {"title": {"type": ["string", "null"]}, "body": {"type": "string"}},
    })
}

fn message() -> Value {
    object([(
        "message!",
        object([
            (
                "to!",
                json!({"oneOf": [recipient(), array(&recipient(), MESSAGE_TARGETS_MAX)]}),
            ),
            ("template", nullable(text(512))),
            ("content", nullable(content())),
            ("data", optional_object()),
            ("brand_id", nullable(id())),
            ("context", optional_object()),
            ("routing", optional_object()),
            ("channels", optional_object()),
            ("providers", optional_object()),
            ("metadata", optional_object()),
            ("preferences", optional_object()),
            ("timeout", optional_object()),
            ("delay", optional_object()),
            ("expiry", optional_object()),
        ]),
    )])
}

fn example() -> Value {
    json!({"message": {
        "to": {"user_id": "ada", "email": "ada@example.com"},
        "content": {"title": "Hello", "body": "Welcome, {{name}}."},
        "data": {"name": "Ada"},
    }})
}

fn details() -> Value {
    json!({"id": MESSAGE, "status": "SENT", "enqueued": 1_764_064_800_000_u64, "event": "",
           "notification": "", "recipient": "ada", "sent": 1_764_064_800_100_u64,
           "requestId": MESSAGE, "channel": "email"})
}

fn request() -> Value {
    json!({"request_id": MESSAGE, "accepted_at": AT, "delayed_until": null, "expires_at": null,
           "canceled_at": null, "archived": false, "resolved": true, "done": true, "people": 1,
           "settled": 1, "counts": [{"status": "SENT", "reason": null, "count": 1}],
           "problems": []})
}

pub(super) fn messages() -> Vec<Doc> {
    let mut docs = sending();
    docs.extend(listing());
    docs.extend(bulk_jobs());
    docs.push(
        post("/inbound/courier", "Tell what a person did elsewhere")
            .asks(
                object([
                    ("type!", one_of(&["track", "identify"])),
                    ("messageId!", id()),
                    ("userId", nullable(id())),
                    ("event", nullable(text(TRACKED_NAME_BYTES_MAX))),
                    ("properties", optional_object()),
                    ("traits", optional_object()),
                ]),
                json!({"type": "track", "messageId": "4c62c457", "userId": "ada",
                       "event": "Order Placed", "properties": {"total": 12}}),
            )
            .answers::<inbound::Taken>(202, json!({"messageId": "4c62c457"})),
    );
    docs
}

fn sending() -> Vec<Doc> {
    let channel = json!({"channel": "email", "used": true, "because": "sent"});
    let foreseen = json!({
        "people": 1,
        "counts": [{"status": "SENT", "reason": null, "because": "sent", "count": 1}],
        "items": [{"user_id": "ada", "recipient": 0, "status": "SENT", "reason": null,
                   "because": "sent", "tenant_id": null, "channels": [channel],
                   "delayed_until": null}],
        "problems": [], "paging": last_page(),
    });
    vec![
        post(
            "/send",
            "Send a message to a person, a list, an audience, a tenant or any mix",
        )
        .asks(message(), example())
        .answers::<send::Accepted>(202, json!({"requestId": MESSAGE})),
        paged_strictly(post(
            "/v1/resolve",
            "What would become of a message, for whom, and why; nothing is sent",
        ))
        .asks(message(), example())
        .answers::<resolve::Resolved>(200, foreseen),
    ]
}

fn listing() -> Vec<Doc> {
    let any_text = || json!({"type": "string"});
    let narrowed = |doc: Doc| {
        [
            (
                "archived",
                "Those that are archived, or those that are not.",
            ),
            ("enqueued_after", "A time, or milliseconds since 1970."),
            ("event", "The event of the metadata."),
            ("list", "The id of the list it is to."),
            ("messageId", "The id of one message."),
            ("notification", "The id of the template."),
            ("provider", "Names of providers, separated by commas."),
            ("recipient", "A user id."),
            ("status", "Statuses, separated by commas."),
            ("tag", "Tags, separated by commas: any of them."),
            ("tags", "As `tag`."),
            ("tenant_id", "In the context of this tenant."),
            (
                "traceId",
                "The trace id of the metadata, or the id of the request.",
            ),
        ]
        .into_iter()
        .fold(doc, |doc, (name, said)| doc.query(name, said, any_text()))
    };
    let explanation = json!({
        "message_id": MESSAGE, "user_id": "ada", "addressed": true, "recipient": 0,
        "status": "UNDELIVERABLE", "reason": "UNSUBSCRIBED", "because": "opted_out:user",
        "tenant_id": null, "channels": [], "as_of": 7, "decided_at": AT, "delayed_until": null,
    });
    vec![
        paged(narrowed(get("/messages", "Messages, newest first")))
            .answers::<messages::MessagesPage>(
                200,
                json!({"results": [details()], "paging": last_page()}),
            ),
        get("/messages/{message_id}", "A message to one person")
            .answers::<messages::Message>(200, details()),
        get(
            "/messages/{message_id}/history",
            "What happened to a message, oldest first",
        )
        .query("type", "Entries of this type only.", any_text())
        .answers::<messages::HistoryPage>(
            200,
            json!({"results": [{"type": "ENQUEUED", "ts": 1_764_064_800_000_u64}]}),
        ),
        get(
            "/messages/{message_id}/output",
            "What a message said on each channel",
        )
        .answers::<messages::HistoryPage>(
            200,
            json!({"results": [{"channel": "email", "channel_id": "email",
                                    "content": {"subject": "Hello", "blocks": []}}]}),
        ),
        post(
            "/messages/{message_id}/cancel",
            "Stop a message that has not gone out",
        )
        .answers::<messages::Message>(200, details()),
        post(
            "/messages/{message_id}/resend",
            "Send the same to the same person again",
        )
        .answers::<messages::Resent>(200, json!({"messageId": MESSAGE})),
        put(
            "/requests/{request_id}/archive",
            "List the messages of a request no more",
        )
        .answers_nothing(),
        get("/v1/requests/{request_id}", "How far a call to send is")
            .answers::<messages::RequestDetails>(200, request()),
        get(
            "/v1/messages/{message_id}/explain",
            "Why a message reached somebody, or why it did not",
        )
        .query(
            "user_id",
            "Whom, if the message is to several.",
            id_if_any(),
        )
        .answers::<messages::MessageExplanation>(200, explanation),
    ]
}

fn bulk_jobs() -> Vec<Doc> {
    let definition = object([(
        "message!",
        object([
            ("event", nullable(text(512))),
            ("template", nullable(text(512))),
            ("content", nullable(content())),
            ("brand", nullable(id())),
            ("data", optional_object()),
        ]),
    )]);
    let user = object([
        ("recipient", nullable(id())),
        ("to", optional_object()),
        ("profile", optional_object()),
        ("data", optional_object()),
        ("preferences", optional_object()),
    ]);
    let job = json!({"definition": {"event": "welcome"}, "received": 1, "enqueued": 1,
                     "failures": 0, "status": "COMPLETED"});
    vec![
        post(
            "/bulk",
            "Make a bulk job: people can be gathered for a message",
        )
        .asks(definition, json!({"message": {"event": "welcome"}}))
        .answers::<bulk::Created>(201, json!({"jobId": MESSAGE})),
        get("/bulk/{job_id}", "How far a bulk job is")
            .answers::<bulk::JobAnswer>(200, json!({"job": job})),
        post("/bulk/{job_id}", "Gather people for a bulk job")
            .asks(
                object([("users!", array(&user, BULK_USERS_MAX))]),
                json!({"users": [{"recipient": "ada", "data": {"seat": 7}}]}),
            )
            .answers::<bulk::Ingested>(200, json!({"total": 1, "errors": []})),
        post(
            "/bulk/{job_id}/run",
            "Send to everybody who was gathered, once",
        )
        .answers_nothing(),
        paged(get("/bulk/{job_id}/users", "The people of a bulk job")).answers::<bulk::UsersPage>(
            200,
            json!({"items": [{"recipient": "ada", "status": "ENQUEUED",
                                  "messageId": format!("{MESSAGE}-0")}],
                       "paging": last_page()}),
        ),
    ]
}

fn template() -> Value {
    json!({"id": "welcome", "version": "v1", "created_at": AT, "updated_at": AT,
           "published_at": AT, "published_version": "v1",
           "data": {"content": {"title": "Hello", "body": "Welcome, {{name}}."}}})
}

pub(super) fn templates() -> Vec<Doc> {
    let written = || {
        object([
            ("content!", content()),
            ("routing", optional_object()),
            ("channels", optional_object()),
            ("providers", optional_object()),
            ("topic_id", nullable(id())),
        ])
    };
    let body = || object([("template!", written()), ("published", nullable(boolean()))]);
    let given = || {
        json!({"template": {"content": {"title": "Hello", "body": "Welcome, {{name}}."}},
               "published": true})
    };
    let saved = || json!({"id": "welcome", "version": "v1", "published_at": AT});
    let version = || object([("version", nullable(text(64)))]);
    let new = object([
        ("id", nullable(id())),
        ("template!", written()),
        ("published", nullable(boolean())),
    ]);
    vec![
        paged_strictly(get("/v1/templates", "Every template of no tenant, by id"))
            .answers::<templates::TemplatesPage>(
            200,
            json!({"items": [template()], "paging": last_page()}),
        ),
        post("/v1/templates", "Make a template")
            .asks(new, given())
            .answers::<templates::Saved>(201, saved()),
        get(
            "/v1/templates/{template_id}",
            "A template in one of its versions",
        )
        .query(
            "version",
            "`latest`, `published`, or `v` and a number.",
            text(64),
        )
        .answers::<templates::Template>(200, template()),
        put(
            "/v1/templates/{template_id}",
            "Write a further version of a template",
        )
        .asks(body(), given())
        .answers::<templates::Saved>(200, saved()),
        delete("/v1/templates/{template_id}", "Archive a template").answers_nothing(),
        post(
            "/v1/templates/{template_id}/publish",
            "Have a version told from now on",
        )
        .may_ask(version(), json!({"version": "latest"}))
        .answers::<templates::Saved>(200, saved()),
        get(
            "/tenants/{tenant_id}/templates",
            "The templates of a tenant, by id",
        )
        .query(
            "limit",
            "Rows of a page; 20 unless given.",
            tolerant_limit(),
        )
        .query("cursor", "Where the last page ended.", super::cursor())
        .answers::<LinkedPage<templates::Template>>(
            200,
            json!({"items": [template()], "has_more": false, "type": "list",
                       "url": "/tenants/acme/templates", "next_url": null, "cursor": null}),
        ),
        get(
            "/tenants/{tenant_id}/templates/{template_id}",
            "A template of a tenant, published or else the latest",
        )
        .answers::<templates::Template>(200, template()),
        put(
            "/tenants/{tenant_id}/templates/{template_id}",
            "Write a further version of a template of a tenant",
        )
        .asks(body(), given())
        .answers::<templates::Saved>(200, saved()),
        delete(
            "/tenants/{tenant_id}/templates/{template_id}",
            "Archive a template of a tenant",
        )
        .answers_nothing(),
        post(
            "/tenants/{tenant_id}/templates/{template_id}/publish",
            "Have a version of a tenant's template told from now on",
        )
        .may_ask(version(), json!({"version": "latest"}))
        .answers::<templates::Saved>(200, saved()),
        get(
            "/tenants/{tenant_id}/templates/{template_id}/versions/{version}",
            "A template of a tenant in one of its versions",
        )
        .answers::<templates::Template>(200, template()),
    ]
}

pub(super) fn inbox() -> Vec<Doc> {
    let item = || {
        json!({"message_id": MESSAGE, "tenant_id": null, "title": "Hello", "body": "Welcome.",
               "image": null, "actions": [], "data": {}, "received_at": AT, "opened_at": null,
               "read_at": null, "archived_at": null, "clicked_at": null, "position": 7})
    };
    let in_tenant = |doc: Doc| {
        doc.query(
            "tenant_id",
            "Of this tenant; of all unless given.",
            id_if_any(),
        )
    };
    let flag = || json!({"type": "string", "enum": ["true", "false"]});
    let marks = object([
        ("mark!", one_of(InboxMark::NAMES)),
        ("message_ids", nullable(array(&id(), INBOX_MARKS_MAX))),
        ("all", nullable(boolean())),
    ]);
    vec![
        paged_strictly(in_tenant(get(
            "/v1/users/{user_id}/inbox",
            "The inbox of a user, newest first",
        )))
        .query(
            "read",
            "Those that are read, or those that are not.",
            flag(),
        )
        .query(
            "archived",
            "Those that are archived; they are left out unless asked for.",
            flag(),
        )
        .answers::<inbox::InboxPage>(
            200,
            json!({"items": [item()], "unread": 1, "paging": last_page()}),
        ),
        in_tenant(get(
            "/v1/users/{user_id}/inbox/unread",
            "How many messages are not read",
        ))
        .answers::<inbox::Unread>(200, json!({"unread": 1})),
        in_tenant(get(
            "/v1/users/{user_id}/inbox/stream",
            "Messages as they come, as Server-Sent Events",
        ))
        .answers_as(
            200,
            "text/event-stream",
            json!({"type": "string"}),
            json!("event: unread\ndata: {\"unread\":1}\n\n"),
        ),
        in_tenant(post(
            "/v1/users/{user_id}/inbox/marks",
            "Mark messages of the inbox as opened, read, archived or clicked, or undo it",
        ))
        .asks(marks, json!({"mark": "read", "message_ids": [MESSAGE]}))
        .answers::<inbox::Marked>(200, json!({"changed": 1})),
        get(
            "/v1/users/{user_id}/inbox/messages/{message_id}",
            "A message of the inbox",
        )
        .answers::<inbox::Item>(200, item()),
    ]
}
