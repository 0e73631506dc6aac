//! How much of the gateway one sandbox gets.

use std::num::{NonZeroU64, NonZeroUsize};

use serde::{Deserialize, Serialize};

/// For each sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Requests served at once.
    pub(crate) requests: NonZeroUsize,
    /// Bytes of bodies per second, both ways together; none: as many as there is room for.
    pub(crate) bandwidth: Option<NonZeroU64>,
}
