//! The runtime at its wall: real sandboxes on this host, as root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod destroy;
mod exec;
mod files;
mod isolation;
mod mounts;
mod world;
