//! Making mounts: a detached mount and the connection that serves it.

use std::os::fd::OwnedFd;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::MountError;

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
}

/// A filesystem that is mounted nowhere yet.
#[derive(Debug)]
pub struct Mounted {
    /// Serves it.
    pub connection: Connection,
    /// The detached mount: `move_mount` attaches it.
    pub mount: OwnedFd,
}

/// Opens `/dev/fuse`, mounts detached and answers FUSE_INIT, so that whoever serves the connection later, or takes
/// it over, never waits for it. Requests queue in the kernel until then.
///
/// # Errors
/// No `/dev/fuse`, no permission, or a kernel without the new mount API (below 5.2).
pub fn mount(options: &MountOptions) -> Result<Mounted, MountError> {
    todo!()
}

/// Attaches a detached mount to a directory of the host.
pub fn attach(mount: &OwnedFd, directory: &Path) -> Result<(), MountError> {
    todo!()
}

/// Ends every request of a connection with ECONNABORTED and all later ones with ENOTCONN.
/// Finds the connection by the device number of its mount.
pub fn abort(mount: &OwnedFd) -> Result<(), MountError> {
    todo!()
}
