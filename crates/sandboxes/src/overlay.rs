//! Kernel overlays: one way of making them that works from Linux 6.1 on.
//!
//! Layers are named as /proc/self/fd/N, which keeps host paths out of the mount table, and are opened in the mount
//! namespace in which the overlay is made: the kernel refuses layers of other namespaces, and before 6.13 it knows no
//! other way to name a layer by descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;

use crate::error::{Doing, Failure};
use crate::sys::mounts::{MountOption, attach_at, new_filesystem};
use crate::sys::threads::{in_thread, separate};

/// Shown as the source of every mount of ours.
pub(crate) const SOURCE: &str = "sandkeep";

/// Wishes, from the best to what every kernel grants. redirect_dir makes rename of lower directories work, metacopy
/// makes chown of large files cheap, index keeps hard links together, volatile spares a sync of the host's disk: what
/// is above ends with the sandbox anyway.
const WISHES: [&[&str]; 6] = [
    &["redirect_dir", "metacopy", "index", "volatile"],
    &["redirect_dir", "metacopy", "volatile"],
    &["redirect_dir", "metacopy", "index"],
    &["redirect_dir", "metacopy"],
    &["redirect_dir"],
    &[],
];

/// The two directories of an upper layer.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct UpperLayer {
    directory: PathBuf,
}

/// How the root of the merged directory looks, which the upper layer decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RootLook {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl RootLook {
    pub(crate) fn of(directory: BorrowedFd<'_>) -> io::Result<Self> {
        let status = fstat(directory)?;
        Ok(Self { mode: status.st_mode & 0o7777, uid: status.st_uid, gid: status.st_gid })
    }

    /// 0755 and owned by one id.
    pub(crate) fn owned_by(id: u32) -> Self {
        Self { mode: 0o755, uid: id, gid: id }
    }
}

impl UpperLayer {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Makes both directories empty and fresh.
    fn prepare(&self, look: RootLook) -> io::Result<()> {
        crate::remove::remove_tree(&self.directory)?;
        std::fs::create_dir_all(self.upper())?;
        std::fs::create_dir(self.work())?;
        std::os::unix::fs::chown(self.upper(), Some(look.uid), Some(look.gid))?;
        std::fs::set_permissions(self.upper(), std::fs::Permissions::from_mode(look.mode))
    }
}

/// A detached overlay of `lower`, a directory opened in this thread's mount namespace, below a fresh upper layer. The
/// options are the best that the kernel and both filesystems grant.
pub(crate) fn make(lower: BorrowedFd<'_>, layer: &UpperLayer, look: RootLook) -> Result<OwnedFd, Failure> {
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for wishes in WISHES {
        layer.prepare(look).doing("make the directories of an overlay")?;
        match attempt(lower, layer, wishes) {
            Ok(mount) => return Ok(mount),
            Err(error) => refusal = error,
        }
    }
    Err(refusal).doing("mount an overlay")
}

fn attempt(lower: BorrowedFd<'_>, layer: &UpperLayer, wishes: &[&str]) -> io::Result<OwnedFd> {
    let (upper, work) = (open_path(&layer.upper())?, open_path(&layer.work())?);
    let layers = [
        ("lowerdir", by_descriptor(lower)),
        ("upperdir", by_descriptor(upper.as_fd())),
        ("workdir", by_descriptor(work.as_fd())),
    ];
    let mut options = vec![MountOption::Value("source", SOURCE)];
    options.extend(layers.iter().map(|(name, value)| MountOption::Value(name, value)));
    options.extend(wishes.iter().map(|wish| match *wish {
        "volatile" => MountOption::Flag("volatile"),
        name => MountOption::Value(name, "on"),
    }));
    new_filesystem("overlay", &options, MountAttrFlags::MOUNT_ATTR_NODEV)
}

fn by_descriptor(descriptor: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", descriptor.as_raw_fd())
}

/// The layer that was made last below a directory.
pub(crate) fn newest_layer(directory: &Path) -> io::Result<PathBuf> {
    let mut newest = None;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let made = entry.metadata()?.modified()?;
        if newest.as_ref().is_none_or(|(time, _)| made >= *time) {
            newest = Some((made, entry.path()));
        }
    }
    newest.map(|(_, path)| path).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Opens a directory of a layer for reading.
pub(crate) fn open_layer(directory: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, directory, flags, Mode::empty())?)
}

/// A handle on a directory or file, in the mount namespace of this thread.
pub(crate) fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// [`make`] with a detached lower mount, from any thread: it is attached to `scratch` in a mount namespace that lives
/// only as long as this call. The look of the merged root is the lower's.
pub(crate) fn make_over_detached(
    lower: &OwnedFd,
    layer: &UpperLayer,
    scratch: &Path,
) -> Result<OwnedFd, Failure> {
    in_private_namespace(|| {
        attach_at(lower.as_fd(), scratch).doing("attach the lower layer")?;
        let root = open_path(scratch).doing("open the lower layer")?;
        let look = RootLook::of(root.as_fd()).doing("look at the lower layer")?;
        let mount = make(root.as_fd(), layer, look)?;
        copy_times(scratch, &layer.upper());
        Ok(mount)
    })
}

/// The merged root shows the upper layer's time of change; a restored directory should show its own.
fn copy_times(from: &Path, to: &Path) {
    let copied = std::fs::metadata(from).and_then(|metadata| {
        let at = |seconds, nanoseconds| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = rustix::fs::Timestamps {
            last_access: at(metadata.atime(), metadata.atime_nsec()),
            last_modification: at(metadata.mtime(), metadata.mtime_nsec()),
        };
        let flags = rustix::fs::AtFlags::empty();
        Ok(rustix::fs::utimensat(CWD, to, &times, flags)?)
    });
    if let Err(error) = copied {
        tracing::debug!(%error, "the restored directory shows the time of its restore");
    }
}

/// Runs something in a thread with its own copy of the mount table, from which nothing spreads.
pub(crate) fn in_private_namespace<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    in_thread(|| {
        separate(UnshareFlags::NEWNS).doing("copy the mount namespace")?;
        make_all_private().doing("make mounts private")?;
        work()
    })
}

/// Cuts every mount of this namespace off from its peers.
pub(crate) fn make_all_private() -> io::Result<()> {
    Ok(mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?)
}

/// Attaches a detached mount for as long as `work` runs; only for namespaces of our own.
pub(crate) fn with_attached<T>(
    mount: &OwnedFd,
    scratch: &Path,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    attach_at(mount.as_fd(), scratch).doing("attach a layer")?;
    let result = open_path(scratch).doing("open a layer").and_then(|root| work(root.as_fd()));
    unmount(scratch, UnmountFlags::DETACH).doing("put a layer away")?;
    result
}
