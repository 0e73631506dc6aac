//! Answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};
use sandkeep_objects::ByteStream;

use crate::fault::Fault;
use crate::throttle::Throttle;
use crate::xml::Xml;

/// The body of an answer.
pub(crate) type ReplyBody = UnsyncBoxBody<Bytes, sandkeep_objects::Error>;

/// An answer.
pub(crate) type Reply = Response<ReplyBody>;

/// A status and nothing else.
pub(crate) fn empty(status: StatusCode) -> Reply {
    with_body(status, Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// A document.
pub(crate) fn xml(status: StatusCode, document: String) -> Reply {
    let mut reply = with_body(status, full(document.into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    reply
}

/// Bytes as they come; `length` of them.
pub(crate) fn stream(status: StatusCode, length: u64, body: ByteStream) -> Reply {
    let frames = body.map_ok(Frame::data).inspect_err(|error| {
        // The status is gone already: closing the connection is how the client hears of it.
        tracing::error!(%error, "an object cannot be read to its end");
    });
    let mut reply = with_body(status, StreamBody::new(frames.boxed()).boxed_unsync());
    reply.headers_mut().insert(CONTENT_LENGTH, length.into());
    reply
}

/// Keeps something until the answer is sent, or given up.
pub(crate) fn holding(reply: Reply, held: impl Send + Unpin + 'static) -> Reply {
    reply.map(|body| Holding { body, _held: held }.boxed_unsync())
}

/// Sends a body no faster than it may be.
pub(crate) async fn throttled(reply: Reply, throttle: &Arc<Throttle>) -> Reply {
    // What is streamed says its length in a header, so that the body need not know it.
    if !reply.headers().contains_key(CONTENT_LENGTH) {
        throttle.take(reply.body().size_hint().exact().unwrap_or_default()).await;
        return reply;
    }
    let throttle = Arc::clone(throttle);
    reply.map(|body| {
        let slowly = BodyStream::new(body).and_then(move |frame| {
            let throttle = Arc::clone(&throttle);
            async move {
                throttle.take(frame.data_ref().map_or(0, Bytes::len) as u64).await;
                Ok(frame)
            }
        });
        StreamBody::new(slowly).boxed_unsync()
    })
}

/// A body with something that lives as long as it. Unlike a mapped body it still knows its length.
struct Holding<T> {
    body: ReplyBody,
    _held: T,
}

impl<T: Unpin> Body for Holding<T> {
    type Data = Bytes;
    type Error = sandkeep_objects::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Adds a header whose value comes from a client; what cannot be a header is left out.
pub(crate) fn add_header(reply: &mut Reply, name: impl TryInto<HeaderName>, value: &str) {
    if let (Ok(name), Ok(value)) = (name.try_into(), HeaderValue::from_bytes(value.as_bytes())) {
        reply.headers_mut().append(name, value);
    }
}

/// S3's error document.
pub(crate) fn fault(fault: &Fault, resource: &str, request_id: &str) -> Reply {
    if fault.status == StatusCode::NOT_MODIFIED {
        return empty(fault.status);
    }
    let mut document = Xml::document_without_namespace("Error");
    document.text("Code", fault.code).text("Message", &fault.message);
    for (name, value) in &fault.details {
        document.text(name, value);
    }
    document.text("Resource", resource).text("RequestId", request_id);
    let mut reply = xml(fault.status, document.finish());
    if let Some(size) = fault.object_size {
        add_header(&mut reply, CONTENT_RANGE, &format!("bytes */{size}"));
    }
    reply
}

fn with_body(status: StatusCode, body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    reply
}

fn full(bytes: Bytes) -> ReplyBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
