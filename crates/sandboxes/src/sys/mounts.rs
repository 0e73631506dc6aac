//! Detached mounts: making, cloning, changing and attaching them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::check;

const AT_EMPTY_PATH: libc::c_uint = 0x1000;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A mount option: a flag, or a name with a value.
#[derive(Clone, Copy)]
pub(crate) enum MountOption<'a> {
    Flag(&'a str),
    Value(&'a str, &'a str),
}

/// A new instance of a filesystem as a detached mount.
pub(crate) fn new_filesystem(
    kind: &str,
    options: &[MountOption<'_>],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for option in options {
        match option {
            MountOption::Flag(name) => fsconfig_set_flag(&context, *name)?,
            MountOption::Value(name, value) => fsconfig_set_string(&context, *name, *value)?,
        }
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// A detached clone of what is mounted at `path`, with everything below it if `recursive`.
pub(crate) fn clone_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    Ok(open_tree(CWD, path, clone_flags(recursive))?)
}

/// [`clone_tree`] of the mount that a descriptor points into.
pub(crate) fn clone_tree_at(place: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    Ok(open_tree(place, "", clone_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)?)
}

fn clone_flags(recursive: bool) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { flags | OpenTreeFlags::AT_RECURSIVE } else { flags }
}

/// Attaches a detached mount, or moves an attached one, onto a path.
pub(crate) fn attach_at(mount: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    Ok(move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Attaches a mount onto the directory or file that a descriptor names.
pub(crate) fn attach_to(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, "", place, "", flags)?)
}

/// Slides a mount below the topmost one, whose root `top` names. EINVAL before Linux 6.5.
pub(crate) fn attach_beneath(mount: BorrowedFd<'_>, top: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH
        | MoveMountFlags::MOVE_MOUNT_BENEATH;
    Ok(move_mount(mount, "", top, "", flags)?)
}

/// Shows the mount's owners shifted by the map of a user namespace. Only for a detached mount.
pub(crate) fn map_owners(mount: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let user_namespace = u64::try_from(namespace.as_raw_fd()).unwrap_or_default();
    change(mount, true, &MountAttr { set: MOUNT_ATTR_IDMAP, user_namespace, ..MountAttr::default() })
}

/// Sets flags (read-only, nosuid, ...) on the mount and everything below, and makes all of it private.
pub(crate) fn restrict(mount: BorrowedFd<'_>, attributes: MountAttrFlags) -> io::Result<()> {
    let set = u64::from(attributes.bits());
    change(mount, true, &MountAttr { set, propagation: libc::MS_PRIVATE, ..MountAttr::default() })
}

/// Makes one mount (not those below) shared or private.
pub(crate) fn share(mount: BorrowedFd<'_>, shared: bool) -> io::Result<()> {
    let propagation = if shared { libc::MS_SHARED } else { libc::MS_PRIVATE };
    change(mount, false, &MountAttr { propagation, ..MountAttr::default() })
}

fn change(mount: BorrowedFd<'_>, recursive: bool, attributes: &MountAttr) -> io::Result<()> {
    let flags = if recursive { AT_EMPTY_PATH | AT_RECURSIVE } else { AT_EMPTY_PATH };
    // SAFETY: the path is a terminated string, the structure lives through the call and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Which mount a descriptor points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountIdentity {
    /// The number that mountinfo shows.
    pub(crate) id: u64,
    /// The descriptor is the root of the mount.
    pub(crate) is_root: bool,
}

/// Asks without waking the filesystem (a FUSE server that hangs would hang us).
pub(crate) fn identity(place: BorrowedFd<'_>) -> io::Result<MountIdentity> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let answer = statx(place.as_fd(), "", flags, StatxFlags::MNT_ID)?;
    let is_root = answer.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(MountIdentity { id: answer.stx_mnt_id, is_root })
}
