//! Mounting by descriptor: fsopen(2), fsconfig(2), fsmount(2), move_mount(2).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::connection::{Connection, MountOptions, Mounted};
use crate::error::Error;
use crate::init::{self, MAX_REQUEST};

fn step(step: &'static str) -> impl FnOnce(Errno) -> Error {
    move |source| Error::Mount { step, source }
}

/// Opens `/dev/fuse`, makes a detached mount over it and answers FUSE_INIT.
///
/// # Errors
/// No `/dev/fuse`, no permission, or a kernel that is too old.
pub fn mount(options: &MountOptions) -> Result<Mounted, Error> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let device = rustix::fs::open("/dev/fuse", flags, Mode::empty()).map_err(Error::Device)?;
    let mount = detached(&device, options)?;
    let negotiated = init::answer(&device)?;
    raise_read_ahead(&mount, options.read_ahead_kib);
    Ok(Mounted { connection: Connection { device, negotiated, requests: None }, mount })
}

fn detached(device: &OwnedFd, options: &MountOptions) -> Result<OwnedFd, Error> {
    let context = fsopen("fuse", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
        Errno::NOSYS => Error::OldMountInterface,
        source => Error::Mount { step: "fsopen", source },
    })?;
    configure(context.as_fd(), device, options)?;
    fsconfig_create(context.as_fd()).map_err(step("fsconfig create"))?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes(options)).map_err(step("fsmount"))
}

fn configure(
    context: std::os::fd::BorrowedFd<'_>,
    device: &OwnedFd,
    options: &MountOptions,
) -> Result<(), Error> {
    let user = rustix::process::geteuid().as_raw().to_string();
    let group = rustix::process::getegid().as_raw().to_string();
    let number = std::os::fd::AsRawFd::as_raw_fd(device).to_string();
    let max_read = MAX_REQUEST.to_string();
    let strings: [(&'static str, &str); 7] = [
        ("source", &options.source),
        ("subtype", &options.subtype),
        ("fd", &number),
        ("rootmode", "40000"),
        ("user_id", &user),
        ("group_id", &group),
        ("max_read", &max_read),
    ];
    for (key, value) in strings {
        fsconfig_set_string(context, key, value).map_err(step(key))?;
    }
    let flags =
        [("default_permissions", true), ("allow_other", options.allow_other), ("ro", options.read_only)];
    for (flag, _) in flags.into_iter().filter(|(_, wanted)| *wanted) {
        fsconfig_set_flag(context, flag).map_err(step(flag))?;
    }
    Ok(())
}

fn attributes(options: &MountOptions) -> MountAttrFlags {
    let mut attributes = MountAttrFlags::empty();
    if !options.trusted {
        attributes |= MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    if options.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    attributes
}

/// Attaches a detached mount to a directory.
///
/// # Errors
/// As move_mount(2).
pub fn attach(mount: &OwnedFd, directory: &Path) -> Result<(), Error> {
    move_mount(mount, "", CWD, directory, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(step("move_mount"))
}

/// The agreement can only lower the kernel's default of 128 KiB; sysfs can raise it. Best effort: without it
/// (no /sys, not root) sequential reads ask for less at a time.
fn raise_read_ahead(mount: &OwnedFd, kib: u32) {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(status) = rustix::fs::statx(mount, "", flags, StatxFlags::empty()) else { return };
    let path = format!("/sys/class/bdi/{}:{}/read_ahead_kb", status.stx_dev_major, status.stx_dev_minor);
    if let Err(error) = std::fs::write(&path, kib.to_string()) {
        tracing::debug!(%error, path, "the kernel's read-ahead stays as it is");
    }
}
