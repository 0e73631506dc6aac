//! The wall of `vfs`: filesystems behind real mounts. Runs as root.

mod conformance;
mod healing;
mod probe;
mod processes;
mod transport;
