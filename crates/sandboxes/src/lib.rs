//! Isolated processes on a Linux host.
//!
//! Owns namespaces, root filesystems, overlays, the agent (pid 1 of a sandbox), exec, files, cgroups, seccomp, attach
//! and detach of mounts. Depends on none of our other crates, so no credential type can reach it: mounts arrive as
//! descriptors.

mod error;
mod exec;
mod runtime;
mod sandbox;
mod spec;

pub use error::Error;
pub use exec::{Command, ExecEvent, ExecRequest, Execution, ExitStatus};
pub use runtime::{Runtime, RuntimeSettings};
pub use sandbox::{Detach, FileInfo, Holder, Placement, Sandbox};
pub use spec::{Limits, Network, SandboxName, SandboxSpec};
