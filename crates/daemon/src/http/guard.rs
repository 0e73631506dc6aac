//! What happens around every request: who may call, a request id, a log line, and an answer even to our own bugs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use sandkeep_api::{BridgeCode, ErrorCode, base32, checks};
use tracing::{Instrument, debug, error, info_span};
use url::form_urlencoded;

use super::{BridgeError, refusal};
use crate::services::Services;
use axum::response::IntoResponse;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_LENGTH: usize = 128;

/// Checks the bridge's id, then the key. Health is open to everyone.
pub(super) async fn authorize(
    State(services): State<Arc<Services>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if let Some(id) = bridge_id(path)
        && checks::bridge_sandbox_id(id).is_err()
    {
        return BridgeError::new(BridgeCode::InvalidRequest, "Invalid sandbox ID format").into_response();
    }
    match &services.settings.api_key {
        Some(key)
            if path.starts_with("/v1/")
                && !shown_key(request.headers()).is_some_and(|s| key.matches(s))
                && !key_of_query(request.uri()).is_some_and(|s| key.matches(s.as_bytes())) =>
        {
            refusal(
                request.uri(),
                BridgeCode::Unauthorized,
                ErrorCode::Unauthorized,
                "Unauthorized".to_owned(),
            )
        }
        _ => next.run(request).await,
    }
}

/// The id in `/v1/sandbox/{id}/...`, as written.
pub(super) fn bridge_id(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/sandbox/")?;
    rest.split('/').next().filter(|id| !id.is_empty())
}

/// The key of `Authorization: Bearer KEY`; the scheme in any letter case.
fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
}

/// The key of `?authorization=Bearer%20KEY`, for terminals: browsers send no headers with a WebSocket.
fn key_of_query(uri: &Uri) -> Option<String> {
    let path = uri.path();
    let is_terminal =
        matches!(path.split('/').collect::<Vec<_>>()[..], ["", "v1", "sandbox" | "sandboxes", _, "pty"]);
    let query = uri.query().filter(|_| is_terminal)?;
    let all = &mut form_urlencoded::parse(query.as_bytes());
    let (_, value) = all.find(|(name, _)| name == "authorization")?;
    let (scheme, key) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case("Bearer ").then(|| key.to_owned())
}

/// Names the request, logs it, and answers 500 where a handler panics.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let span = info_span!("request", id = id.to_str().unwrap_or_default(), %method, path = uri.path());
    let started = Instant::now();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| error!("a handler panicked"));
        let message = "internal error: the server's log has it under this request's id".to_owned();
        refusal(&uri, BridgeCode::InternalError, ErrorCode::InternalError, message)
    });
    let milliseconds = started.elapsed().as_millis();
    span.in_scope(|| debug!(status = response.status().as_u16(), milliseconds, "answered"));
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's, if it can be a log line's, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let usable = |value: &&HeaderValue| {
        value.len() <= MAX_REQUEST_ID_LENGTH && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers.get(&REQUEST_ID).filter(usable).cloned().unwrap_or_else(|| {
        let mut random = [0; 10];
        getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
        HeaderValue::from_str(&base32(&random)).expect("letters and digits")
    })
}
