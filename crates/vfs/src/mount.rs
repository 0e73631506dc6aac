//! Making mounts: a detached mount and the connection that serves it.

use std::os::fd::OwnedFd;
use std::path::Path;

pub use sandkeep_fuse::{Connection, MountOptions, Mounted, Negotiated};

use crate::error::MountError;
use crate::{abort_connection, connection_id};

/// Opens `/dev/fuse`, mounts detached and answers FUSE_INIT, so that whoever serves the connection later, or takes
/// it over, never waits for it. Requests queue in the kernel until then.
///
/// # Errors
/// No `/dev/fuse`, no permission, or a kernel without the new mount API (below 5.2).
pub fn mount(options: &MountOptions) -> Result<Mounted, MountError> {
    Ok(sandkeep_fuse::mount(options)?)
}

/// Attaches a detached mount to a directory of the host.
///
/// # Errors
/// As move_mount(2).
pub fn attach(mount: &OwnedFd, directory: &Path) -> Result<(), MountError> {
    Ok(sandkeep_fuse::attach(mount, directory)?)
}

/// Ends every request of a connection with ECONNABORTED and all later ones with ENOTCONN.
/// Finds the connection by the device number of its mount.
///
/// # Errors
/// The kernel's control filesystem cannot be reached (it takes CAP_SYS_ADMIN in the initial user namespace where it is
/// not mounted).
pub fn abort(mount: &OwnedFd) -> Result<(), MountError> {
    abort_connection(connection_id(mount)?)
}
