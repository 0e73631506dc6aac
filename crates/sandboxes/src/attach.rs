//! Mounts that come and go in a running sandbox.
//!
//! All of it happens in threads that are thrown away after they have entered the sandbox's mount namespace. Every path
//! is resolved by the kernel below the sandbox's root; mounts are named by descriptors and checked by their ids, since
//! whoever runs inside may rename and link at the same time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};
use rustix::process::fchdir;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

use crate::files::{make_directories, open_below, refuse_proc};
use crate::mountinfo::{self, Mount};
use crate::sys::mounts::{
    MountIdentity, attach_beneath, attach_to, clone_tree_at, identity, restrict, share,
};
use crate::sys::processes::Process;
use crate::sys::threads::{create_files_as, enter, in_thread, separate};
use crate::{Detach, Placement};

/// The sandbox whose mounts are changed.
#[derive(Clone, Copy)]
pub(crate) struct Inside<'a> {
    pub(crate) process: &'a Process,
    pub(crate) id_base: u32,
    /// Mounts that nobody may cover or take away.
    pub(crate) own_mounts: &'a [u64],
    /// Whether the kernel can put a mount beneath another one (Linux 6.5).
    pub(crate) can_mount_beneath: bool,
}

/// Why a mount could not be taken away.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// In use; the device by which maps name it, and its id.
    Busy(Box<Mount>),
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        Self::Failed(error.into())
    }
}

impl Inside<'_> {
    /// Runs something in the sandbox's mount namespace.
    fn run<T: Send, E: Send + From<io::Error>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        in_thread(|| {
            let pid_one = format!("/proc/{}", self.process.pid);
            let pid_one = crate::overlay::open_path(Path::new(&pid_one))?;
            enter(self.process.descriptor.as_fd(), ThreadNameSpaceType::MOUNT)?;
            create_files_as(self.id_base)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = openat(CWD, "/", flags, Mode::empty()).map_err(io::Error::from)?;
            work(&View { sandbox: self, root: root.as_fd(), pid_one: pid_one.as_fd() })
        })
    }

    /// Attaches a detached mount; true if the directory for it was made.
    pub(crate) fn attach(&self, mount: &OwnedFd, path: &Path, placement: Placement) -> io::Result<bool> {
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        restrict(mount.as_fd(), flags)?;
        self.run(|view| {
            let place = make_directories(view.root, path)?;
            refuse_proc(place.handle.as_fd())?;
            let found = identity(place.handle.as_fd())?;
            if found.is_root && !view.is_attached(found) {
                return Err(Errno::BUSY.into());
            }
            if placement == Placement::Replace && view.is_attached(found) {
                view.replace(mount, place.handle, found)?;
            } else {
                view.cover(mount, &place.handle, found)?;
            }
            Ok(place.is_new)
        })
    }

    /// Takes the topmost mount at a path away.
    pub(crate) fn detach(&self, path: &Path, how: Detach, remove_directory: bool) -> Result<(), Refusal> {
        self.run(|view| {
            let place = open_below(view.root, path, OFlags::PATH)?;
            let found = identity(place.as_fd())?;
            if !view.is_attached(found) {
                return Err(Refusal::Failed(Errno::INVAL.into()));
            }
            let mount = view.mount_of(found)?;
            // A handle would make it busy.
            drop(place);
            let flags = match how {
                Detach::Polite => UnmountFlags::empty(),
                Detach::Force => UnmountFlags::DETACH,
            };
            match view.take_away(&mount, flags) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    return Err(Refusal::Busy(mount.into()));
                }
                other => other?,
            }
            if remove_directory {
                remove_mount_point(view.root, &mount.point);
            }
            Ok(())
        })
    }
}

/// The sandbox seen by a thread in its mount namespace.
struct View<'a> {
    sandbox: &'a Inside<'a>,
    root: BorrowedFd<'a>,
    /// /proc/PID of pid 1, as the host has it: in here it is out of sight.
    pid_one: BorrowedFd<'a>,
}

