//! The runtime at its wall: real sandboxes on this host, as root.

mod destroy;
mod exec;
mod files;
mod isolation;
mod mounts;
mod world;
