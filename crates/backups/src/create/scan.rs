//! The tree below the directory, read once; file content comes later.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, RawDir, Statx, StatxFlags, readlinkat};
use tokio_util::sync::CancellationToken;

use super::attributes::{Owners, file_type};
use super::directory::{SourceDirectory, is_vanished, stat_at, stat_open};
use super::meter::Meter;
use super::report::{Reason, Report};
use super::xattrs::{XattrReader, XattrsFound};
use crate::CreateError;
use crate::selection::Excludes;
use crate::squashfs::format::encode_device;
use crate::squashfs::writer::{Content, Entry, EntryIndex, InodeIndex, Kind, ROOT, Tree, TreeInode, Xattrs};

const LISTING_BUFFER_BYTES: usize = 64 * 1024;
/// In place of a mount point's inode number. No filesystem uses it: it means "no file" in a directory.
const NOT_SCANNED: u64 = 0;

/// What the scan needs.
pub(super) struct ScanContext<'a> {
    pub(super) source: &'a SourceDirectory,
    pub(super) excludes: &'a Excludes,
    pub(super) owners: Owners,
    pub(super) meter: &'a Meter,
    pub(super) stop: &'a CancellationToken,
}

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) tree: Tree,
    pub(super) xattrs: Xattrs,
    /// The host's inode number of each inode.
    pub(super) host_numbers: Vec<u64>,
}

/// Scans depth first, each directory's names together.
pub(super) fn scan(context: &ScanContext<'_>, report: &mut Report) -> Result<Scanned, CreateError> {
    let mut scanner = Scanner {
        context,
        report,
        found: Scanned::default(),
        hard_links: HashMap::new(),
        xattrs: XattrReader::new(context.owners),
        root_mount: Mount::default(),
        listing: Vec::with_capacity(LISTING_BUFFER_BYTES),
    };
    scanner.add_root()?;
    let mut open = vec![ROOT];
    while let Some(directory) = open.pop() {
        if context.stop.is_cancelled() {
            return Err(CreateError::Cancelled);
        }
        scanner.scan_directory(directory, &mut open)?;
    }
    Ok(scanner.found)
}

struct Scanner<'a> {
    context: &'a ScanContext<'a>,
    report: &'a mut Report,
    found: Scanned,
    /// By device and inode number, where there is more than one name.
    hard_links: HashMap<(u32, u32, u64), InodeIndex>,
    xattrs: XattrReader,
    root_mount: Mount,
    listing: Vec<u8>,
}

/// Tells mounts apart: by mount id, or by device where the kernel (before 5.8) has no id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mount {
    #[default]
    Unknown,
    Id(u64),
    Device(u32, u32),
}

impl Mount {
    fn of(stat: &Statx) -> Self {
        if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
            return Self::Id(stat.stx_mnt_id);
        }
        Self::Device(stat.stx_dev_major, stat.stx_dev_minor)
    }
}

