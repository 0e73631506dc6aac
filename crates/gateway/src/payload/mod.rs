//! The content of a request: unframed, bounded, and checked against everything the client said about it before the
//! store can publish it.

mod digests;
mod framing;
mod spool;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use sandkeep_objects::{Body, ByteStream, Error, LateChecksum, exact_length};

use crate::authentication::Authenticated;
use crate::fault::{Fault, Outcome};
use crate::inbound::Inbound;
use crate::reply::{Reply, add_header};

pub(crate) use digests::is_checksum;
#[cfg(feature = "fuzzing")]
pub(crate) use framing::{Piece, Unframer};
pub(crate) use spool::{SPOOL_LIMIT, Spool, Spooled};
use verify::Verifying;
pub(crate) use verify::verified;

/// Bytes of a PUT or part at most, as on S3.
const MAX_BODY: u64 = 5 * 1024 * 1024 * 1024;

/// A body that is about to be read.
pub(crate) struct Payload {
    length: u64,
    stream: ByteStream,
    verdict: Verdict,
}

/// What the check of a body found; shared with the stream that does the check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    state: Arc<Mutex<VerdictState>>,
    /// The checksum that was right.
    checksum: LateChecksum,
}

#[derive(Debug, Default)]
struct VerdictState {
    fault: Option<Fault>,
}

impl Verdict {
    /// Prefers what is wrong with the body to what the store says about it.
    pub(crate) fn or<T>(&self, outcome: sandkeep_objects::Result<T>) -> Outcome<T> {
        match (self.state().fault.take(), outcome) {
            (Some(fault), _) => Err(fault),
            (None, Err(Error::Corrupt { what })) => {
                Err(Fault::incomplete_body(format!("The body has {what}")))
            }
            (None, outcome) => Ok(outcome?),
        }
    }

    /// Repeats the checksum to the client.
    pub(crate) fn describe(&self, reply: &mut Reply) {
        if let Some(checksum) = self.checksum.get() {
            add_header(reply, checksum.algorithm.header(), &checksum.value);
            add_header(reply, "x-amz-checksum-type", checksum.kind().name());
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, VerdictState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Payload {
    /// Prepares the body of a request.
    pub(crate) fn of(headers: &HeaderMap, inbound: Inbound, authenticated: &Authenticated) -> Outcome<Self> {
        let length = content_length(headers, &inbound, authenticated)?;
        if length > MAX_BODY {
            return Err(Fault::too_large(MAX_BODY));
        }
        let verdict = Verdict::default();
        let verifying = Verifying::new(headers, inbound, authenticated, verdict.clone())?;
        Ok(Self { length, stream: exact_length(length, verifying.into_stream()), verdict })
    }

    /// For the store, with what tells afterwards how the check went.
    pub(crate) fn into_body(self) -> (Body, Verdict) {
        let checksum = self.verdict.checksum.clone();
        (Body::Verified { length: self.length, stream: self.stream, checksum }, self.verdict)
    }

    /// All of it, at most `limit` bytes.
    pub(crate) async fn collect(mut self, limit: u64) -> Outcome<Bytes> {
        if self.length > limit {
            return Err(Fault::bad("MaxMessageLengthExceeded", "Your request was too large."));
        }
        let mut collected = BytesMut::new();
        while let Some(chunk) = self.stream.next().await {
            collected.extend_from_slice(&self.verdict.or(chunk)?);
        }
        Ok(collected.freeze())
    }
}

/// Bytes of content, without framing.
fn content_length(headers: &HeaderMap, inbound: &Inbound, authenticated: &Authenticated) -> Outcome<u64> {
    let number = |name: &str| {
        let value =
            headers.get(name).map(|value| value.to_str().ok().and_then(|text| text.parse::<u64>().ok()));
        value.map(|parsed| parsed.ok_or_else(|| Fault::invalid_argument(format!("{name} is not a length"))))
    };
    let name = if authenticated.payload.is_chunked() {
        "x-amz-decoded-content-length"
    } else {
        CONTENT_LENGTH.as_str()
    };
    match number(name) {
        Some(length) => length,
        None if inbound.has_ended() => Ok(0),
        None => Err(Fault::new(
            http::StatusCode::LENGTH_REQUIRED,
            "MissingContentLength",
            format!("You must provide the {name} HTTP header."),
        )),
    }
}
