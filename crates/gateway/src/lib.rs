//! The S3 endpoint: an HTTP server that speaks S3 over any [`sandkeep_objects::ObjectService`].
//!
//! Owns wire parsing, authentication (with `sandkeep-objects`' SigV4), routing, XML and access keys. Runs in a process
//! of its own, which alone owns the embedded store. Sandboxes are listeners with grants to it; it knows no mounts.

mod access;
mod authentication;
mod authorize;
mod call;
mod connections;
mod dates;
mod door;
mod error;
mod fair;
mod fault;
mod forms;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grants;
mod guests;
mod headers;
mod inbound;
mod key_file;
mod keys;
mod operations;
mod payload;
mod proxy;
mod query;
mod reply;
mod route;
mod serve;
mod tags;
mod target;
mod throttle;
mod tls;
mod xml;

pub use access::{Access, AccessMode, Place};
pub use error::Error;
pub use fair::FairQueue;
pub use grants::{Grant, Origin};
pub use keys::{AccessKey, KeyRing};
pub use proxy::{ALL_REQUESTS, SANDBOX_REQUESTS, SandboxEndpoint, SandboxLimits};
pub use serve::{Gateway, GatewaySettings};
pub use tls::TlsFiles;
