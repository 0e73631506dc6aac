//! Removing what a sandbox wrote: trees of any depth and size, made by someone who may wish us ill.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Below this depth directories are moved to the top first: neither stack nor descriptors may depend on the tree.
const MAXIMUM_DEPTH: usize = 64;

/// Removes a directory and all in it; fine if it is not there. Links are removed, never followed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open_directory(CWD.as_fd(), path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut removal = Removal { top: &top, moved: 0 };
    loop {
        let moved_before = removal.moved;
        removal.empty(top.as_fd(), 0)?;
        if removal.moved == moved_before {
            break;
        }
    }
    Ok(gone(unlinkat(CWD, path, AtFlags::REMOVEDIR))?)
}

/// Two may remove the same tree at once, after a destroy that was given up by its caller.
fn gone(removed: Result<(), Errno>) -> Result<(), Errno> {
    removed.or_else(|error| if error == Errno::NOENT { Ok(()) } else { Err(error) })
}

struct Removal<'a> {
    top: &'a OwnedFd,
    /// How many deep directories were moved to the top so far.
    moved: u64,
}

impl Removal<'_> {
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        for (name, kind) in entries(directory)? {
            let is_directory = match kind {
                FileType::Directory => true,
                FileType::Unknown => open_directory(directory, &name).is_ok(),
                _ => false,
            };
            if !is_directory {
                gone(unlinkat(directory, &name, AtFlags::empty()))?;
            } else if depth < MAXIMUM_DEPTH {
                match open_directory(directory, &name) {
                    Ok(below) => self.empty(below.as_fd(), depth + 1)?,
                    Err(error) => gone(Err(error))?,
                }
                gone(unlinkat(directory, &name, AtFlags::REMOVEDIR))?;
            } else {
                renameat(directory, &name, self.top, format!(".sandkeep-deep-{}", self.moved))?;
                self.moved += 1;
            }
        }
        Ok(())
    }
}

fn entries(directory: BorrowedFd<'_>) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

fn open_directory(at: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;

    #[test]
    fn a_tree_deeper_than_we_descend_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        let mut at = open_directory(CWD.as_fd(), &root).unwrap();
        for _ in 0..500 {
            mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open_directory(at.as_fd(), "d").unwrap();
        }
        drop(at);
        remove_tree(&root).unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn links_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let kept = place.path().join("kept");
        std::fs::create_dir_all(kept.join("inside")).unwrap();
        let root = place.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&kept, root.join("link")).unwrap();
        remove_tree(&root).unwrap();
        assert!(kept.join("inside").exists());
        remove_tree(&root).unwrap();
    }
}
