//! A backup as ordinary files: written into an empty directory.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod,
    ftruncate, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use sandkeep_vfs::{Attributes, FileHandle, FileKind, FileSystem, Inode as Node, Whence};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::walk::{Item, Unreadable, Walk};
use crate::{ExtractError, Image, Progress, ProgressSink};

/// Names between two reports of progress.
const REPORT_EVERY: u64 = 256;

/// Writes everything in an image into a directory, which should be empty and be nobody else's until this returns.
/// Reports entries and bytes written. On an error the directory holds a part.
pub async fn extract(
    image: Arc<Image>,
    directory: OwnedFd,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<(), ExtractError> {
    let runtime = Handle::current();
    let thread = tokio::task::spawn_blocking(move || {
        let state = Progress { total_bytes: image.manifest().content_bytes, ..Progress::default() };
        let mut extraction = Extraction {
            image: &image,
            directory,
            links: HashMap::new(),
            directories: Vec::new(),
            progress,
            state,
        };
        runtime.block_on(extraction.run(&cancel))
    });
    match thread.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ExtractError::Cancelled),
    }
}

struct Extraction<'a> {
    image: &'a Image,
    directory: OwnedFd,
    links: HashMap<Node, Vec<u8>>,
    /// Their times change while they are filled.
    directories: Vec<Item>,
    progress: Arc<dyn ProgressSink>,
    state: Progress,
}

