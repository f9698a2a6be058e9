use std::collections::HashMap;
use std::time::Duration;

use auth::Grant::{
    ReadBrands, ReadInbox, ReadPreferences, ReadUserTokens, WriteBrands, WriteInbox,
    WritePreferences, WriteUserTokens,
};
use auth::Scope::{
    AudiencesRead, AudiencesWrite, AuditRead, BackupRead, BrandsRead, BrandsWrite, EventsRead,
    InboxRead, InboxWrite, KeysRead, KeysWrite, ListsRead, ListsWrite, LogVerify, MessagesRead,
    MessagesSend, MetricsRead, PreferencesRead, PreferencesWrite, ProfilesRead, ProfilesWrite,
    TemplatesRead, TemplatesWrite, TenantsRead, TenantsWrite, TokensRead, TokensWrite, TopicsRead,
    TopicsWrite, TrackWrite, UserTokensIssue, UsersErase, UsersRead, UsersWrite, WebhooksRead,
    WebhooksWrite,
};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::routing::get as answer_get;
use axum::{Router, middleware};
use tower::Layer as _;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

use crate::endpoint::Versioned::{
    Audience, Brand, Key, List, Membership, Profile, QuietHours, RecipientPreferences, Section,
    Subscription, Tenant, Token, Topic,
};
use crate::endpoint::{Endpoint, delete, get, needs, patch, post, put};
use crate::error::ApiError;
use crate::routes::{
    audiences, audit, backtest, backup, brands, bulk, events, explain, health, inbound, inbox,
    keys, lists, log, members, memberships, messages, metrics, pages, preferences, preview,
    profiles, resolve, send, subscriptions, templates, tenants, tokens, topics, user_tokens, users,
    webhooks,
};
use crate::state::ApiState;
use crate::{admission, openapi, request};

