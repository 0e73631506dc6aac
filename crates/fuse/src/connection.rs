//! The nouns of a mount: what it is to be, what was agreed on, and the descriptors that hold it.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

/// How a mount shows itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountOptions {
    /// First column of the mount table. Never a host path or a credential.
    pub source: String,
    /// Shows as `fuse.<subtype>`.
    pub subtype: String,
    /// Every change fails with EROFS, in the kernel.
    pub read_only: bool,
    /// Other users than the mounting one may use it.
    pub allow_other: bool,
    /// Honour set-user-id files and device nodes (restored backups as overlay layers); else nosuid,nodev.
    pub trusted: bool,
    /// Read-ahead of the kernel in KiB.
    pub read_ahead_kib: u32,
}

/// What the kernel and we agreed on in FUSE_INIT. Whoever takes a connection over needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    /// Minor version of protocol 7.
    pub minor: u32,
    /// Flags agreed on (both words).
    pub flags: u64,
    /// Largest write in bytes.
    pub max_write: u32,
}

/// An established FUSE connection, not yet served. Its parts travel between processes.
#[derive(Debug)]
pub struct Connection {
    /// The open `/dev/fuse`.
    pub device: OwnedFd,
    /// The agreement.
    pub negotiated: Negotiated,
    /// [`request_memory`](crate::request_memory) in which unanswered requests are found again after a crash; whoever
    /// holds the connection keeps it together with the device. Without it the kernel is asked to send them again, which
    /// it can from Linux 6.9 on.
    pub requests: Option<OwnedFd>,
}

/// A filesystem that is mounted nowhere yet.
#[derive(Debug)]
pub struct Mounted {
    /// Serves it.
    pub connection: Connection,
    /// The detached mount: `move_mount` attaches it.
    pub mount: OwnedFd,
}
