//! What is said of each endpoint.

use axum::http::Method;
use domain::limits::{
    CHOICES_MAX, LISTS_MAX, RECIPIENTS_MAX, SAMPLE_MAX, URL_BYTES_MAX, USER_TENANTS_MAX,
    USER_TOKENS_MAX, USERS_MAX, WEBHOOK_TYPES_MAX,
};
use domain::{BRAND_SETTINGS, BRAND_SNIPPETS, DIGEST};
use serde_json::{Value, json};
use types::PreferenceStatus;

mod messages;

use super::Doc;
use super::shapes::{
    any_object, array, boolean, channels, choice, choice_request, controls, cursor, description,
    id, id_if_any, if_any, large_array, limit, list_id, moment, name, nullable, object, one_of,
    optional_object, patch, quiet_hours, recipient_preferences, rule, shaped, text, token,
    token_with_itself, tolerant_limit,
};
use crate::routes::{
    LinkedPage, Success, audiences, audit, backtest, brands, events, explain, keys, lists, log,
    members, memberships, preferences, preview, profiles, subscriptions, tenants, tokens, topics,
    user_tokens, users, webhooks,
};

pub(super) const AREAS: [&str; 18] = [
    "Profiles",
    "Lists",
    "Audiences",
    "Tenants",
    "Device tokens",
    "Preferences",
    "Topics",
    "Brands",
    "Messages",
    "Templates",
    "Inbox",
    "Users",
    "Events",
    "Log",
    "Keys",
    "Webhooks",
    "Server",
    "Audit",
];

pub(super) fn all() -> Vec<Doc> {
    let areas: [(&str, Vec<Doc>); 17] = [
        ("Profiles", profiles()),
        ("Lists", lists()),
        ("Audiences", audiences()),
        ("Tenants", tenants()),
        ("Device tokens", device_tokens()),
        ("Preferences", preferences()),
        ("Topics", topics()),
        ("Brands", brands()),
        ("Messages", messages::messages()),
        ("Templates", messages::templates()),
        ("Inbox", messages::inbox()),
        ("Users", users()),
        ("Events", events()),
        ("Log", checking()),
        ("Keys", keys()),
        ("Webhooks", webhooks()),
        ("Audit", audit()),
    ];
    let mut all = Vec::new();
    for (area, docs) in areas {
        all.extend(docs.into_iter().map(|doc| Doc { area, ..doc }));
    }
    all.push(metrics());
    all
}

fn get(path: &'static str, summary: &'static str) -> Doc {
    Doc::new(Method::GET, path, summary)
}

fn post(path: &'static str, summary: &'static str) -> Doc {
    Doc::new(Method::POST, path, summary)
}

fn put(path: &'static str, summary: &'static str) -> Doc {
    Doc::new(Method::PUT, path, summary)
}

fn patch_of(path: &'static str, summary: &'static str) -> Doc {
    Doc::new(Method::PATCH, path, summary)
}

fn delete(path: &'static str, summary: &'static str) -> Doc {
    Doc::new(Method::DELETE, path, summary)
}

fn success() -> Value {
    json!({"status": "SUCCESS"})
}

fn last_page() -> Value {
    json!({"more": false, "cursor": null})
}

/// Pages of Courier's routes, where what cannot be understood is as if not given.
fn paged(doc: Doc) -> Doc {
    doc.query(
        "limit",
        "Rows of a page, 1 to 1,000; the nearest that is allowed.",
        tolerant_limit(),
    )
    .query("cursor", "Where the last page ended.", cursor())
}

/// Pages of our own routes.
fn paged_strictly(doc: Doc) -> Doc {
    doc.query("limit", "Rows of a page; 100 unless given.", limit())
        .query("cursor", "Where the last page ended.", cursor())
}

fn in_tenant(doc: Doc) -> Doc {
    doc.query(
        "tenant_id",
        "The context; everywhere unless given.",
        id_if_any(),
    )
}

fn profiles() -> Vec<Doc> {
    let profile = || object([("profile!", any_object())]);
    let ada = || json!({"profile": {"email": "ada@example.com", "plan": "pro"}});
    let lists = object([(
        "lists!",
        array(
            &object([
                ("listId!", list_id()),
                ("preferences", nullable(recipient_preferences())),
            ]),
            LISTS_MAX,
        ),
    )]);
    vec![
        paged(get(
            "/profiles",
            "Every stored profile, by user id; `attribute.<path>=value` filters",
        ))
        .answers::<profiles::ProfilesPage>(
            200,
            json!({
                "items": [{"user_id": "ada", "profile": {"email": "ada@example.com"},
                           "created": "2026-11-25T10:00:00.000Z",
                           "updated": "2026-11-25T10:00:00.000Z"}],
                "paging": last_page(), "count": 1}),
        ),
        get("/profiles/{user_id}", "A profile").answers::<profiles::Profile<'_>>(200, ada()),
        post(
            "/profiles/{user_id}",
            "Merge into a profile (RFC 7396), which comes to be if there is none",
        )
        .asks(profile(), ada())
        .answers::<Success>(200, success()),
        put("/profiles/{user_id}", "Replace a profile, or make it")
            .asks(profile(), ada())
            .answers::<Success>(200, success()),
        patch_of("/profiles/{user_id}", "Patch a profile (RFC 6902)")
            .asks(
                patch(),
                json!({"patch": [{"op": "add", "path": "/plan", "value": "pro"}]}),
            )
            .answers_nothing(),
        delete(
            "/profiles/{user_id}",
            "Delete a profile; subscriptions and the rest stay",
        )
        .answers_nothing(),
        paged(get(
            "/profiles/{user_id}/lists",
            "The lists of a user, by id",
        ))
        .answers::<subscriptions::ListsOfUser>(
            200,
            json!({
                "results": [{"id": "news", "name": "News",
                             "created": "2026-11-25T10:00:00.000Z",
                             "updated": "2026-11-25T10:00:00.000Z"}],
                "paging": last_page()}),
        ),
        post(
            "/profiles/{user_id}/lists",
            "Subscribe a user to lists; others stay",
        )
        .asks(lists, json!({"lists": [{"listId": "news"}]}))
        .answers::<Success>(200, success()),
        delete(
            "/profiles/{user_id}/lists",
            "End every subscription of a user",
        )
        .answers::<Success>(200, success()),
    ]
}

