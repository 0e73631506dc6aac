//! Files of a sandbox, from outside: paths are resolved below its root by the kernel (openat2(2)), whatever links and
//! races there are; only regular files and directories; nothing of /proc, where our powers would be used against us.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat, fchmod, fstat, fstatfs, fsync, mkdirat, openat,
    openat2, readlinkat, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::FileInfo;
use crate::sys::threads::{create_files_as, in_thread};

/// What relative paths are relative to.
const HOME: &str = "/workspace";

/// As the kernel has it for links.
const MAXIMUM_LINKS: usize = 40;

/// Attempts at a resolution that raced with a rename inside.
const MAXIMUM_RACES: usize = 32;

const PROC_SUPER_MAGIC: u64 = 0x9FA0;
const FUSE_SUPER_MAGIC: u64 = 0x6573_5546;

/// An absolute path inside.
pub(crate) fn absolute(path: &str) -> PathBuf {
    Path::new(HOME).join(path)
}

/// Opens something below the root. The answer may be anything: look before reading.
pub(crate) fn open_below(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..MAXIMUM_RACES {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed while `..` was resolved.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Fails for places in /proc: as the host's root we could change the host there.
pub(crate) fn refuse_proc(place: BorrowedFd<'_>) -> Result<(), Errno> {
    let kind = fstatfs(place)?.f_type as u64;
    if kind == PROC_SUPER_MAGIC { Err(Errno::ACCESS) } else { Ok(()) }
}

fn is_fuse(place: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(fstatfs(place)?.f_type as u64 == FUSE_SUPER_MAGIC)
}

fn kind_of(status: &Stat) -> FileType {
    FileType::from_raw_mode(status.st_mode)
}

/// Opens a regular file for reading. A fifo or a device is not even touched.
pub(crate) fn open_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<(File, FileInfo)> {
    let handle = open_below(root, path, OFlags::PATH)?;
    let status = fstat(&handle)?;
    match kind_of(&status) {
        FileType::RegularFile => refuse_proc(handle.as_fd())?,
        FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    let file = File::from(reopen(&handle, OFlags::RDONLY)?);
    Ok((file, information(&status)))
}

/// The same file, opened for use.
fn reopen(handle: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    openat(CWD, path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

fn information(status: &Stat) -> FileInfo {
    let seconds = Duration::from_secs(u64::try_from(status.st_mtime).unwrap_or_default());
    FileInfo {
        size: u64::try_from(status.st_size).unwrap_or_default(),
        directory: kind_of(status) == FileType::Directory,
        mode: status.st_mode & 0o7777,
        modified: SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(status.st_mtime_nsec),
    }
}

/// Opens a directory for reading.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let handle = open_below(root, path, OFlags::PATH | OFlags::DIRECTORY)?;
    refuse_proc(handle.as_fd())?;
    Ok(openat(&handle, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A directory, made with its parents if it is missing. New ones belong to whom this thread creates files for.
pub(crate) struct MadeDirectory {
    pub(crate) handle: OwnedFd,
    /// The last name did not exist before.
    pub(crate) is_new: bool,
}

pub(crate) fn make_directories(root: BorrowedFd<'_>, path: &Path) -> Result<MadeDirectory, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut handle = open_below(root, Path::new("/"), flags)?;
    let (mut so_far, mut is_new) = (PathBuf::from("/"), false);
    for name in path.components() {
        so_far.push(name);
        // Always from the root: `..` and links may lead anywhere inside.
        handle = match open_below(root, &so_far, flags) {
            Err(Errno::NOENT) => {
                refuse_proc(handle.as_fd())?;
                is_new = match mkdirat(&handle, name.as_os_str(), Mode::from_raw_mode(0o755)) {
                    Err(Errno::EXIST) => false,
                    other => other.map(|()| true)?,
                };
                open_below(root, &so_far, flags)?
            }
            other => {
                is_new = false;
                other?
            }
        };
    }
    Ok(MadeDirectory { handle, is_new })
}

/// Writes a whole file, so that readers see the old one or the new one.
pub(crate) fn write_file(root: BorrowedFd<'_>, path: &Path, content: &[u8], owner: u32) -> io::Result<()> {
    in_thread(|| {
        create_files_as(owner)?;
        let target = Target::find(root, path)?;
        target.write(content)
    })
}

/// Where a file is or is to be.
struct Target {
    directory: OwnedFd,
    name: PathBuf,
    /// The file that is there now.
    existing: Option<(OwnedFd, Stat)>,
}

impl Target {
    /// Follows links, as a program that opens the path for writing would; makes parents.
    fn find(root: BorrowedFd<'_>, path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..MAXIMUM_LINKS {
            let name = last_name(&path)?;
            let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
            let directory = make_directories(root, &parent)?.handle;
            refuse_proc(directory.as_fd())?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW;
            let Some(handle) = found(open_below(directory.as_fd(), &name, flags))? else {
                return Ok(Self { directory, name, existing: None });
            };
            let status = fstat(&handle)?;
            match kind_of(&status) {
                FileType::Symlink => path = parent.join(read_link(&handle)?),
                FileType::RegularFile => {
                    return Ok(Self { directory, name, existing: Some((handle, status)) });
                }
                FileType::Directory => return Err(io::ErrorKind::IsADirectory.into()),
                _ => return Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Err(Errno::LOOP.into())
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        // A bucket publishes a file when it is closed, whole: a rename would only cost a copy.
        if is_fuse(self.directory.as_fd())? {
            return self.write_in_place(content);
        }
        match self.write_and_rename(content) {
            Err(error) if cannot_rename(&error) => self.write_in_place(content),
            other => other,
        }
    }

    fn mode(&self) -> Mode {
        Mode::from_raw_mode(self.existing.as_ref().map_or(0o644, |(_, status)| status.st_mode & 0o7777))
    }

    fn write_and_rename(&self, content: &[u8]) -> io::Result<()> {
        let temporary = format!(".sandkeep-{}", random_name()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &temporary, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        let written = file.write_all(content).and_then(|()| {
            fchmod(&file, self.mode())?;
            Ok(renameat(&self.directory, &temporary, &self.directory, &self.name)?)
        });
        if written.is_err() {
            // The error that counts is the first one.
            let _ = unlinkat(&self.directory, &temporary, AtFlags::empty());
        }
        written
    }

    fn write_in_place(&self, content: &[u8]) -> io::Result<()> {
        let file = match &self.existing {
            Some((handle, _)) => reopen(handle, OFlags::WRONLY | OFlags::TRUNC)?,
            None => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(&self.directory, &self.name, flags, Mode::from_raw_mode(0o644))?
            }
        };
        let mut file = File::from(file);
        file.write_all(content)?;
        // What cannot be stored is said here; a plain close would lose it.
        Ok(fsync(&file)?)
    }
}

fn cannot_rename(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EXDEV | libc::ENOSYS | libc::EPERM | libc::EBUSY | libc::EOPNOTSUPP)
    )
}

fn found<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name to create; a path that can only be a directory has none.
fn last_name(path: &Path) -> io::Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let is_directory = bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    match path.file_name() {
        Some(name) if !is_directory => Ok(name.into()),
        _ => Err(io::ErrorKind::IsADirectory.into()),
    }
}

fn read_link(link: &OwnedFd) -> io::Result<PathBuf> {
    let target = readlinkat(link, "", Vec::new())?;
    Ok(Path::new(std::ffi::OsStr::from_bytes(target.to_bytes())).to_owned())
}

/// Enough that two writers never meet.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