/// Everything that can be asked with a credential, and what it takes.
#[rustfmt::skip] // One line each, so that it reads as a table.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/profiles", profiles::page, needs(ProfilesRead).within()),
        get("/profiles/{user_id}", profiles::get, needs(ProfilesRead).within().version_of(Profile)),
        post("/profiles/{user_id}", profiles::merge, needs(ProfilesWrite).within().version_of(Profile)),
        put("/profiles/{user_id}", profiles::replace, needs(ProfilesWrite).within().version_of(Profile)),
        patch("/profiles/{user_id}", profiles::patch, needs(ProfilesWrite).within().version_of(Profile)),
        delete("/profiles/{user_id}", profiles::delete, needs(ProfilesWrite).within().version_of(Profile)),
        get("/profiles/{user_id}/lists", subscriptions::lists_of_user, needs(ListsRead).within()),
        post("/profiles/{user_id}/lists", subscriptions::subscribe_to_lists, needs(ListsWrite).within()),
        delete("/profiles/{user_id}/lists", subscriptions::leave_every_list, needs(ListsWrite)),
        get("/lists", lists::page, needs(ListsRead).within()),
        get("/lists/{list_id}", lists::get, needs(ListsRead).within().version_of(List)),
        put("/lists/{list_id}", lists::put, needs(ListsWrite).within().version_of(List)),
        delete("/lists/{list_id}", lists::delete, needs(ListsWrite).within().version_of(List)),
        put("/lists/{list_id}/restore", lists::restore, needs(ListsWrite).within()),
        get("/lists/{list_id}/subscriptions", subscriptions::subscribers, needs(ListsRead).within()),
        post("/lists/{list_id}/subscriptions", subscriptions::add, needs(ListsWrite).within()),
        put("/lists/{list_id}/subscriptions", subscriptions::overwrite, needs(ListsWrite)),
        put("/lists/{list_id}/subscriptions/{user_id}", subscriptions::subscribe, needs(ListsWrite).within().version_of(Subscription)),
        delete("/lists/{list_id}/subscriptions/{user_id}", subscriptions::unsubscribe, needs(ListsWrite).within().version_of(Subscription)),
        get("/audiences", audiences::page, needs(AudiencesRead)),
        get("/audiences/{audience_id}", audiences::get, needs(AudiencesRead).version_of(Audience)),
        put("/audiences/{audience_id}", audiences::put, needs(AudiencesWrite).version_of(Audience)),
        delete("/audiences/{audience_id}", audiences::delete, needs(AudiencesWrite).version_of(Audience)),
        get("/audiences/{audience_id}/members", audiences::members, needs(AudiencesRead)),
        post("/v1/audiences/preview", preview::preview, needs(AudiencesRead)),
        post("/v1/audiences/backtest", backtest::backtest, needs(AudiencesRead)),
        post("/v1/audiences/{audience_id}/diff", preview::diff, needs(AudiencesRead)),
        get("/v1/audiences/{audience_id}/changes", explain::changes, needs(AudiencesRead)),
        get("/v1/explain", explain::explain, needs(AudiencesRead)),
        post("/v1/members/query", members::query, needs(AudiencesRead).within()),
        get("/v1/users/{user_id}/audiences", members::audiences, needs(AudiencesRead)),
        get("/tenants", tenants::page, needs(TenantsRead).within()),
        get("/tenants/{tenant_id}", tenants::get, needs(TenantsRead).within().version_of(Tenant)),
        put("/tenants/{tenant_id}", tenants::put, needs(TenantsWrite).within().version_of(Tenant)),
        delete("/tenants/{tenant_id}", tenants::delete, needs(TenantsWrite).within().version_of(Tenant)),
        get("/tenants/{tenant_id}/users", tenants::users, needs(TenantsRead).within()),
        put("/tenants/{tenant_id}/default_preferences/items/{topic_id}", tenants::set_default_preference, needs(TenantsWrite).within().version_of(Tenant)),
        delete("/tenants/{tenant_id}/default_preferences/items/{topic_id}", tenants::clear_default_preference, needs(TenantsWrite).within().version_of(Tenant)),
        get("/users/{user_id}/tenants", memberships::page, needs(TenantsRead).within()),
        put("/users/{user_id}/tenants", memberships::join_many, needs(TenantsWrite).within()),
        delete("/users/{user_id}/tenants", memberships::leave_all, needs(TenantsWrite)),
        get("/users/{user_id}/tenants/{tenant_id}", memberships::get, needs(TenantsRead).within().version_of(Membership)),
        put("/users/{user_id}/tenants/{tenant_id}", memberships::join, needs(TenantsWrite).within().version_of(Membership)),
        delete("/users/{user_id}/tenants/{tenant_id}", memberships::leave, needs(TenantsWrite).within().version_of(Membership)),
        get("/users/{user_id}/tokens", tokens::list, needs(TokensRead).within().granted(ReadUserTokens)),
        put("/users/{user_id}/tokens", tokens::register_many, needs(TokensWrite).within().granted(WriteUserTokens)),
        get("/users/{user_id}/tokens/{token}", tokens::get, needs(TokensRead).within().granted(ReadUserTokens).version_of(Token)),
        put("/users/{user_id}/tokens/{token}", tokens::register, needs(TokensWrite).within().granted(WriteUserTokens).version_of(Token)),
        patch("/users/{user_id}/tokens/{token}", tokens::patch, needs(TokensWrite).within().granted(WriteUserTokens).version_of(Token)),
        delete("/users/{user_id}/tokens/{token}", tokens::delete, needs(TokensWrite).within().granted(WriteUserTokens).version_of(Token)),
        get("/users/{user_id}/preferences", preferences::page, needs(PreferencesRead).within().granted(ReadPreferences)),
        post("/users/{user_id}/preferences", preferences::add_many, needs(PreferencesWrite).within().granted(WritePreferences)),
        put("/users/{user_id}/preferences", preferences::replace_all, needs(PreferencesWrite).within().granted(WritePreferences)),
        get("/users/{user_id}/preferences/{topic_id}", preferences::get, needs(PreferencesRead).within().granted(ReadPreferences)),
        put("/users/{user_id}/preferences/{topic_id}", preferences::put, needs(PreferencesWrite).within().granted(WritePreferences)),
        delete("/users/{user_id}/preferences/{topic_id}", preferences::delete, needs(PreferencesWrite).within().granted(WritePreferences)),
        get("/preferences/logs", preferences::logs, needs(PreferencesRead)),
        get("/preferences/{recipient_id}", preferences::recipient, needs(PreferencesRead).within().version_of(RecipientPreferences)),
        put("/preferences/{recipient_id}", preferences::replace_recipient, needs(PreferencesWrite).within().version_of(RecipientPreferences)),
        patch("/preferences/{recipient_id}", preferences::merge_recipient, needs(PreferencesWrite).within().version_of(RecipientPreferences)),
        get("/v1/users/{user_id}/effective-preferences", preferences::effective, needs(PreferencesRead).within()),
        get("/v1/users/{user_id}/quiet-hours", preferences::quiet_hours, needs(PreferencesRead).within().version_of(QuietHours)),
        put("/v1/users/{user_id}/quiet-hours", preferences::put_quiet_hours, needs(PreferencesWrite).within().version_of(QuietHours)),
        delete("/v1/users/{user_id}/quiet-hours", preferences::delete_quiet_hours, needs(PreferencesWrite).within().version_of(QuietHours)),
        get("/preferences", topics::catalogue, needs(TopicsRead).shared()),
        post("/preferences/publish", topics::publish, needs(TopicsWrite)),
        get("/preferences/sections", topics::sections, needs(TopicsRead).shared()),
        post("/preferences/sections", topics::create_section, needs(TopicsWrite)),
        get("/preferences/sections/{section_id}", topics::section, needs(TopicsRead).shared().version_of(Section)),
        put("/preferences/sections/{section_id}", topics::replace_section, needs(TopicsWrite).version_of(Section)),
        delete("/preferences/sections/{section_id}", topics::delete_section, needs(TopicsWrite).version_of(Section)),
        get("/preferences/sections/{section_id}/topics", topics::topics, needs(TopicsRead).shared()),
        post("/preferences/sections/{section_id}/topics", topics::create_topic, needs(TopicsWrite)),
        get("/preferences/sections/{section_id}/topics/{topic_id}", topics::topic, needs(TopicsRead).shared().version_of(Topic)),
        put("/preferences/sections/{section_id}/topics/{topic_id}", topics::replace_topic, needs(TopicsWrite).version_of(Topic)),
        delete("/preferences/sections/{section_id}/topics/{topic_id}", topics::delete_topic, needs(TopicsWrite).version_of(Topic)),
        delete("/preferences/sections/{section_id}/topics/{topic_id}/digest", topics::remove_digest, needs(TopicsWrite).version_of(Topic)),
        post("/preferences/sections/{section_id}/topics/{topic_id}/digest/release", topics::release_digest, needs(TopicsWrite)),
        get("/brands", brands::page, needs(BrandsRead).shared().granted(ReadBrands)),
        post("/brands", brands::create, needs(BrandsWrite).granted(WriteBrands)),
        get("/brands/{brand_id}", brands::get, needs(BrandsRead).shared().granted(ReadBrands).version_of(Brand)),
        put("/brands/{brand_id}", brands::replace, needs(BrandsWrite).granted(WriteBrands).version_of(Brand)),
        delete("/brands/{brand_id}", brands::delete, needs(BrandsWrite).granted(WriteBrands).version_of(Brand)),
        get("/v1/users", users::page, needs(UsersRead).within()),
        get("/v1/users/{user_id}", users::get, needs(UsersRead).within()),
        delete("/v1/users/{user_id}", users::delete, needs(UsersWrite)),
        post("/v1/users/{user_id}/erase", users::erase, needs(UsersErase)),
        get("/v1/users:batch", users::batch::rows, needs(UsersRead)),
        post("/v1/users:batch", users::batch::write, needs(UsersWrite)),
        get("/v1/users/{user_id}/effective-profile", users::effective_profile::get, needs(UsersRead).within()),
        get("/v1/users/{user_id}/timeline", users::timeline::page, needs(EventsRead).within()),
        get("/v1/events", events::page, needs(EventsRead).within()),
        get("/v1/events/stream", events::stream::follow, needs(EventsRead).within()),
        get("/v1/events/{position}", events::get, needs(EventsRead).within()),
        get("/v1/log/checkpoint", log::checkpoint, needs(LogVerify).shared()),
        get("/v1/log/proof/inclusion", log::inclusion, needs(LogVerify).within()),
        get("/v1/log/proof/consistency", log::consistency, needs(LogVerify).shared()),
        get("/v1/log/keys", log::keys, needs(LogVerify).shared()),
        post("/v1/tenants/{tenant_id}/log/checkpoint", log::record_history, needs(TenantsWrite).within()),
        get("/v1/log/tile/{*tile}", log::tile, needs(LogVerify)),
        get("/v1/log/records/{position}", log::record, needs(EventsRead)),
        get("/audit-events", audit::page, needs(AuditRead)),
        get("/audit-events/{audit_event_id}", audit::get, needs(AuditRead)),
        get("/v1/keys", keys::list, needs(KeysRead)),
        post("/v1/keys", keys::create, needs(KeysWrite)),
        get("/v1/keys/{key_id}", keys::get, needs(KeysRead).version_of(Key)),
        delete("/v1/keys/{key_id}", keys::revoke, needs(KeysWrite).version_of(Key)),
        post("/v1/keys/{key_id}/rotate", keys::rotate, needs(KeysWrite)),
        post("/auth/issue-token", user_tokens::issue, needs(UserTokensIssue).within()),
        get("/v1/backup", backup::get, needs(BackupRead)),
        get("/v1/webhooks", webhooks::list, needs(WebhooksRead)),
        post("/v1/webhooks", webhooks::create, needs(WebhooksWrite)),
        get("/v1/webhooks/{webhook_id}", webhooks::get, needs(WebhooksRead)),
        delete("/v1/webhooks/{webhook_id}", webhooks::remove, needs(WebhooksWrite)),
        get("/v1/webhooks/{webhook_id}/deliveries", webhooks::deliveries, needs(WebhooksRead)),
        get("/v1/webhooks/{webhook_id}/dead-letters", webhooks::dead_letters, needs(WebhooksRead)),
        post("/v1/webhooks/{webhook_id}/redeliver", webhooks::redeliver, needs(WebhooksWrite)),
        post("/send", send::send, needs(MessagesSend)),
        post("/v1/resolve", resolve::resolve, needs(MessagesRead)),
        get("/messages", messages::page, needs(MessagesRead)),
        get("/messages/{message_id}", messages::get, needs(MessagesRead)),
        get("/messages/{message_id}/history", messages::history, needs(MessagesRead)),
        get("/messages/{message_id}/output", messages::output, needs(MessagesRead)),
        post("/messages/{message_id}/cancel", messages::cancel, needs(MessagesSend)),
        post("/messages/{message_id}/resend", messages::resend, needs(MessagesSend)),
        put("/requests/{request_id}/archive", messages::archive, needs(MessagesSend)),
        get("/v1/requests/{request_id}", messages::request, needs(MessagesRead)),
        get("/v1/messages/{message_id}/explain", messages::explain, needs(MessagesRead)),
        post("/bulk", bulk::create, needs(MessagesSend)),
        get("/bulk/{job_id}", bulk::get, needs(MessagesRead)),
        post("/bulk/{job_id}", bulk::ingest, needs(MessagesSend)),
        post("/bulk/{job_id}/run", bulk::run, needs(MessagesSend)),
        get("/bulk/{job_id}/users", bulk::users, needs(MessagesRead)),
        get("/tenants/{tenant_id}/templates", templates::page_of_tenant, needs(TemplatesRead).within()),
        get("/tenants/{tenant_id}/templates/{template_id}", templates::get_of_tenant, needs(TemplatesRead).within()),
        put("/tenants/{tenant_id}/templates/{template_id}", templates::put_of_tenant, needs(TemplatesWrite).within()),
        delete("/tenants/{tenant_id}/templates/{template_id}", templates::delete_of_tenant, needs(TemplatesWrite).within()),
        post("/tenants/{tenant_id}/templates/{template_id}/publish", templates::publish_of_tenant, needs(TemplatesWrite).within()),
        get("/tenants/{tenant_id}/templates/{template_id}/versions/{version}", templates::version_of_tenant, needs(TemplatesRead).within()),
        get("/v1/templates", templates::page, needs(TemplatesRead).shared()),
        post("/v1/templates", templates::create, needs(TemplatesWrite)),
        get("/v1/templates/{template_id}", templates::get, needs(TemplatesRead).shared()),
        put("/v1/templates/{template_id}", templates::put, needs(TemplatesWrite)),
        delete("/v1/templates/{template_id}", templates::archive, needs(TemplatesWrite)),
        post("/v1/templates/{template_id}/publish", templates::publish, needs(TemplatesWrite)),
        post("/inbound/courier", inbound::track, needs(TrackWrite)),
        get("/v1/users/{user_id}/inbox", inbox::page, needs(InboxRead).within().granted(ReadInbox)),
        get("/v1/users/{user_id}/inbox/unread", inbox::unread, needs(InboxRead).within().granted(ReadInbox)),
        get("/v1/users/{user_id}/inbox/stream", inbox::follow, needs(InboxRead).within().granted(ReadInbox)),
        post("/v1/users/{user_id}/inbox/marks", inbox::mark_many, needs(InboxWrite).within().granted(WriteInbox)),
        get("/v1/users/{user_id}/inbox/messages/{message_id}", inbox::get, needs(InboxRead).within().granted(ReadInbox)),
        get("/metrics", metrics::get, needs(MetricsRead)),
    ]
}

