//! Isolated processes on a Linux host.
//!
//! Owns namespaces, root filesystems, overlays, the agent (pid 1 of a sandbox), exec, files, cgroups, seccomp, attach
//! and detach of mounts. Depends on none of our other crates, so no credential type can reach it: mounts arrive as
//! descriptors.

mod agent;
mod attach;
mod cgroup;
mod environment;
mod error;
mod exec;
mod features;
mod files;
mod follow;
mod holders;
mod init;
mod launch;
mod memory;
mod mountinfo;
mod network;
mod overlay;
mod process;
mod record;
mod remove;
mod ring;
mod runtime;
mod sandbox;
mod session;
mod skeleton;
mod spec;
mod sys;
mod terminal;
mod userns;

pub use cgroup::{CgroupVersion, Cgroups};
pub use error::Error;
pub use exec::{Command, ExecEvent, ExecRequest, Execution, ExitStatus};
pub use features::{Features, Finding, Need};
pub use process::{ProcessEvent, ProcessInfo, ProcessLog, ProcessRequest, ProcessStatus};
pub use runtime::{Runtime, RuntimeSettings};
pub use sandbox::{Detach, FileInfo, Frozen, Holder, Placement, Sandbox};
pub use session::{SessionCommand, SessionInfo, SessionLoss, SessionOptions};
pub use spec::{Limits, Network, SandboxName, SandboxSpec};
pub use terminal::{Terminal, TerminalEvent, TerminalInput, TerminalOutput, TerminalRequest};