fn lists() -> Vec<Doc> {
    let news = || {
        json!({"id": "news", "name": "News", "created": "2026-11-25T10:00:00.000Z",
                         "updated": "2026-11-25T10:00:00.000Z"})
    };
    let list = object([
        ("name!", name()),
        ("preferences", nullable(recipient_preferences())),
    ]);
    let recipients = || {
        let recipient = object([
            ("recipientId!", id()),
            ("preferences", nullable(recipient_preferences())),
        ]);
        object([("recipients!", large_array(&recipient, RECIPIENTS_MAX))])
    };
    let two = || json!({"recipients": [{"recipientId": "ada"}, {"recipientId": "bob"}]});
    let own = object([("preferences", nullable(recipient_preferences()))]);
    vec![
        paged(get("/lists", "Lists, by id"))
            .query(
                "pattern",
                "Only those that match, such as `news.*`.",
                text(512),
            )
            .answers::<lists::ListsPage>(200, json!({"items": [news()], "paging": last_page()})),
        get("/lists/{list_id}", "A list").answers::<lists::List>(200, news()),
        put("/lists/{list_id}", "Make a list, or give it another name")
            .asks(list, json!({"name": "News"}))
            .answers_nothing(),
        delete("/lists/{list_id}", "Delete a list, until it is restored").answers_nothing(),
        put(
            "/lists/{list_id}/restore",
            "Restore a deleted list with its subscribers",
        )
        .may_ask(json!({}), json!({}))
        .answers_nothing(),
        paged(get(
            "/lists/{list_id}/subscriptions",
            "Subscribers, in the order in which they joined",
        ))
        .answers::<subscriptions::SubscribersPage>(
            200,
            json!({
                "items": [{"recipientId": "ada", "created": "2026-11-25T10:00:00.000Z"}],
                "paging": last_page()}),
        ),
        post(
            "/lists/{list_id}/subscriptions",
            "Subscribe users; subscriptions that are there stay",
        )
        .asks(recipients(), two())
        .answers_nothing(),
        put(
            "/lists/{list_id}/subscriptions",
            "These are the subscribers, and nobody else",
        )
        .asks(recipients(), two())
        .answers_nothing(),
        put(
            "/lists/{list_id}/subscriptions/{user_id}",
            "Subscribe a user",
        )
        .may_ask(
            own,
            json!({"preferences": {"categories": {"deals": {"status": "OPTED_OUT"}}}}),
        )
        .answers_nothing(),
        delete(
            "/lists/{list_id}/subscriptions/{user_id}",
            "End a subscription",
        )
        .answers_nothing(),
    ]
}