/// Which pages a browser lets ask; none, unless the operator names them.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let exposed = [
        "etag",
        "idempotent-replayed",
        "muster-position",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
        "x-request-id",
    ];
    let cors = CorsLayer::new()
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(Duration::from_mins(10));
    Some(if origins == ["*"] {
        cors.allow_origin(Any)
    } else {
        cors.allow_origin(AllowOrigin::list(origins.iter().cloned()))
    })
}

/// What can be read of a state of the past, for whoever was let in already.
pub(crate) fn past_router(state: ApiState) -> Router {
    let reading = endpoints()
        .into_iter()
        .filter(|it| it.method == Method::GET);
    let routes = reading.fold(Router::new(), |routes, endpoint| {
        routes.route(endpoint.path, endpoint.handler)
    });
    routes
        .fallback(async || ApiError::route_not_found())
        .with_state(state)
}

/// Every route of the server.
pub fn router(state: ApiState) -> Router {
    let mut routes = HashMap::new();
    let mut authenticated = Router::new();
    for endpoint in endpoints() {
        let by_method: &mut HashMap<_, _> = routes.entry(endpoint.path).or_default();
        by_method.insert(endpoint.method, endpoint.access);
        authenticated = authenticated.route(endpoint.path, endpoint.handler);
    }
    let admission = admission::Admission::new(state.clone(), routes);
    let authenticated = authenticated
        .fallback(async || ApiError::route_not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(middleware::from_fn_with_state(admission, admission::admit));
    let public = Router::new()
        .route("/healthz", answer_get(health::live))
        .route("/readyz", answer_get(health::ready))
        // The same for everybody, and nothing of anybody.
        // Links in messages are credentials of their own.
        .route(
            "/unsubscribe/{token}",
            answer_get(pages::unsubscribe).post(pages::confirm),
        )
        .route(
            "/preference-page/{token}",
            answer_get(pages::preference_page).post(pages::save),
        )
        .route("/openapi.json", answer_get(openapi::get))
        .route("/docs", answer_get(openapi::page))
        .route("/docs/page.js", answer_get(openapi::script))
        .route("/docs/page.css", answer_get(openapi::style))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    // The frame goes around the router as a whole: around each of its routes it would be cloned
    // with the route for every request.
    let frame = middleware::from_fn_with_state(state.clone(), request::frame);
    let cors = cors(&state.cors_origins);
    let routes: Router = public.merge(authenticated).with_state(state);
    let framed = frame.layer(routes);
    match cors {
        None => Router::new().fallback_service(framed),
        // A browser asks before it asks, and then has no credential yet.
        Some(cors) => Router::new().fallback_service(cors.layer(framed)),
    }
}