impl Scanner<'_> {
    fn add_root(&mut self) -> Result<(), CreateError> {
        let unreadable = |source: rustix::io::Errno| CreateError::read(b"", source);
        let root = self.context.source.open_directory(b"").map_err(unreadable)?;
        let stat = stat_open(&root).map_err(unreadable)?;
        self.root_mount = Mount::of(&stat);
        let mut inode = TreeInode::new(self.context.owners.attributes(&stat), 0, Kind::Directory(0..0));
        let xattrs = self.xattrs.read(&root, b".").map_err(unreadable)?;
        inode.xattr = self.found.xattrs.add(xattrs.attributes);
        self.found.tree.push_inode(inode);
        self.found.host_numbers.push(stat.stx_ino);
        if xattrs.has_acl {
            self.report.skip(b".", Reason::Acl);
        }
        if self.context.owners.are_foreign(&stat) {
            self.report.skip(b".", Reason::Owner);
        }
        Ok(())
    }

    fn scan_directory(&mut self, index: InodeIndex, open: &mut Vec<InodeIndex>) -> Result<(), CreateError> {
        let path = self.found.tree.path(index);
        let listed = self.context.source.open_directory(&path).and_then(|directory| {
            let names = self.names(&directory)?;
            Ok((directory, names))
        });
        let (directory, names) = match listed {
            Ok(listed) => listed,
            Err(error) if is_vanished(error) => {
                self.report.skip(&path, Reason::Vanished);
                return Ok(());
            }
            Err(error) => return Err(CreateError::read(&path, error)),
        };
        let first_entry = self.found.tree.entries.len() as EntryIndex;
        let first_inode = self.found.tree.inodes.len() as InodeIndex;
        for name in names {
            self.add(index, &directory, name)?;
        }
        let last_entry = self.found.tree.entries.len() as EntryIndex;
        self.found.tree.inode_mut(index).kind = Kind::Directory(first_entry..last_entry);
        // The first of them is to be scanned next.
        let last_inode = self.found.tree.inodes.len() as InodeIndex;
        open.extend((first_inode..last_inode).rev().filter(|child| self.is_to_be_scanned(*child)));
        Ok(())
    }

    fn is_to_be_scanned(&self, inode: InodeIndex) -> bool {
        matches!(self.found.tree.inode(inode).kind, Kind::Directory(_))
            && self.found.host_numbers[inode as usize] != NOT_SCANNED
    }

    /// Sorted as squashfs wants them: by bytes.
    fn names(&mut self, directory: &OwnedFd) -> rustix::io::Result<Vec<Box<[u8]>>> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        self.listing.clear();
        let mut listing = RawDir::new(directory, self.listing.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.into());
            }
        }
        names.sort_unstable();
        // Some filesystems list a name twice when it is replaced meanwhile.
        names.dedup();
        Ok(names)
    }

    fn add(&mut self, index: InodeIndex, directory: &OwnedFd, name: Box<[u8]>) -> Result<(), CreateError> {
        if self.is_excluded(index, &name) {
            self.report.excluded += 1;
            return Ok(());
        }
        match self.look(directory, &name) {
            Ok(seen) => {
                self.push(index, name, seen);
                Ok(())
            }
            Err(error) => {
                let path = [self.found.tree.path(index), name.into_vec()].join(&b'/');
                let path = path.strip_prefix(b"/").unwrap_or(&path);
                if !is_vanished(error) {
                    return Err(CreateError::read(path, error));
                }
                self.report.skip(path, Reason::Vanished);
                Ok(())
            }
        }
    }

    fn is_excluded(&self, directory: InodeIndex, name: &[u8]) -> bool {
        let names = std::iter::once(name).chain(self.found.tree.names_upwards(directory));
        self.context.excludes.matches(&names)
    }

    /// All that there is to know of a name but its content.
    fn look(&mut self, directory: &OwnedFd, name: &[u8]) -> rustix::io::Result<Seen> {
        let stat = stat_at(directory.as_fd(), name)?;
        let link = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let link = (stat.stx_nlink > 1 && file_type(&stat) != FileType::Directory).then_some(link);
        if let Some(known) = link.and_then(|link| self.hard_links.get(&link)) {
            return Ok(Seen::Known(*known));
        }
        let is_mount = Mount::of(&stat) != self.root_mount;
        let kind = kind(directory, name, &stat, is_mount)?;
        let xattrs = if is_mount { XattrsFound::default() } else { self.xattrs.read(directory, name)? };
        Ok(Seen::New(Box::new(NewInode { stat, kind, xattrs, link, is_mount })))
    }

    fn push(&mut self, directory: InodeIndex, name: Box<[u8]>, seen: Seen) {
        let tree = &mut self.found.tree;
        let entry = tree.entries.len() as EntryIndex;
        let inode = match &seen {
            Seen::Known(inode) => *inode,
            Seen::New(_) => tree.inodes.len() as InodeIndex,
        };
        tree.entries.push(Entry { name, directory, inode });
        match seen {
            Seen::Known(_) => self.context.meter.found(0),
            Seen::New(new) => self.push_inode(entry, *new),
        }
    }

    fn push_inode(&mut self, entry: EntryIndex, new: NewInode) {
        let mut inode = TreeInode::new(self.context.owners.attributes(&new.stat), entry, new.kind);
        let bytes = inode.content().map_or(0, |content| content.size);
        let mut losses = Vec::new();
        losses.extend(new.is_mount.then_some(Reason::Mount));
        losses.extend(new.xattrs.has_acl.then_some(Reason::Acl));
        losses.extend(self.context.owners.are_foreign(&new.stat).then_some(Reason::Owner));
        inode.xattr = self.found.xattrs.add(new.xattrs.attributes);
        let index = self.found.tree.push_inode(inode);
        self.found.host_numbers.push(if new.is_mount { NOT_SCANNED } else { new.stat.stx_ino });
        if let Some(link) = new.link {
            self.hard_links.insert(link, index);
        }
        for reason in losses {
            self.report.skip(&self.found.tree.path(index), reason);
        }
        self.context.meter.found(bytes);
    }
}

/// What is at a name.
enum Seen {
    /// Another name of an inode that is in the tree.
    Known(InodeIndex),
    New(Box<NewInode>),
}

struct NewInode {
    stat: Statx,
    kind: Kind,
    xattrs: XattrsFound,
    link: Option<(u32, u32, u64)>,
    is_mount: bool,
}

/// A file that is a mount point becomes an empty file, so that it can be mounted on again.
fn kind(directory: &OwnedFd, name: &[u8], stat: &Statx, is_mount: bool) -> rustix::io::Result<Kind> {
    let device = encode_device(stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(match file_type(stat) {
        FileType::Directory => Kind::Directory(0..0),
        FileType::Symlink => Kind::Symlink(readlinkat(directory, name, Vec::new())?.into_bytes().into()),
        FileType::BlockDevice => Kind::BlockDevice(device),
        FileType::CharacterDevice => Kind::CharacterDevice(device),
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        _ => Kind::File(Content::unwritten(if is_mount { 0 } else { stat.stx_size })),
    })
}
