//! The runtime at its wall: real sandboxes on this host, as root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod destroy;
mod exec;
mod files;
mod isolation;
mod mounts;
mod processes;
mod sessions;
mod terminals;
mod world;