impl View<'_> {
    fn mounts(&self) -> io::Result<Vec<Mount>> {
        mountinfo::below(self.pid_one)
    }

    /// The mount that a descriptor is in.
    fn mount_of(&self, place: MountIdentity) -> io::Result<Mount> {
        let mount = self.mounts()?.into_iter().find(|mount| mount.id == place.id);
        mount.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether the descriptor is the root of a mount that was attached later.
    fn is_attached(&self, place: MountIdentity) -> bool {
        place.is_root && !self.sandbox.own_mounts.contains(&place.id)
    }

    /// On top of what is there; mounts that lie below move onto the new one.
    fn cover(&self, mount: &OwnedFd, place: &OwnedFd, found: MountIdentity) -> io::Result<()> {
        let point = point_of(place, self.root)?;
        let below = self.below(found.id, &point)?;
        attach_to(mount.as_fd(), place.as_fd())?;
        // Opened through the covered directory, which still leads to them.
        carry_over(opened(place, &below, &point), mount);
        Ok(())
    }

    /// Beneath the topmost mount, which is then taken away: whoever looks sees the old one or the new one.
    fn replace(&self, mount: &OwnedFd, top: OwnedFd, found: MountIdentity) -> io::Result<()> {
        let old = self.mount_of(found)?;
        let below = self.below(old.id, &old.point)?;
        let carried = clones(&top, &below, &old.point);
        if self.sandbox.can_mount_beneath {
            attach_beneath(mount.as_fd(), top.as_fd())?;
            carry_over(carried, mount);
            drop(top);
            self.take_away(&old, UnmountFlags::DETACH)
        } else {
            drop(top);
            self.tuck(mount, carried, &old)
        }
    }

    /// Attached mounts directly in mount `parent`, at or below `point`.
    fn below(&self, parent: u64, point: &Path) -> io::Result<Vec<Mount>> {
        let is_below = |mount: &Mount| mount.parent == parent && mount.point.starts_with(point);
        let is_ours = |mount: &Mount| !self.sandbox.own_mounts.contains(&mount.id) && mount.point != point;
        Ok(self.mounts()?.into_iter().filter(|mount| is_below(mount) && is_ours(mount)).collect())
    }

    /// What [`Self::replace`] does before Linux 6.5: a mount that arrives by propagation where one is mounted already
    /// is tucked beneath it. A second namespace holds a peer of the parent, and the new mount is attached there, with
    /// what it carries on it already. What arrives are copies.
    fn tuck(&self, mount: &OwnedFd, carried: Vec<Carried>, old: &Mount) -> io::Result<()> {
        let parent = self.mounts()?.into_iter().find(|mount| mount.id == old.parent);
        let parent = parent.ok_or(io::ErrorKind::NotFound)?;
        let relative = relative(old, &parent.point).ok_or(io::ErrorKind::InvalidInput)?;
        let parent_root = open_below(self.root, &parent.point, OFlags::PATH)?;
        if identity(parent_root.as_fd())?.id != parent.id {
            return Err(Errno::BUSY.into());
        }
        share(parent_root.as_fd(), true)?;
        let tucked = attach_to_peer(&parent.point, &relative, mount, carried);
        share(parent_root.as_fd(), false)?;
        tucked?;
        self.take_away(old, UnmountFlags::DETACH)?;
        let new = open_below(self.root, &old.point, OFlags::PATH)?;
        restrict(new.as_fd(), MountAttrFlags::empty())
    }

    /// Unmounts without a race: the parent is pinned by a descriptor, and the kernel lets nobody rename a mount point.
    fn take_away(&self, mount: &Mount, flags: UnmountFlags) -> io::Result<()> {
        let (parent, name) = split(&mount.point).ok_or(io::ErrorKind::InvalidInput)?;
        let directory = open_below(self.root, parent, OFlags::PATH | OFlags::DIRECTORY)?;
        let now = open_below(directory.as_fd(), Path::new(name), OFlags::PATH | OFlags::NOFOLLOW)?;
        if identity(now.as_fd())?.id != mount.id {
            return Err(Errno::AGAIN.into());
        }
        drop(now);
        fchdir(&directory)?;
        let result = unmount(name, flags | UnmountFlags::NOFOLLOW);
        fchdir(self.root)?;
        Ok(result?)
    }
}

