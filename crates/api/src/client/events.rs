//! An answer that is a stream of events.

use std::collections::VecDeque;
use std::marker::PhantomData;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::sse::{Decoder, Event};

/// Events as they arrive. Dropping it closes the connection, which ends what the server does for it.
#[derive(Debug)]
pub struct EventStream<T> {
    body: Incoming,
    decoder: Decoder,
    ready: VecDeque<Event>,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> EventStream<T> {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, decoder: Decoder::default(), ready: VecDeque::new(), kind: PhantomData }
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<T, ClientError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(serde_json::from_str(&event.data).map_err(|_| ClientError::Interrupted));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    let data = frame.into_data().unwrap_or_default();
                    match self.decoder.push(&data) {
                        Ok(events) => self.ready.extend(events),
                        Err(_) => return Some(Err(ClientError::Interrupted)),
                    }
                }
                Err(_) => return Some(Err(ClientError::Interrupted)),
            }
        }
    }
}