fn audiences() -> Vec<Doc> {
    let pros = || {
        json!({"operator": "AND", "filters": [
        {"operator": "EQ", "path": "plan", "value": "pro"}]})
    };
    let audience = || {
        json!({
        "id": "pros", "name": "Pros", "description": "", "created_at": "2026-11-25T10:00:00.000Z",
        "updated_at": "2026-11-25T10:00:00.000Z", "filter": pros(), "operator": "AND",
        "audience_version": 1, "member_count": 1})
    };
    let put_body = object([
        ("name", nullable(name())),
        ("description", description()),
        ("operator", nullable(one_of(&["AND", "OR"]))),
        ("filter", nullable(rule())),
    ]);
    let sample = || json!({"type": ["integer", "null"], "minimum": 0, "maximum": SAMPLE_MAX});
    let asked = || {
        object([
            ("filter!", rule()),
            ("operator", nullable(one_of(&["AND", "OR"]))),
            ("sample", sample()),
        ])
    };
    let mut previewed = asked();
    previewed["properties"]["as_of"] = json!({
        "type": ["integer", "string", "null"],
        "description": "A position or a time that is not in the future; the present unless given."});
    let past = || json!({"type": "string", "description": "A time that is not in the future."});
    let backtested = object([
        ("filter!", rule()),
        ("operator", nullable(one_of(&["AND", "OR"]))),
        ("from!", past()),
        ("to!", past()),
        (
            "step!",
            json!({"type": "string", "description": "An ISO 8601 duration, such as P1D."}),
        ),
    ]);
    let named = |name: &'static str, schema: Value| {
        let mut set = json!({"type": "object", "required": [name], "additionalProperties": false,
                             "properties": {name: schema}});
        if name == "tenant" {
            set["properties"]["descendants"] = boolean();
        }
        set
    };
    let several = || {
        json!({"type": "array", "minItems": 1, "items": {"type": "object",
        "description": "A set, or a combination of sets."}})
    };
    let set = json!({"oneOf": [
        named("union", several()), named("intersect", several()), named("except", several()),
        named("list", json!({"type": "string", "description": "An id or a pattern."})),
        named("audience", id()), named("tenant", id()),
    ]});
    vec![
        paged(get("/audiences", "Audiences, by id")).answers::<audiences::AudiencesPage>(
            200,
            json!({"items": [audience()],
                                                             "paging": last_page()}),
        ),
        get("/audiences/{audience_id}", "An audience")
            .answers::<audiences::Audience>(200, audience()),
        put(
            "/audiences/{audience_id}",
            "Define an audience; what is left out stays",
        )
        .may_ask(put_body, json!({"name": "Pros", "filter": pros()}))
        .answers::<audiences::Defined>(200, json!({"audience": audience()})),
        delete("/audiences/{audience_id}", "Delete an audience").answers_nothing(),
        paged(get(
            "/audiences/{audience_id}/members",
            "Members, by when they were first heard of",
        ))
        .answers::<audiences::MembersPage>(
            200,
            json!({
                "items": [{"member_id": "ada", "audience_id": "pros",
                           "added_at": "2026-11-25T10:00:00.000Z", "audience_version": 1,
                           "reason": "EQ('plan', 'pro') => true"}],
                "paging": last_page()}),
        ),
        post(
            "/v1/audiences/preview",
            "How many a rule would match, and some of them",
        )
        .asks(previewed, json!({"filter": pros(), "sample": 10}))
        .answers::<preview::PreviewAnswer>(200, json!({"count": 1, "total": 2, "sample": ["ada"]})),
        post(
            "/v1/audiences/backtest",
            "How many a rule would have matched, step by step",
        )
        .asks(
            backtested,
            json!({"filter": pros(), "from": "2026-11-24T00:00:00Z",
                   "to": "2026-11-25T00:00:00Z", "step": "P1D"}),
        )
        .answers::<backtest::BacktestAnswer>(
            200,
            json!({"points": [{"at": "2026-11-24T00:00:00.000Z", "position": 0, "count": 0},
                              {"at": "2026-11-25T00:00:00.000Z", "position": 7, "count": 1}]}),
        ),
        post(
            "/v1/audiences/{audience_id}/diff",
            "Who would join and who would leave with another rule",
        )
        .asks(asked(), json!({"filter": pros()}))
        .answers::<preview::DiffAnswer>(
            200,
            json!({
                "joining": {"count": 0, "sample": []}, "leaving": {"count": 0, "sample": []}}),
        ),
        paged_strictly(get(
            "/v1/audiences/{audience_id}/changes",
            "Who joined and who left, and why",
        ))
        .query("after", "Only after this position.", if_any(&position()))
        .answers::<explain::ChangesPage>(
            200,
            json!({
                "items": [{"user_id": "ada", "change": "joined", "position": 7,
                           "at": "2026-11-25T10:00:00.000Z", "version": 1,
                           "reason": "EQ('plan', 'pro') => true",
                           "cause": {"position": 7, "type": "profile.updated"}}],
                "paging": last_page()}),
        ),
        get("/v1/explain", "Why somebody is in an audience or not")
            .required_query("audience_id", "The audience.", id())
            .required_query("user_id", "The user.", id())
            .answers::<explain::Explanation>(
                200,
                json!({
                "member": true, "has_profile": true, "since": 7,
                "added_at": "2026-11-25T10:00:00.000Z",
                "cause": {"position": 7, "type": "profile.updated"}, "version": 1,
                "rule": {"operator": "AND", "result": true, "filters": []}}),
            ),
        paged_strictly(post("/v1/members/query", "Who is in a combination of sets"))
            .asks(
                set,
                json!({"intersect": [{"list": "news"}, {"tenant": "acme"}]}),
            )
            .answers::<members::QueryAnswer>(
                200,
                json!({
                "count": 1, "items": [{"user_id": "ada"}], "paging": last_page()}),
            ),
        paged_strictly(get(
            "/v1/users/{user_id}/audiences",
            "The audiences of a user, by id",
        ))
        .answers::<members::AudiencesOfUser>(
            200,
            json!({
                "items": [{"audience_id": "pros", "name": "Pros",
                           "added_at": "2026-11-25T10:00:00.000Z", "since": 7,
                           "audience_version": 1, "reason": "EQ('plan', 'pro') => true"}],
                "paging": last_page()}),
        ),
    ]
}

fn position() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn tenants() -> Vec<Doc> {
    let acme = || json!({"id": "acme", "name": "Acme", "parent_tenant_id": null});
    let default = object([
        ("id!", id()),
        ("status!", one_of(PreferenceStatus::NAMES)),
        ("has_custom_routing", boolean()),
        ("custom_routing", channels()),
    ]);
    let tenant = object([
        ("name!", name()),
        ("parent_tenant_id", nullable(id())),
        ("brand_id", nullable(id())),
        ("properties", optional_object()),
        ("user_profile", optional_object()),
        (
            "default_preferences",
            nullable(object([("items", nullable(array(&default, 1_000)))])),
        ),
    ]);
    let association = || {
        json!({"tenant_id": "acme", "user_id": "ada", "type": "user",
                                "profile": {"role": "admin"},
                                "created_at": "2026-11-25T10:00:00.000Z"})
    };
    let linked = |items: Value, url: &str| {
        json!({"items": items, "has_more": false, "type": "list",
                                                  "url": url, "next_url": null, "cursor": null})
    };
    let membership = || object([("profile", optional_object())]);
    let joining = object([(
        "tenants!",
        array(
            &object([("tenant_id!", id()), ("profile", optional_object())]),
            USER_TENANTS_MAX,
        ),
    )]);
    vec![
        paged(get("/tenants", "Tenants, by id"))
            .query("parent_tenant_id", "Only its direct children.", id_if_any())
            .query(
                "q",
                "Only those whose id or name begins so, whatever the case.",
                text(512),
            )
            .answers_page::<LinkedPage<tenants::Tenant>>(
                "TenantsPage",
                linked(json!([acme()]), "/tenants"),
            ),
        get(
            "/tenants/{tenant_id}",
            "A tenant, with how many users it has",
        )
        .answers::<tenants::Tenant>(200, acme()),
        put(
            "/tenants/{tenant_id}",
            "Make a tenant, or replace all that it is",
        )
        .asks(
            tenant,
            json!({"name": "Acme", "properties": {"plan": "pro"}}),
        )
        .answers::<tenants::Tenant>(200, acme()),
        delete(
            "/tenants/{tenant_id}",
            "Delete a tenant with its memberships",
        )
        .answers_nothing(),
        paged(get(
            "/tenants/{tenant_id}/users",
            "Members, in the order in which they joined",
        ))
        .answers_page::<LinkedPage<memberships::Association>>(
            "AssociationsPage",
            linked(json!([association()]), "/tenants/acme/users"),
        ),
        put(
            "/tenants/{tenant_id}/default_preferences/items/{topic_id}",
            "What holds of a topic for the tenant's users, unless they choose",
        )
        .asks(choice(), json!({"status": "OPTED_OUT"}))
        .answers_nothing(),
        delete(
            "/tenants/{tenant_id}/default_preferences/items/{topic_id}",
            "No default of the tenant's own",
        )
        .answers_nothing(),
        paged(get(
            "/users/{user_id}/tenants",
            "The memberships of a user, by tenant",
        ))
        .answers_page::<LinkedPage<memberships::Association>>(
            "AssociationsPage",
            linked(json!([association()]), "/users/ada/tenants"),
        ),
        put(
            "/users/{user_id}/tenants",
            "Make a user a member of tenants; other memberships stay",
        )
        .asks(
            joining,
            json!({"tenants": [{"tenant_id": "acme", "profile": {"role": "admin"}}]}),
        )
        .answers_nothing(),
        delete("/users/{user_id}/tenants", "End every membership of a user").answers_nothing(),
        get("/users/{user_id}/tenants/{tenant_id}", "A membership")
            .answers::<memberships::Association>(200, association()),
        put(
            "/users/{user_id}/tenants/{tenant_id}",
            "Make a user a member of a tenant",
        )
        .may_ask(membership(), json!({"profile": {"role": "admin"}}))
        .answers_nothing(),
        delete("/users/{user_id}/tenants/{tenant_id}", "End a membership").answers_nothing(),
    ]
}

