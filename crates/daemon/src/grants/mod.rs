//! The endpoints inside sandboxes: listeners that the daemon makes and the gateway process serves, with grants.
//!
//! The gateway goes on serving when the daemon dies, and tells the next one what it serves. When the gateway dies, the
//! daemon makes new listeners for the next one.

mod buckets;
mod client;
mod limits;
mod protocol;
mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sandkeep_gateway::Grant;

pub(crate) use client::{GatewayControl, configure};
pub(crate) use limits::Limits;
pub(crate) use protocol::BucketStatus;
pub(crate) use server::serve;

/// The grants of a sandbox by their ids. Holds credentials: never log it.
pub(crate) type GrantsById = BTreeMap<String, Grant>;

/// Where the gateway process takes requests.
pub(crate) fn socket(run: &Path) -> PathBuf {
    run.join("gateway.sock")
}
