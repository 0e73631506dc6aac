//! FUSE connections by number, through the kernel's control filesystem (Documentation/filesystems/fuse.rst).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::error::MountError;

const CONTROL: &str = "/sys/fs/fuse/connections";

/// The kernel's number of the connection behind a mount. Never asks the server, so that it works on a mount that
/// nobody serves yet.
pub fn connection_id(mount: &OwnedFd) -> Result<u32, MountError> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let status =
        rustix::fs::statx(mount, "", flags, StatxFlags::empty()).map_err(|error| failed("statx", error))?;
    // The number is the minor half of the anonymous device, whose major is 0; see fuse_fill_super_common.
    Ok(status.stx_dev_minor)
}

/// Ends every request of a connection with ECONNABORTED and all later ones with ENOTCONN. Succeeds if it has ended.
pub fn abort_connection(id: u32) -> Result<(), MountError> {
    let abort = format!("{id}/abort");
    match std::fs::write(format!("{CONTROL}/{abort}"), "1") {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(MountError::Mount { step: "abort".into(), source }),
    }
    // Not mounted there, or the connection is gone: a mount of our own, attached nowhere, tells.
    let control = control_filesystem().map_err(|error| failed("fusectl", error))?;
    match rustix::fs::openat(&control, abort.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => rustix::io::write(&file, b"1").map(drop).map_err(|error| failed("abort", error)),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(failed("abort", error)),
    }
}

fn control_filesystem() -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("fusectl", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

fn failed(step: &str, error: rustix::io::Errno) -> MountError {
    MountError::Mount { step: step.into(), source: error.into() }
}