fn device_tokens() -> Vec<Doc> {
    let shown = || {
        json!({"token": "abc", "provider_key": "apn", "status": "active",
                          "expiry_date": "2027-01-24T10:00:00.000Z",
                          "created_at": "2026-11-25T10:00:00.000Z",
                          "updated_at": "2026-11-25T10:00:00.000Z"})
    };
    let many = json!({"oneOf": [
        object([("tokens", array(&token_with_itself(), USER_TOKENS_MAX))]),
        array(&token_with_itself(), USER_TOKENS_MAX),
    ]});
    vec![
        get("/users/{user_id}/tokens", "The device tokens of a user")
            .answers::<tokens::Tokens>(200, json!({"tokens": [shown()]})),
        put(
            "/users/{user_id}/tokens",
            "Register device tokens; others stay",
        )
        .may_ask(
            many,
            json!({"tokens": [{"token": "abc", "provider_key": "apn"}]}),
        )
        .answers_nothing(),
        get("/users/{user_id}/tokens/{token}", "A device token").answers_as(
            200,
            "application/json",
            any_object(),
            shown(),
        ),
        put(
            "/users/{user_id}/tokens/{token}",
            "Register a device token, or replace what is known of it",
        )
        .asks(
            token(),
            json!({"provider_key": "apn", "device": {"platform": "ios"}}),
        )
        .answers_nothing(),
        patch_of(
            "/users/{user_id}/tokens/{token}",
            "Patch a device token (RFC 6902)",
        )
        .asks(
            patch(),
            json!({"patch": [{"op": "replace", "path": "/status", "value": "revoked"}]}),
        )
        .answers_nothing(),
        delete("/users/{user_id}/tokens/{token}", "Remove a device token").answers_nothing(),
    ]
}