/// A mount on its way onto another one.
struct Carried {
    mount: OwnedFd,
    /// Where, below the root of the other one.
    relative: PathBuf,
}

/// The mounts themselves, which will move.
fn opened(place: &OwnedFd, below: &[Mount], point: &Path) -> Vec<Carried> {
    let open = |child: &Mount| {
        let relative = relative(child, point)?;
        let mount = open_below(place.as_fd(), &relative, OFlags::PATH).ok()?;
        let is_it = identity(mount.as_fd()).is_ok_and(|found| found.id == child.id);
        is_it.then_some(Carried { mount, relative })
    };
    below.iter().filter_map(open).collect()
}

/// Copies of the mounts, so that the old ones are seen until they go with the mount that they are in.
fn clones(place: &OwnedFd, below: &[Mount], point: &Path) -> Vec<Carried> {
    let clone = |carried: Carried| {
        let mount = clone_tree_at(carried.mount.as_fd(), true).ok()?;
        Some(Carried { mount, ..carried })
    };
    opened(place, below, point).into_iter().filter_map(clone).collect()
}

/// Attaches mounts onto a new one. One that cannot be carried over must not stop a replacement half-way.
fn carry_over(mounts: Vec<Carried>, new: &OwnedFd) {
    for Carried { mount, relative } in mounts {
        let place = make_directories(new.as_fd(), &relative).map_err(io::Error::from);
        if let Err(error) = place.and_then(|place| attach_to(mount.as_fd(), place.handle.as_fd())) {
            tracing::warn!(path = %relative.display(), %error, "a mount is lost with the one it was in");
        }
    }
}

/// Attaches a mount in a peer of the mount at `parent`, from a namespace that lives only as long as this call.
fn attach_to_peer(parent: &Path, relative: &Path, mount: &OwnedFd, carried: Vec<Carried>) -> io::Result<()> {
    in_thread(|| {
        separate(UnshareFlags::NEWNS)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let peer = clone_tree_at(openat(CWD, parent, flags, Mode::empty())?.as_fd(), false)?;
        // Any places on private mounts will do; these are mounts of every sandbox's own.
        let scratch = |path: &str| openat(CWD, path, flags, Mode::empty());
        attach_to(peer.as_fd(), scratch("/dev/pts")?.as_fd())?;
        let place = open_below(peer.as_fd(), relative, OFlags::PATH)?;
        // Before Linux 6.15 nothing can be attached to a mount that is attached nowhere.
        attach_to(mount.as_fd(), scratch("/dev/shm")?.as_fd())?;
        carry_over(carried, mount);
        attach_to(mount.as_fd(), place.as_fd())
    })
}

/// The path of a directory as the mount table would write it.
fn point_of(place: &OwnedFd, root: BorrowedFd<'_>) -> io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    // The host's /proc is out of sight in here; the directory's own path is found by entering it.
    fchdir(place)?;
    let path = rustix::process::getcwd(Vec::new());
    fchdir(root)?;
    let path = path.map_err(|error| {
        tracing::debug!(descriptor = place.as_raw_fd(), "a directory has no path");
        io::Error::from(error)
    })?;
    Ok(PathBuf::from(String::from_utf8_lossy(path.to_bytes()).into_owned()))
}

fn relative(mount: &Mount, point: &Path) -> Option<PathBuf> {
    mount.point.strip_prefix(point).ok().map(Path::to_owned)
}

fn split(path: &Path) -> Option<(&Path, &std::ffi::OsStr)> {
    Some((path.parent()?, path.file_name()?))
}

/// Removes the directory that a mount was on, if nothing is in it.
fn remove_mount_point(root: BorrowedFd<'_>, path: &Path) {
    let Some((parent, name)) = split(path) else { return };
    let removed = open_below(root, parent, OFlags::PATH | OFlags::DIRECTORY)
        .and_then(|directory| unlinkat(&directory, name, rustix::fs::AtFlags::REMOVEDIR));
    if let Err(error) = removed {
        tracing::debug!(path = %path.display(), %error, "a mount point stays");
    }
}
