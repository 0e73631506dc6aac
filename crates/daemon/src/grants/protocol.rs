//! What daemon and gateway say to one another: one request for each connection.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::GrantsById;

/// Daemon to gateway.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Serve these grants and no others in the sandbox, on the listener that comes along, or on the one that is there.
    /// A new one serves that many requests at once.
    Serve { sandbox: String, grants: GrantsById, requests: NonZeroUsize },
    /// Close the listener of a sandbox; succeeds if there is none.
    Close { sandbox: String },
    /// Everything that is served.
    List,
}

/// Gateway to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// Nothing serves that sandbox yet: ask again, with a listener.
    NeedsListener,
    Served(BTreeMap<String, GrantsById>),
    Failed(String),
}
