//! Making mounts: a detached mount and the connection that serves it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

pub use sandkeep_fuse::{Connection, MountOptions, Mounted, Negotiated, request_memory};

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
/// not mounted), and the mount is not attached in our mount namespace either.
pub fn abort(mount: &OwnedFd) -> Result<(), MountError> {
    match abort_connection(connection_id(mount)?) {
        Err(error) if force(mount).is_err() => Err(error),
        _ => Ok(()),
    }
}

/// Aborts by a forced unmount, which begins with an abort (fuse_umount_begin) and then always fails: our descriptor
/// keeps the mount busy. The way without the control filesystem, for user namespaces.
fn force(mount: &OwnedFd) -> Result<(), Errno> {
    let place = format!("/proc/self/fd/{}", mount.as_raw_fd());
    match rustix::mount::unmount(place, UnmountFlags::FORCE) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::TestMount;

    #[test]
    fn a_forced_unmount_aborts_and_leaves_the_mount() {
        let Mounted { connection, mount } = mount(&TestMount::options()).unwrap();
        let attached = TestMount::attach(&mount).unwrap();
        force(&mount).unwrap();
        let error = std::fs::metadata(attached.directory()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOTCONN.raw_os_error()));
        drop((connection, mount));
        attached.unmount().unwrap();
    }
}