impl Extraction<'_> {
    async fn run(&mut self, cancel: &CancellationToken) -> Result<(), ExtractError> {
        let mut walk = Walk::new(self.image).await?;
        let mut parent = (Vec::new(), self.open(b"")?);
        while let Some(item) = walk.next().await? {
            if cancel.is_cancelled() {
                return Err(ExtractError::Cancelled);
            }
            let (above, name) = split(&item.path);
            if parent.0 != above {
                parent = (above.to_vec(), self.open(above)?);
            }
            let failed = |source: Errno| ExtractError::write(&item.path, source);
            if item.path.is_empty() {
                self.directories.push(item);
                continue;
            }
            let first = self.links.get(&item.node).cloned();
            match first {
                Some(first) => self.link(&first, &parent.1, name).map_err(failed)?,
                None => self.create(&item, &parent.1, name).await?,
            }
            self.count(&item);
        }
        for item in std::mem::take(&mut self.directories).into_iter().rev() {
            let at = self.open(&item.path)?;
            self.dress(&item, &at, b".").await?;
        }
        self.progress.report(self.state);
        Ok(())
    }

    fn count(&mut self, item: &Item) {
        self.state.entries += 1;
        if item.attributes.kind == FileKind::File {
            self.state.read_bytes += item.attributes.size;
        }
        if self.state.entries.is_multiple_of(REPORT_EVERY) {
            self.progress.report(self.state);
        }
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd, ExtractError> {
        let directory = self.directory.try_clone().map_err(|source| ExtractError::Write {
            path: String::from_utf8_lossy(path).into_owned(),
            source,
        })?;
        let root = crate::create::SourceDirectory::new(directory);
        root.open_directory(path).map_err(|source| ExtractError::write(path, source))
    }

    /// The first name is opened by its handle: a path may be longer than the kernel takes at once.
    fn link(&self, first: &[u8], parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        let (above, first) = split(first);
        let above = self.open(above).map_err(|_| Errno::IO)?;
        linkat(&above, first, parent, name, AtFlags::empty())
    }

    async fn create(&mut self, item: &Item, parent: &OwnedFd, name: &[u8]) -> Result<(), ExtractError> {
        let failed = |source: Errno| ExtractError::write(&item.path, source);
        let attributes = &item.attributes;
        match attributes.kind {
            FileKind::Directory => {
                mkdirat(parent, name, Mode::RWXU).map_err(failed)?;
                self.directories.push(item.clone());
                return Ok(());
            }
            FileKind::File => self.write_file(item, parent, name).await?,
            FileKind::Symlink => {
                let target = self.image.read_link(item.node).await;
                let target = target.map_err(|errno| Unreadable { path: item.path.clone(), errno })?;
                symlinkat(target.as_slice(), parent, name).map_err(failed)?;
            }
            FileKind::Fifo => node(parent, name, FileType::Fifo, 0).map_err(failed)?,
            FileKind::Socket => node(parent, name, FileType::Socket, 0).map_err(failed)?,
            FileKind::BlockDevice => {
                node(parent, name, FileType::BlockDevice, attributes.device).map_err(failed)?;
            }
            FileKind::CharacterDevice => {
                node(parent, name, FileType::CharacterDevice, attributes.device).map_err(failed)?;
            }
        }
        if attributes.links > 1 {
            self.links.insert(item.node, item.path.clone());
        }
        self.dress(item, parent, name).await
    }

    async fn write_file(&self, item: &Item, parent: &OwnedFd, name: &[u8]) -> Result<(), ExtractError> {
        let failed = |source: Errno| ExtractError::write(&item.path, source);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        let size = item.attributes.size;
        ftruncate(&file, size).map_err(failed)?;
        let mut at = 0;
        while at < size {
            let Some(data) = self.seek(item, at, Whence::Data).await? else { break };
            let end = self.seek(item, data, Whence::Hole).await?.unwrap_or(size).min(size);
            let mut position = data;
            let write = async |bytes: bytes::Bytes| -> Result<(), ExtractError> {
                write_at(&file, &bytes, position).map_err(failed)?;
                position += bytes.len() as u64;
                Ok(())
            };
            item.read(self.image, data..end, write).await?;
            at = end;
        }
        Ok(())
    }

    async fn seek(&self, item: &Item, offset: u64, whence: Whence) -> Result<Option<u64>, ExtractError> {
        match self.image.seek(item.node, FileHandle(item.node.0), offset, whence).await {
            Ok(found) => Ok(Some(found)),
            Err(sandkeep_vfs::Errno::ENXIO) => Ok(None),
            Err(errno) => Err(Unreadable { path: item.path.clone(), errno }.into()),
        }
    }

    /// Owner first: changing it takes set-user-id bits and capabilities away.
    async fn dress(&self, item: &Item, parent: &OwnedFd, name: &[u8]) -> Result<(), ExtractError> {
        let failed = |source: Errno| ExtractError::write(&item.path, source);
        let attributes = &item.attributes;
        let (uid, gid) = (Uid::from_raw(attributes.uid), Gid::from_raw(attributes.gid));
        chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let is_link = attributes.kind == FileKind::Symlink;
        if !is_link {
            chmod(parent, name, attributes).map_err(failed)?;
        }
        let path = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
        for (key, value) in item.xattrs(self.image).await? {
            match lsetxattr(&path, &key, &value, XattrFlags::empty()) {
                // Neither every filesystem nor every kind of file has each kind of attribute.
                Err(Errno::OPNOTSUPP | Errno::PERM) => {
                    let name = String::from_utf8_lossy(&key).into_owned();
                    tracing::debug!(name, "an extended attribute cannot be restored here");
                }
                other => other.map_err(failed)?,
            }
        }
        let time = |time: sandkeep_vfs::Timestamp| Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanoseconds.into(),
        };
        let times = Timestamps {
            last_access: time(attributes.accessed),
            last_modification: time(attributes.modified),
        };
        utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn node(parent: &OwnedFd, name: &[u8], kind: FileType, device: u32) -> Result<(), Errno> {
    // Of the packing that squashfs, FUSE and the kernel share.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor))
}

/// Nothing here is a link, and nobody else is here: a handle is opened and changed.
fn chmod(parent: &OwnedFd, name: &[u8], attributes: &Attributes) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(attributes.permissions);
    if attributes.kind == FileKind::Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        return fchmod(openat(parent, name, flags, Mode::empty())?, mode);
    }
    let path = [format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).as_bytes(), name].concat();
    rustix::fs::chmodat(CWD, path, mode, AtFlags::empty())
}

fn write_at(file: &OwnedFd, mut bytes: &[u8], mut position: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, position))?;
        position += written as u64;
        bytes = &bytes[written..];
    }
    Ok(())
}
