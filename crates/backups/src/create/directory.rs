//! The directory that is archived: opening below it, never through links and never across mounts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2, statx};
use rustix::io::{Errno, Result};

/// Longer paths are walked in pieces: the kernel takes at most 4,096 bytes at once.
const MAX_PATH_BYTES: usize = 4000;
/// RESOLVE_BENEATH fails with EAGAIN whenever something is renamed during the walk.
const MAX_ATTEMPTS: usize = 1000;

/// The root of an archive.
#[derive(Debug)]
pub(crate) struct SourceDirectory {
    directory: OwnedFd,
}

impl SourceDirectory {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self { directory }
    }

    /// Opens a directory for reading its names; the empty path is the root.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a file. Not blocking, in case a pipe has taken its place.
    pub(super) fn open_file(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let mut rest = path;
        let mut above: Option<OwnedFd> = None;
        while let Some(cut) = cut(rest) {
            let base = above.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
            above = Some(open_beneath(base, &rest[..cut], OFlags::PATH | OFlags::DIRECTORY)?);
            rest = &rest[cut + 1..];
        }
        let base = above.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
        open_beneath(base, if rest.is_empty() { b"." } else { rest }, flags)
    }
}

/// Where to cut a path that is too long: at a slash.
fn cut(path: &[u8]) -> Option<usize> {
    if path.len() <= MAX_PATH_BYTES {
        return None;
    }
    path[..MAX_PATH_BYTES].iter().rposition(|byte| *byte == b'/')
}

fn open_beneath(base: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    for _ in 0..MAX_ATTEMPTS {
        match openat2(base, path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Whether the error says that the name is no longer what the scan saw: removed, replaced, or mounted over.
pub(super) fn is_vanished(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::STALE)
}

/// Attributes of a name in a directory, of a link itself where it is one; the empty name is the directory.
pub(super) fn stat_at(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Statx> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)
}

/// Attributes of what is open.
pub(super) fn stat_open(file: &OwnedFd) -> Result<Statx> {
    stat_at(file.as_fd(), b"")
}
