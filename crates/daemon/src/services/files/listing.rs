//! What directories hold.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use sandkeep_api::checks::normalize;
use sandkeep_api::{FileEntry, FileKind, FilePermissions, SandboxId};

use super::{blocking, open_directory};
use crate::error::ServiceError;
use crate::services::Services;

/// Most entries of a listing.
const MAX_ENTRIES: usize = 100_000;
/// Deepest directory that a recursive listing enters: each level holds a descriptor.
const MAX_DEPTH: usize = 256;

/// What to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ListingOptions {
    /// Also what is in directories below.
    pub(crate) recursive: bool,
    /// Also names that start with a dot.
    pub(crate) include_hidden: bool,
}

impl Services {
    /// What a directory holds, by relative path.
    pub(crate) async fn list_files(
        self: &Arc<Self>,
        id: &SandboxId,
        path: &str,
        options: ListingOptions,
    ) -> Result<Vec<FileEntry>, ServiceError> {
        let live = self.live(id).await?;
        let path = normalize(path);
        let directory = open_directory(&live, &path).await.map_err(|error| match error {
            ServiceError::File { path, source } if source.kind() == io::ErrorKind::NotFound => {
                ServiceError::Missing { what: "Directory", path }
            }
            other => other,
        })?;
        let walk = Walk { base: path.trim_end_matches('/').to_owned(), options, entries: Vec::new() };
        live.during(blocking(path, move || walk.run(&directory))).await
    }
}

struct Walk {
    /// The directory listed; empty: the root.
    base: String,
    options: ListingOptions,
    entries: Vec<FileEntry>,
}

impl Walk {
    fn run(mut self, directory: &OwnedFd) -> io::Result<Vec<FileEntry>> {
        self.directory(directory, "", 0)?;
        self.entries.sort_by(|one, other| one.relative_path.cmp(&other.relative_path));
        Ok(self.entries)
    }

    fn directory(&mut self, directory: &OwnedFd, above: &str, depth: usize) -> io::Result<()> {
        for entry in Dir::read_from(directory.as_fd())? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // What vanished between reading its name and asking for it is not there.
            let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let relative = format!("{above}{}", name.to_string_lossy());
            if self.options.include_hidden || name.to_bytes()[0] != b'.' {
                self.add(&relative, &stat)?;
            }
            let descends = self.options.recursive && depth < MAX_DEPTH;
            if descends && FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                // It may have become something else, or be closed to us: then it has nothing to show.
                if let Ok(below) = rustix::fs::openat(directory, name, flags, Mode::empty()) {
                    self.directory(&below, &format!("{relative}/"), depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, relative: &str, stat: &Stat) -> io::Result<()> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(io::Error::other(format!("more than {MAX_ENTRIES} entries: list it with exec")));
        }
        self.entries.push(file_entry(&self.base, relative, stat));
        Ok(())
    }
}

fn file_entry(base: &str, relative: &str, stat: &Stat) -> FileEntry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let mode = stat.st_mode;
    let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    FileEntry {
        name: relative.rsplit('/').next().unwrap_or_default().to_owned(),
        absolute_path: format!("{base}/{relative}"),
        relative_path: relative.to_owned(),
        kind,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        modified_at: Timestamp::new(stat.st_mtime, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH),
        mode: mode_text(mode),
        permissions: FilePermissions {
            readable: mode & 0o400 != 0,
            writable: mode & 0o200 != 0,
            executable: mode & 0o100 != 0,
        },
    }
}

/// Such as `rwxr-xr-x`.
fn mode_text(mode: u32) -> String {
    let bit = |at: u32, letter| if mode & (1 << at) != 0 { letter } else { '-' };
    (0..9).rev().map(|at| bit(at, ['x', 'w', 'r'][at as usize % 3])).collect()
}

#[cfg(test)]
mod tests {
    use super::mode_text;

    #[test]
    fn modes_are_shown_as_ls_shows_them() {
        assert_eq!(mode_text(0o100_755), "rwxr-xr-x");
        assert_eq!(mode_text(0o640), "rw-r-----");
    }
}
