//! The wall of `vfs`: filesystems behind real mounts. Runs as root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conformance;
mod healing;
mod probe;
mod processes;
mod transport;
