//! Why input is refused, and why a call of the client failed.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{ErrorBody, ErrorCode};

/// Input that a check refuses.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidInput {
    /// Which code answers it.
    pub code: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// Details for programs.
    pub context: Map<String, Value>,
}

impl InvalidInput {
    /// Refuses with a code and a reason.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), context: Map::new() }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }
}

/// A call that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Only `http://host[:port]` can be called.
    #[error("{url:?} is not the address of a server: http://HOST:PORT is")]
    InvalidAddress {
        /// What was given.
        url: String,
    },
    /// Nobody listens there, or the connection broke.
    #[error("no server answers at {address}; is `sandkeep serve` running?")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused, with its reason.
    #[error("{}", .0.message)]
    Refused(Box<ErrorBody>),
    /// The server answered something else than it should.
    #[error("the server at {address} answered {status} with something unexpected")]
    Unexpected {
        /// Scheme, host and port.
        address: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The stream of events ended or broke in the middle.
    #[error("the connection to the server broke")]
    Interrupted,
}

impl ClientError {
    /// The server's code, if it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(body) => Some(body.code),
            Self::InvalidAddress { .. }
            | Self::Unreachable { .. }
            | Self::Unexpected { .. }
            | Self::Interrupted => None,
        }
    }
}
