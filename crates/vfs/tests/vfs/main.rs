//! The wall of `vfs`: filesystems behind real mounts. Runs as root.

mod conformance;
