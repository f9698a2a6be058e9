use axum::routing::{delete, get, post, put};
use axum::{Router, middleware};
use tower::Layer as _;

use crate::error::ApiError;
use crate::request;
use crate::routes::{
    audiences, brands, events, explain, health, lists, members, memberships, metrics, preferences,
    preview, profiles, subscriptions, tenants, tokens, topics, users,
};
use crate::state::ApiState;

/// Every route of the server.
pub fn router(state: ApiState) -> Router {
    let authenticated = Router::new()
        .route("/profiles", get(profiles::page))
        .route(
            "/profiles/{user_id}",
            get(profiles::get)
                .post(profiles::merge)
                .put(profiles::replace)
                .patch(profiles::patch)
                .delete(profiles::delete),
        )
        .route(
            "/profiles/{user_id}/lists",
            get(subscriptions::lists_of_user)
                .post(subscriptions::subscribe_to_lists)
                .delete(subscriptions::leave_every_list),
        )
        .route("/lists", get(lists::page))
        .route(
            "/lists/{list_id}",
            get(lists::get).put(lists::put).delete(lists::delete),
        )
        .route("/lists/{list_id}/restore", put(lists::restore))
        .route(
            "/lists/{list_id}/subscriptions",
            get(subscriptions::subscribers)
                .post(subscriptions::add)
                .put(subscriptions::overwrite),
        )
        .route(
            "/lists/{list_id}/subscriptions/{user_id}",
            put(subscriptions::subscribe).delete(subscriptions::unsubscribe),
        )
        .route("/audiences", get(audiences::page))
        .route(
            "/audiences/{audience_id}",
            get(audiences::get)
                .put(audiences::put)
                .delete(audiences::delete),
        )
        .route("/audiences/{audience_id}/members", get(audiences::members))
        .route("/tenants", get(tenants::page))
        .route(
            "/tenants/{tenant_id}",
            get(tenants::get).put(tenants::put).delete(tenants::delete),
        )
        .route("/tenants/{tenant_id}/users", get(tenants::users))
        .route(
            "/tenants/{tenant_id}/default_preferences/items/{topic_id}",
            put(tenants::set_default_preference).delete(tenants::clear_default_preference),
        )
        .route(
            "/users/{user_id}/tenants",
            get(memberships::page)
                .put(memberships::join_many)
                .delete(memberships::leave_all),
        )
        .route(
            "/users/{user_id}/tenants/{tenant_id}",
            get(memberships::get)
                .put(memberships::join)
                .delete(memberships::leave),
        )
        .route(
            "/users/{user_id}/tokens",
            get(tokens::list).put(tokens::register_many),
        )
        .route(
            "/users/{user_id}/tokens/{token}",
            get(tokens::get)
                .put(tokens::register)
                .patch(tokens::patch)
                .delete(tokens::delete),
        )
        .route(
            "/users/{user_id}/preferences",
            get(preferences::page)
                .post(preferences::add_many)
                .put(preferences::replace_all),
        )
        .route(
            "/users/{user_id}/preferences/{topic_id}",
            get(preferences::get)
                .put(preferences::put)
                .delete(preferences::delete),
        )
        .route("/preferences", get(topics::catalogue))
        .route("/preferences/logs", get(preferences::logs))
        .route("/preferences/publish", post(topics::publish))
        .route(
            "/preferences/sections",
            get(topics::sections).post(topics::create_section),
        )
        .route(
            "/preferences/sections/{section_id}",
            get(topics::section)
                .put(topics::replace_section)
                .delete(topics::delete_section),
        )
        .route(
            "/preferences/sections/{section_id}/topics",
            get(topics::topics).post(topics::create_topic),
        )
        .route(
            "/preferences/sections/{section_id}/topics/{topic_id}",
            get(topics::topic)
                .put(topics::replace_topic)
                .delete(topics::delete_topic),
        )
        .route(
            "/preferences/sections/{section_id}/topics/{topic_id}/digest",
            delete(topics::remove_digest),
        )
        .route(
            "/preferences/sections/{section_id}/topics/{topic_id}/digest/release",
            post(topics::release_digest),
        )
        .route(
            "/preferences/{recipient_id}",
            get(preferences::recipient)
                .put(preferences::replace_recipient)
                .patch(preferences::merge_recipient),
        )
        .route("/brands", get(brands::page).post(brands::create))
        .route(
            "/brands/{brand_id}",
            get(brands::get).put(brands::replace).delete(brands::delete),
        )
        .route("/v1/users", get(users::page))
        .route(
            "/v1/users:batch",
            get(users::batch::rows).post(users::batch::write),
        )
        .route("/v1/users/{user_id}", get(users::get).delete(users::delete))
        .route(
            "/v1/users/{user_id}/effective-profile",
            get(users::effective_profile::get),
        )
        .route(
            "/v1/users/{user_id}/effective-preferences",
            get(preferences::effective),
        )
        .route(
            "/v1/users/{user_id}/quiet-hours",
            get(preferences::quiet_hours)
                .put(preferences::put_quiet_hours)
                .delete(preferences::delete_quiet_hours),
        )
        .route("/v1/audiences/preview", post(preview::preview))
        .route("/v1/audiences/{audience_id}/diff", post(preview::diff))
        .route("/v1/audiences/{audience_id}/changes", get(explain::changes))
        .route("/v1/explain", get(explain::explain))
        .route("/v1/members/query", post(members::query))
        .route("/v1/users/{user_id}/audiences", get(members::audiences))
        .route("/metrics", get(metrics::get))
        .route("/v1/events", get(events::page))
        .route("/v1/events/{position}", get(events::get))
        .fallback(async || ApiError::route_not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            request::authenticate,
        ));
    let public = Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    // The frame goes around the router as a whole: around each of its routes it would be cloned
    // with the route for every request.
    let frame = middleware::from_fn_with_state(state.clone(), request::frame);
    let routes: Router = public.merge(authenticated).with_state(state);
    Router::new().fallback_service(frame.layer(routes))
}