fn preferences() -> Vec<Doc> {
    let shown = || {
        json!({"topic_id": "news", "topic_name": "News", "default_status": "OPTED_IN",
                          "status": "OPTED_OUT", "has_custom_routing": false})
    };
    let many = || {
        let mut one = choice_request();
        one["properties"]["topic_id"] = id();
        one["required"] = json!(["topic_id", "status"]);
        let topics = array(&one, CHOICES_MAX);
        object([("topics!", topics)])
    };
    // One that is refused is told, and holds up nothing.
    let tolerant = {
        let one = json!({"type": "object", "required": ["topic_id"],
                         "properties": {"topic_id": id()}});
        let mut topics = array(&json!({"anyOf": [choice_request(), one]}), CHOICES_MAX);
        topics["items"]["required"] = json!(["topic_id"]);
        topics["items"]["properties"] = json!({"topic_id": id()});
        topics["minItems"] = 1.into();
        object([("topics!", topics)])
    };
    let two = || json!({"topics": [{"topic_id": "news", "status": "OPTED_OUT"}]});
    let chosen = |deleted: bool| {
        let mut chosen = json!({"items": [{"topic_id": "news", "status": "OPTED_OUT",
                                "has_custom_routing": false, "custom_routing": []}], "errors": []});
        if deleted {
            chosen["deleted"] = json!([]);
        }
        chosen
    };
    let older = || json!({"categories": {"deals": {"status": "OPTED_OUT"}}});
    let hours = || json!({"time_zone": "Europe/Berlin", "from": "22:00", "to": "07:00"});
    vec![
        in_tenant(get(
            "/users/{user_id}/preferences",
            "What holds of every topic for a user",
        ))
        .answers::<preferences::Preferences>(
            200,
            json!({"items": [shown()],
                                                             "paging": last_page()}),
        ),
        in_tenant(post(
            "/users/{user_id}/preferences",
            "Choose about topics; what is refused holds up nothing",
        ))
        .asks(tolerant, two())
        .answers::<preferences::ManyChosen>(200, chosen(false)),
        in_tenant(put(
            "/users/{user_id}/preferences",
            "These are the choices, and no others",
        ))
        .asks(many(), two())
        .answers::<preferences::ManyChosen>(200, chosen(true)),
        in_tenant(get(
            "/users/{user_id}/preferences/{topic_id}",
            "What holds of a topic for a user",
        ))
        .answers::<preferences::OnePreference>(200, json!({"topic": shown()})),
        in_tenant(put(
            "/users/{user_id}/preferences/{topic_id}",
            "Choose about a topic",
        ))
        .asks(
            object([("topic!", choice_request())]),
            json!({"topic": {"status": "OPTED_OUT"}}),
        )
        .answers::<preferences::Stored>(200, json!({"message": "success"})),
        in_tenant(delete(
            "/users/{user_id}/preferences/{topic_id}",
            "Give up a choice",
        ))
        .answers_nothing(),
        paged(in_tenant(get(
            "/preferences/logs",
            "What was chosen and what before, newest first",
        )))
        .query("user_id", "Only of this user.", json!({"type": "string"}))
        .query("since", "Only from then on.", json!({"type": "string"}))
        .answers::<preferences::Log>(
            200,
            json!({
                "items": [{"id": "9", "timestamp": "2026-11-25T10:00:00.000Z", "user_id": "ada",
                           "topic_id": "news", "topic_name": "News", "status": "OPTED_OUT",
                           "has_custom_routing": false, "custom_routing": []}],
                "paging": last_page()}),
        ),
        get(
            "/preferences/{recipient_id}",
            "What a user chose in the older form",
        )
        .answers_as(200, "application/json", any_object(), older()),
        put(
            "/preferences/{recipient_id}",
            "Replace what a user chose in the older form",
        )
        .asks(recipient_preferences(), older())
        .answers::<Success>(200, success()),
        patch_of(
            "/preferences/{recipient_id}",
            "Merge into what a user chose in the older form (RFC 7396)",
        )
        .asks(recipient_preferences(), older())
        .answers::<Success>(200, success()),
        in_tenant(get(
            "/v1/users/{user_id}/effective-preferences",
            "What holds of every topic and channel, and who says so",
        ))
        .answers::<preferences::Effective>(
            200,
            json!({
            "user_id": "ada", "tenant_id": null, "tenant_inferred": false,
            "at": "2026-11-25T10:00:00.000Z", "quiet_hours": null,
            "items": [], "paging": last_page()}),
        ),
        get(
            "/v1/users/{user_id}/quiet-hours",
            "When a user wants to be left alone",
        )
        .answers::<preferences::QuietHoursAnswer>(200, json!({"quiet_hours": null})),
        put(
            "/v1/users/{user_id}/quiet-hours",
            "Set when a user wants to be left alone",
        )
        .asks(quiet_hours(), hours())
        .answers_nothing(),
        delete("/v1/users/{user_id}/quiet-hours", "No quiet hours").answers_nothing(),
    ]
}

fn topics() -> Vec<Doc> {
    let topic = || {
        json!({
        "id": "news", "name": "News", "default_status": "OPTED_IN", "allowed_preferences": [],
        "include_unsubscribe_header": false, "routing_options": [], "topic_data": {},
        "created": "2026-11-25T10:00:00.000Z", "updated": "2026-11-25T10:00:00.000Z"})
    };
    let section = || {
        json!({
        "id": "product", "name": "Product", "has_custom_routing": false, "routing_options": [],
        "topics": [topic()], "created": "2026-11-25T10:00:00.000Z",
        "updated": "2026-11-25T10:00:00.000Z"})
    };
    let section_body = |with_id: bool| {
        let mut body = object([
            ("name!", name()),
            ("description", description()),
            ("has_custom_routing", boolean()),
            ("routing_options", channels()),
        ]);
        if with_id {
            body["properties"]["id"] = nullable(id());
        }
        body
    };
    let topic_body = |with_id: bool| {
        let mut body = object([
            ("name!", name()),
            ("default_status!", one_of(PreferenceStatus::NAMES)),
            ("description", description()),
            ("allowed_preferences", controls()),
            ("include_unsubscribe_header", boolean()),
            ("routing_options", channels()),
            ("topic_data", optional_object()),
            ("digest", nullable(shaped(DIGEST))),
        ]);
        if with_id {
            body["properties"]["id"] = nullable(id());
        }
        body
    };
    let news = || json!({"name": "News", "default_status": "OPTED_IN"});
    vec![
        get("/preferences", "The catalogue in the oldest form").answers_as(
            200,
            "application/json",
            any_object(),
            json!({"uncategorized": [], "categories": []}),
        ),
        post("/preferences/publish", "Publish the preference page")
            .may_ask(
                object([
                    ("brand_id", nullable(id())),
                    ("heading", nullable(name())),
                    ("description", description()),
                ]),
                json!({"heading": "What would you like to hear of?"}),
            )
            .answers::<topics::Published>(
                200,
                json!({
                "page_id": "page_01", "published_at": "2026-11-25T10:00:00.000Z",
                "published_version": 1_764_064_800_000_u64}),
            ),
        get("/preferences/sections", "Sections with their topics, by id")
            .answers_page::<topics::Results<topics::Section>>(
                "SectionsPage",
                json!({"results": [section()]}),
            ),
        post("/preferences/sections", "Make a section")
            .asks(section_body(true), json!({"name": "Product"}))
            .answers::<topics::Section>(201, section()),
        get("/preferences/sections/{section_id}", "A section")
            .answers::<topics::Section>(200, section()),
        put(
            "/preferences/sections/{section_id}",
            "Replace all that a section is, but its topics",
        )
        .asks(section_body(false), json!({"name": "Product"}))
        .answers::<topics::Section>(200, section()),
        delete(
            "/preferences/sections/{section_id}",
            "Delete a section without topics",
        )
        .answers_nothing(),
        get(
            "/preferences/sections/{section_id}/topics",
            "The topics of a section, by id",
        )
        .answers_page::<topics::Results<topics::Topic>>(
            "TopicsPage",
            json!({"results": [topic()]}),
        ),
        post("/preferences/sections/{section_id}/topics", "Make a topic")
            .asks(topic_body(true), news())
            .answers::<topics::Topic>(201, topic()),
        get(
            "/preferences/sections/{section_id}/topics/{topic_id}",
            "A topic",
        )
        .answers::<topics::Topic>(200, topic()),
        put(
            "/preferences/sections/{section_id}/topics/{topic_id}",
            "Replace all that a topic is",
        )
        .asks(topic_body(false), news())
        .answers::<topics::Topic>(200, topic()),
        delete(
            "/preferences/sections/{section_id}/topics/{topic_id}",
            "Delete a topic; choices outlive it",
        )
        .answers_nothing(),
        delete(
            "/preferences/sections/{section_id}/topics/{topic_id}/digest",
            "No digest any more",
        )
        .answers_nothing(),
        post(
            "/preferences/sections/{section_id}/topics/{topic_id}/digest/release",
            "Release a user's digest; digests are not collected yet",
        )
        .asks(
            object([("user_id!", id()), ("tenant_id", nullable(id()))]),
            json!({"user_id": "ada"}),
        )
        .answers_nothing(),
    ]
}

