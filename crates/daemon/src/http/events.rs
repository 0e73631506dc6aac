//! Answers that are streams of events.

use std::convert::Infallible;
use std::future::Future;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, Stream};
use sandkeep_api::sse;
use serde::Serialize;

/// An event without a name whose data is JSON.
pub(super) fn json_event(data: &impl Serialize) -> Bytes {
    sse::encode(None, &serde_json::to_string(data).expect("our events have string keys only")).into()
}

/// An event with a name whose data is JSON.
pub(super) fn named_event(name: &str, data: &impl Serialize) -> Bytes {
    sse::encode(Some(name), &serde_json::to_string(data).expect("our events have string keys only")).into()
}

/// Answers with what `next` makes of a state until it gives none. When the client leaves, the state is dropped.
pub(super) fn respond<S, F>(state: S, next: impl FnMut(S) -> F + Send + 'static) -> Response
where
    S: Send + 'static,
    F: Future<Output = Option<(Bytes, S)>> + Send + 'static,
{
    respond_with(stream::unfold(state, next))
}

fn respond_with(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures::StreamExt;
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], body).into_response()
}
