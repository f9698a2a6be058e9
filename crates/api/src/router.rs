use axum::routing::{get, post, put};
use axum::{Router, middleware};
use tower::Layer as _;

use crate::error::ApiError;
use crate::request;
use crate::routes::{
    audiences, events, explain, health, lists, members, metrics, preview, profiles, subscriptions,
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