fn brands() -> Vec<Doc> {
    let acme = || {
        json!({"id": "acme", "name": "Acme", "created": 1_764_064_800_000_u64,
                         "updated": 1_764_064_800_000_u64, "published": 1_764_064_800_000_u64,
                         "version": "2026-11-25T10:00:00.000Z", "settings": {}, "snippets": null})
    };
    let settings = shaped(BRAND_SETTINGS);
    let body = |with_id: bool| {
        let mut body = object([
            ("name!", name()),
            ("settings", nullable(settings.clone())),
            ("snippets", nullable(shaped(BRAND_SNIPPETS))),
        ]);
        if with_id {
            body["properties"]["id"] = nullable(id());
            body["properties"]["settings"] = settings.clone();
            body["required"] = json!(["name", "settings"]);
        }
        body
    };
    let asked = || json!({"name": "Acme", "settings": {"colors": {"primary": "#000000"}}});
    vec![
        paged(get("/brands", "Brands, by id")).answers::<brands::BrandsPage>(
            200,
            json!({"results": [acme()], "paging": last_page()}),
        ),
        post("/brands", "Make a brand")
            .asks(body(true), asked())
            .answers::<brands::Brand>(200, acme()),
        get("/brands/{brand_id}", "A brand").answers::<brands::Brand>(200, acme()),
        put("/brands/{brand_id}", "Replace all that a brand is")
            .asks(body(false), asked())
            .answers::<brands::Brand>(200, acme()),
        delete("/brands/{brand_id}", "Delete a brand that nobody uses").answers_nothing(),
    ]
}

fn users() -> Vec<Doc> {
    let user = object([
        ("user_id!", id()),
        ("profile", optional_object()),
        (
            "lists",
            json!({"type": ["array", "null"], "maxItems": LISTS_MAX}),
        ),
        (
            "tenants",
            json!({"type": ["array", "null"], "maxItems": USER_TENANTS_MAX}),
        ),
        ("preferences", json!({"type": ["array", "null"]})),
        ("recipient_preferences", nullable(recipient_preferences())),
        ("quiet_hours", nullable(quiet_hours())),
        (
            "tokens",
            nullable(array(&token_with_itself(), USER_TOKENS_MAX)),
        ),
    ]);
    let batch = object([
        (
            "users!",
            array(
                &json!({"anyOf": [user, {"description": "Anything else is told as an error."}]}),
                USERS_MAX,
            ),
        ),
        ("restore", boolean()),
    ]);
    let row = || json!({"user_id": "ada", "profile": {"email": "ada@example.com"}});
    vec![
        paged_strictly(get(
            "/v1/users",
            "Everybody of whom anything is known, by user id",
        ))
        .query(
            "q",
            "How the user id, e-mail address, name or phone number begins.",
            text(512),
        )
        .answers::<users::UsersPage>(
            200,
            json!({
                "items": [{"user_id": "ada", "profile": {"email": "ada@example.com"},
                           "created": "2026-11-25T10:00:00.000Z",
                           "updated": "2026-11-25T10:00:00.000Z"}],
                "paging": last_page(), "count": 1}),
        ),
        get("/v1/users/{user_id}", "Everything about a user").answers::<users::User>(
            200,
            json!({
            "user_id": "ada", "profile": {"email": "ada@example.com"},
            "created": "2026-11-25T10:00:00.000Z", "updated": "2026-11-25T10:00:00.000Z",
            "tokens": [], "lists": [], "audiences": [], "tenants": [], "preferences": [],
            "recipient_preferences": null, "quiet_hours": null,
            "counts": {"tokens": 0, "lists": 0, "audiences": 0, "tenants": 0, "preferences": 0}}),
        ),
        delete("/v1/users/{user_id}", "Delete everything about a user").answers_as(
            200,
            "application/json",
            object([("removed!", any_object())]),
            json!({"removed": {"profile": true, "tokens": [], "lists": [], "audiences": [],
                               "tenants": [], "preferences": [], "recipient_preferences": false,
                               "quiet_hours": false}}),
        ),
        post("/v1/users/{user_id}/erase", "Erase a user for ever")
            .answers::<users::Erased>(200, json!({"erased": true, "position": 42})),
        paged_strictly(get(
            "/v1/users:batch",
            "Everybody, in the form in which they are taken in",
        ))
        .answers::<users::batch::RowsPage>(200, json!({"items": [row()], "paging": last_page()})),
        post(
            "/v1/users:batch",
            "Write many users, each as a whole or not at all",
        )
        .asks(batch, json!({"users": [row()]}))
        .answers::<users::batch::Written>(200, json!({"accepted": 1, "errors": []})),
        in_tenant(get(
            "/v1/users/{user_id}/effective-profile",
            "The profile with which a user is reached, and where it comes from",
        ))
        .answers::<users::effective_profile::EffectiveProfile>(
            200,
            json!({
            "user_id": "ada", "tenant_id": null, "tenant_inferred": false,
            "profile": {"email": "ada@example.com"}, "sources": {"/email": {"layer": "profile"}},
            "brand_id": null, "brand_from": null, "properties": {}, "property_sources": {}}),
        ),
    ]
}

