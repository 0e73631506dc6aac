//! The bytes of a request as they arrive, and what happens with those that nobody read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Mutex;

use crate::fault::{Fault, Outcome};
use crate::throttle::Throttle;

/// A client that sends nothing for this long has gone.
const STALL: Duration = Duration::from_secs(60);

/// Bytes of a refused request that are read and thrown away, so that the client gets to read the answer. Closing
/// early would reset the connection under it.
const DRAIN: usize = 16 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

const UNTOUCHED: u8 = 0;
const STARTED: u8 = 1;
const ENDED: u8 = 2;

/// The body of a request; clones read the same body.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    body: Arc<Mutex<Incoming>>,
    progress: Arc<AtomicU8>,
    /// Whether the client waits for `100 Continue` before it sends the body.
    expects: bool,
    throttle: Option<Arc<Throttle>>,
    /// Whether there is no body. Then hyper sends no `100 Continue`, whatever the client expects.
    empty: bool,
}

impl Inbound {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap, throttle: Option<Arc<Throttle>>) -> Self {
        let empty = body.is_end_stream();
        let progress = if empty { ENDED } else { UNTOUCHED };
        Self {
            empty,
            throttle,
            body: Arc::new(Mutex::new(body)),
            progress: Arc::new(AtomicU8::new(progress)),
            expects: headers.contains_key(EXPECT),
        }
    }

    /// Whether there is no body, or all of it was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.progress.load(Ordering::Relaxed) == ENDED
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next(&self) -> Outcome<Option<Bytes>> {
        self.progress.fetch_max(STARTED, Ordering::Relaxed);
        match tokio::time::timeout(STALL, self.next_data()).await {
            Ok(outcome) => {
                if let (Ok(Some(data)), Some(throttle)) = (&outcome, &self.throttle) {
                    throttle.take(data.len() as u64).await;
                }
                outcome
            }
            Err(_) => Err(Fault::bad("RequestTimeout", "The body did not arrive within the timeout period.")),
        }
    }

    async fn next_data(&self) -> Outcome<Option<Bytes>> {
        let mut body = self.body.lock().await;
        loop {
            let Some(frame) = body.frame().await else {
                self.progress.store(ENDED, Ordering::Relaxed);
                return Ok(None);
            };
            let frame =
                frame.map_err(|error| Fault::incomplete_body(format!("The body ended early: {error}")))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Prepares the connection for the next request; false if it must be closed.
    ///
    /// aws-cli waits for ever on a connection that answered without the `100 Continue` it asked for and stays open.
    pub(crate) async fn settle(self) -> bool {
        if self.expects && (self.empty || !self.has_ended()) {
            return false;
        }
        self.has_ended() || tokio::time::timeout(DRAIN_TIME, self.drain()).await.unwrap_or(false)
    }

    async fn drain(&self) -> bool {
        let mut drained = 0;
        while drained < DRAIN {
            match self.next_data().await {
                Ok(Some(data)) => drained += data.len(),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}
