//! The HTTP contract of Sandkeep, both ends: routes, request and response types, error codes in both vocabularies, the
//! checks of everything that comes in, and a typed client.
//!
//! There are two sets of routes over the same sandboxes: the *bridge* under `/v1/sandbox/{id}` speaks snake_case codes
//! and ignores unknown fields; *ours* under `/v1/sandboxes/{id}` speak the SDK's SCREAMING_SNAKE codes and refuse them.
//! Knows none of our other crates and does no work of its own.

mod body;
mod bridge_code;
pub mod checks;
pub mod client;
mod code;
mod error;
mod id;
pub mod routes;
pub mod sse;
mod wire;

pub use body::{BridgeErrorBody, ErrorBody};
pub use bridge_code::BridgeCode;
pub use client::Client;
pub use code::ErrorCode;
pub use error::{ClientError, InvalidInput};
pub use id::{SandboxId, base32};
pub use wire::*;

/// The time for answers: in milliseconds, as dates of JavaScript are and the contract writes them.
pub fn now() -> jiff::Timestamp {
    let milliseconds = jiff::Timestamp::now().as_millisecond();
    jiff::Timestamp::from_millisecond(milliseconds).expect("it was a timestamp before")
}