fn events() -> Vec<Doc> {
    let event = || {
        json!({
        "position": 7, "stream": "profile-ada", "version": 1,
        "id": "0197a0c2-7d00-7000-8000-000000000000", "type": "profile.updated", "schema": 1,
        "recorded_at": "2026-11-25T10:00:00.000000000Z",
        "actor": {"id": "key", "name": "backend", "on_behalf_of": null}, "tenant_id": null,
        "correlation_id": "request-1", "causation_id": null,
        "command_id": "0197a0c2-7d00-7000-8000-000000000000", "subjects": ["ada"], "data": {}})
    };
    let text = || json!({"type": "string"});
    let mut timeline_event = event();
    timeline_event["changes"] =
        json!([{"path": "/profile/address/city", "before": "Ghent", "after": "Bruges"}]);
    let filtered = |doc: Doc| {
        doc.query(
            "stream",
            "The name of a stream, such as `profile-ada`.",
            text(),
        )
        .query("type", "A type, or the beginning of one and `*`.", text())
        .query("subject", "A user id.", text())
        .query("actor", "The id of a credential.", text())
        .query("correlation_id", "The id of a request.", text())
    };
    vec![
        filtered(paged_strictly(in_tenant(get(
            "/v1/events",
            "What happened",
        ))))
        .query("after", "Only after this position.", if_any(&position()))
        .query("before", "Only before this position.", if_any(&position()))
        .query("since", "Recorded then or later.", if_any(&moment()))
        .query("until", "Recorded then or earlier.", if_any(&moment()))
        .query(
            "order",
            "Oldest first unless `desc`.",
            one_of(&["asc", "desc"]),
        )
        .answers::<events::EventsPage>(200, json!({"items": [event()], "paging": last_page()})),
        filtered(in_tenant(get(
            "/v1/events/stream",
            "What happens, as it happens",
        )))
        .query(
            "after",
            "Only after this position; from now on unless given. `Last-Event-ID` wins over it.",
            if_any(&position()),
        )
        .answers_as(
            200,
            "text/event-stream",
            text(),
            json!("id: 7\ndata: {\"position\":7}\n\n"),
        ),
        paged_strictly(get(
            "/v1/users/{user_id}/timeline",
            "Everything that happened to a person, and which fields it changed",
        ))
        .query(
            "order",
            "Newest first unless `asc`.",
            one_of(&["asc", "desc"]),
        )
        .answers::<users::timeline::TimelinePage>(
            200,
            json!({"items": [timeline_event], "paging": last_page()}),
        ),
        get("/v1/events/{position}", "One event").answers_as(
            200,
            "application/json",
            any_object(),
            event(),
        ),
    ]
}

