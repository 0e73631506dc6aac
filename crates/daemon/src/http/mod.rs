//! The API over HTTP. Handlers are thin: they read, call a service and answer.

mod body;
mod bridge;
mod errors;
mod events;
mod guard;
mod ours;
mod terminal;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use sandkeep_api::{BridgeCode, ErrorCode};

use crate::services::Services;
use errors::{BridgeError, OurError};

/// Which vocabulary a path speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vocabulary {
    Bridge,
    Ours,
}

impl Vocabulary {
    fn of(path: &str) -> Self {
        let bridge = ["/v1/sandbox", "/v1/pool", "/v1/openapi", "/v1/openapi.json", "/v1/openapi.html"];
        let is_below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
        if bridge.iter().any(|root| path == *root || is_below(root)) { Self::Bridge } else { Self::Ours }
    }
}

/// All routes, with authorisation before them and request ids around them.
pub(crate) fn router(services: Arc<Services>) -> Router {
    Router::new()
        .merge(bridge::routes())
        .merge(ours::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&services), guard::authorize))
        .layer(from_fn(guard::observe))
        .with_state(services)
}

async fn no_such_route(method: Method, uri: Uri) -> Response {
    let message = format!("there is no {method} {}", uri.path());
    refusal(&uri, BridgeCode::NotFound, ErrorCode::RouteNotFound, message)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let message = format!("{} does not take {method}", uri.path());
    refusal(&uri, BridgeCode::MethodNotAllowed, ErrorCode::MethodNotAllowed, message)
}

/// The same refusal in the vocabulary of the path.
fn refusal(uri: &Uri, bridge: BridgeCode, ours: ErrorCode, message: String) -> Response {
    match Vocabulary::of(uri.path()) {
        Vocabulary::Bridge => BridgeError::new(bridge, message).into_response(),
        Vocabulary::Ours => OurError::new(ours, message).into_response(),
    }
}

#[cfg(test)]
mod tests;
