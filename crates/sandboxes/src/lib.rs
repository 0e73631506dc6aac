//! Isolated processes on a Linux host.
//!
//! Owns namespaces, root filesystems, overlays, the agent (pid 1 of a sandbox), exec, files, cgroups, seccomp, attach
//! and detach of mounts. Depends on none of our other crates, so no credential type can reach it: mounts arrive as
//! descriptors.

mod agent;
mod attach;
mod cgroup;
mod error;
mod exec;
mod features;
mod files;
mod holders;
mod init;
mod launch;
mod mountinfo;
mod network;
mod overlay;
mod record;
mod remove;
mod runtime;
mod sandbox;
mod skeleton;
mod spec;
mod sys;
mod userns;

pub use cgroup::{CgroupVersion, Cgroups};
pub use error::Error;
pub use exec::{Command, ExecEvent, ExecRequest, Execution, ExitStatus};
pub use features::{Features, Finding, Need};
pub use runtime::{Runtime, RuntimeSettings};
pub use sandbox::{Detach, FileInfo, Frozen, Holder, Placement, Sandbox};
pub use spec::{Limits, Network, SandboxName, SandboxSpec};