fn checking() -> Vec<Doc> {
    let text = |doc: Doc, example: &str| {
        let schema = json!({"type": "string"});
        doc.answers_as(200, "text/plain", schema, json!(example))
    };
    let octets = |doc: Doc| {
        let schema = json!({"type": "string", "format": "binary"});
        doc.answers_as(200, "application/octet-stream", schema, json!(""))
    };
    let checkpoint = "example.com/log\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n\
                      \u{2014} example.com/log …\n";
    let size = || json!({"type": "integer", "minimum": 0});
    let proof = format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{checkpoint}");
    vec![
        get(
            "/v1/backup",
            "Everything after a position, to be kept elsewhere (`muster backup`)",
        )
        .query(
            "after",
            "What the backup holds already; nothing unless given.",
            if_any(&position()),
        )
        .answers_as(
            200,
            "application/octet-stream",
            json!({"type": "string", "format": "binary"}),
            json!(""),
        ),
        text(
            get(
                "/v1/log/checkpoint",
                "How large the log is and which root it has, signed (c2sp.org/tlog-checkpoint)",
            ),
            checkpoint,
        ),
        text(
            get(
                "/v1/log/proof/inclusion",
                "That a record is in the log (c2sp.org/tlog-proof)",
            )
            .required_query(
                "position",
                "Which record; its index in the tree is one less.",
                json!({"type": "integer", "minimum": 1}),
            )
            .query(
                "size",
                "In the tree of the first so many records; of all unless given.",
                if_any(&size()),
            ),
            &proof,
        ),
        text(
            get(
                "/v1/log/proof/consistency",
                "That the log only grew: `old` and the smaller size, hashes, a checkpoint",
            )
            .required_query("from", "The smaller size.", size())
            .query(
                "to",
                "The larger size; that of the whole log unless given.",
                if_any(&size()),
            ),
            &format!("old 0\n\n{checkpoint}"),
        ),
        text(
            get(
                "/v1/log/keys",
                "The verifier keys, the one that signs now first, and how each followed",
            ),
            "example.com/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        ),
        post(
            "/v1/tenants/{tenant_id}/log/checkpoint",
            "Have the log take note of how much there is about a tenant",
        )
        .answers::<log::TenantHistory>(
            200,
            json!({"size": 12, "root": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                   "through": 4711}),
        ),
        octets(get(
            "/v1/log/tile/{*tile}",
            "Hashes of the tree (c2sp.org/tlog-tiles): `level/index` or `level/index.p/width`",
        )),
        octets(get(
            "/v1/log/records/{position}",
            "A record as it is stored, which is what the tree covers",
        )),
    ]
}

fn keys() -> Vec<Doc> {
    let key = || {
        json!({"id": "0197a0c2-7d00-7000-8000-000000000000", "name": "backend",
                        "prefix": "mk_Ab3dE", "scopes": ["profiles:read"], "tenant_id": null,
                        "created_at": "2026-11-25T10:00:00.000Z", "expires_at": null,
                        "revoked_at": null, "last_used_at": null})
    };
    let new = || {
        let mut new = key();
        new["key"] = "mk_…".into();
        new
    };
    let words = auth::Scope::EVERY.iter().map(|scope| scope.name());
    let words: Vec<&str> = std::iter::once(auth::ADMIN).chain(words).collect();
    let mut scopes = array(&one_of(&words), 64);
    scopes["minItems"] = 1.into();
    let body = object([
        ("name!", name()),
        ("scopes!", scopes),
        ("tenant_id", nullable(id())),
        ("expires_at", nullable(moment())),
    ]);
    let duration = || {
        json!({"type": ["string", "number"],
                             "description": "Seconds, or text such as `2 hours` or `1d`."})
    };
    let token = object([("scope!", text(8_192)), ("expires_in!", duration())]);
    vec![
        paged_strictly(get(
            "/v1/keys",
            "Every key that was ever issued, oldest first",
        ))
        .answers::<keys::KeysPage>(200, json!({"items": [key()], "paging": last_page()})),
        post(
            "/v1/keys",
            "Make a key, which can do no more than the one that makes it",
        )
        .asks(
            body,
            json!({"name": "backend", "scopes": ["profiles:read"]}),
        )
        .answers::<keys::NewKey>(201, new()),
        get("/v1/keys/{key_id}", "A key, but not the key itself").answers::<keys::Key>(200, key()),
        delete("/v1/keys/{key_id}", "Revoke a key").answers_nothing(),
        post(
            "/v1/keys/{key_id}/rotate",
            "Replace a key by one that is good for the same",
        )
        .may_ask(
            object([("grace", json!({"type": ["string", "number", "null"]}))]),
            json!({"grace": "2 hours"}),
        )
        .answers::<keys::NewKey>(201, new()),
        post(
            "/auth/issue-token",
            "Issue a token with which users reach what is theirs",
        )
        .asks(
            token,
            json!({"scope": "user_id:ada read:preferences", "expires_in": "2 hours"}),
        )
        .answers::<user_tokens::Issued>(200, json!({"token": "eyJ…"})),
    ]
}

fn webhooks() -> Vec<Doc> {
    let webhook = || {
        json!({"id": "0197a0c2-7d00-7000-8000-000000000000", "url": "https://example.com/hook",
                          "types": ["profile.*", "audiences:user:matched"], "audience_id": null,
                          "created_at": "2026-11-25T10:00:00.000Z", "position": 7, "behind": 0,
                          "pending": 0, "failing": 0, "dead_letters": 0})
    };
    let new = || {
        let mut new = webhook();
        new["secret"] = "whsec_…".into();
        new
    };
    let mut types = array(&text(1_024), WEBHOOK_TYPES_MAX);
    types["minItems"] = 1.into();
    let body = object([
        ("url!", text(URL_BYTES_MAX)),
        ("types!", types),
        ("audience_id", nullable(id())),
    ]);
    let delivery = json!({"position": 7, "part": 0, "subject": 3, "attempt": 1,
                          "at": "2026-11-25T10:00:00.000Z", "milliseconds": 12,
                          "status": 200, "error": null});
    let given_up = json!({"position": 7, "part": 0, "subject": 3, "attempts": 16,
                          "at": "2026-11-25T10:00:00.000Z", "status": 500, "error": "status"});
    vec![
        get("/v1/webhooks", "Every webhook, oldest first").answers::<webhooks::WebhooksPage>(
            200,
            json!({"items": [webhook()], "paging": last_page()}),
        ),
        post(
            "/v1/webhooks",
            "Have what happens from now on told to a URL",
        )
        .asks(
            body,
            json!({"url": "https://example.com/hook",
                       "types": ["profile.*", "audiences:user:matched"]}),
        )
        .answers::<webhooks::NewWebhook>(201, new()),
        get("/v1/webhooks/{webhook_id}", "A webhook, but not its secret")
            .answers::<webhooks::Webhook>(200, webhook()),
        delete("/v1/webhooks/{webhook_id}", "Remove a webhook").answers_nothing(),
        paged_strictly(get(
            "/v1/webhooks/{webhook_id}/deliveries",
            "The last attempts to tell it something, newest first",
        ))
        .answers::<webhooks::DeliveriesPage>(
            200,
            json!({"items": [delivery], "paging": last_page()}),
        ),
        paged_strictly(get(
            "/v1/webhooks/{webhook_id}/dead-letters",
            "What was given up, oldest first",
        ))
        .answers::<webhooks::GivenUpPage>(200, json!({"items": [given_up], "paging": last_page()})),
        post(
            "/v1/webhooks/{webhook_id}/redeliver",
            "Tell it once more what happened at a position and since",
        )
        .asks(object([("from!", position())]), json!({"from": 7}))
        .answers::<webhooks::Redelivered>(202, json!({"from": 7})),
    ]
}

fn audit() -> Vec<Doc> {
    let event = || {
        json!({"auditEventId": "7", "actor": {"id": "environment"},
                          "source": "MUSTER_API_KEY", "target": "brand-acme",
                          "timestamp": "2026-11-25T10:00:00.000000000Z", "type": "brand.created"})
    };
    vec![
        paged(get("/audit-events", "Administrative acts, newest first"))
            .answers::<audit::AuditEventsPage>(
                200,
                json!({"results": [event()],
                                                           "paging": last_page()}),
            ),
        get("/audit-events/{audit_event_id}", "An administrative act")
            .answers::<audit::AuditEvent>(200, event()),
    ]
}

fn metrics() -> Doc {
    let doc = get("/metrics", "What the server counts").answers_as(
        200,
        "application/openmetrics-text",
        json!({"type": "string"}),
        json!("# EOF"),
    );
    Doc {
        area: "Server",
        ..doc
    }
}
