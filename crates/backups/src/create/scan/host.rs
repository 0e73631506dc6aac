//! The directory as the host's kernel shows it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, RawDir, Statx, StatxFlags, readlinkat};

use super::{Found, Glance, Walk};
use crate::create::attributes::{Owners, Signature, file_type};
use crate::create::directory::{SourceDirectory, stat_at, stat_open};
use crate::create::ignored::NameKind;
use crate::create::previous::Previous;
use crate::create::report::Reason;
use crate::create::xattrs::{XattrReader, XattrsFound};
use crate::squashfs::format::encode_device;
use crate::squashfs::writer::{Content, Kind};

const LISTING_BUFFER_BYTES: usize = 64 * 1024;

/// Walks a directory of the host; mounts below it are not entered.
pub(in crate::create) struct HostWalk<'a> {
    source: &'a SourceDirectory,
    owners: Owners,
    previous: Option<&'a Previous>,
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

impl<'a> HostWalk<'a> {
    /// `previous`: what an earlier backup knows of files that have not changed since.
    pub(in crate::create) fn new(
        source: &'a SourceDirectory,
        owners: Owners,
        previous: Option<&'a Previous>,
    ) -> Self {
        Self {
            source,
            owners,
            previous,
            xattrs: XattrReader::new(owners),
            root_mount: Mount::default(),
            listing: Vec::with_capacity(LISTING_BUFFER_BYTES),
        }
    }

    fn found(&self, stat: &Statx, kind: Kind, xattrs: XattrsFound, is_mount: bool) -> Found<()> {
        let kind_of_file = file_type(stat);
        let is_directory = kind_of_file == FileType::Directory;
        let mut losses = Vec::new();
        losses.extend(is_mount.then_some(Reason::Mount));
        losses.extend(xattrs.has_acl.then_some(Reason::Acl));
        losses.extend(self.owners.are_foreign(stat).then_some(Reason::Owner));
        let device = u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor);
        let is_file = kind_of_file == FileType::RegularFile && !is_mount;
        Found {
            attributes: self.owners.attributes(stat),
            kind,
            xattrs: xattrs.attributes,
            losses,
            link: (stat.stx_nlink > 1 && !is_directory && !is_mount).then_some((device, stat.stx_ino)),
            signature: is_file.then(|| Signature::of(stat)),
            place: (is_directory && !is_mount).then_some(()),
        }
    }

    fn is_mount(&self, stat: &Statx) -> bool {
        Mount::of(stat) != self.root_mount
    }

    /// A file that is a mount point becomes an empty file, so that it can be mounted on again.
    fn kind(&self, directory: &OwnedFd, name: &[u8], path: &[u8], stat: &Statx) -> rustix::io::Result<Kind> {
        match file_type(stat) {
            FileType::RegularFile if self.is_mount(stat) => Ok(Kind::File(Content::unwritten(0))),
            FileType::RegularFile => {
                let kept = self.previous.and_then(|previous| previous.content(path, &Signature::of(stat)));
                Ok(Kind::File(kept.unwrap_or_else(|| Content::unwritten(stat.stx_size))))
            }
            _ => kind_of_special(directory, name, stat),
        }
    }
}

/// The kind of what is not a regular file.
pub(super) fn kind_of_special(directory: &OwnedFd, name: &[u8], stat: &Statx) -> rustix::io::Result<Kind> {
    let device = encode_device(stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(match file_type(stat) {
        FileType::Directory => Kind::Directory(0..0),
        FileType::Symlink => Kind::Symlink(readlinkat(directory, name, Vec::new())?.into_bytes().into()),
        FileType::BlockDevice => Kind::BlockDevice(device),
        FileType::CharacterDevice => Kind::CharacterDevice(device),
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        _ => Kind::File(Content::unwritten(stat.stx_size)),
    })
}

impl Walk for HostWalk<'_> {
    type Directory = OwnedFd;
    type Place = ();

    fn root(&mut self) -> rustix::io::Result<Found<()>> {
        let root = self.source.open_directory(b"")?;
        let stat = stat_open(&root)?;
        self.root_mount = Mount::of(&stat);
        let xattrs = self.xattrs.read(&root, b".")?;
        Ok(self.found(&stat, Kind::Directory(0..0), xattrs, false))
    }

    fn open(&mut self, path: &[u8], (): ()) -> rustix::io::Result<OwnedFd> {
        self.source.open_directory(path)
    }

    fn names(&mut self, directory: &OwnedFd) -> rustix::io::Result<Vec<Box<[u8]>>> {
        names(directory, &mut self.listing)
    }

    fn glance(&mut self, directory: &OwnedFd, name: &[u8]) -> rustix::io::Result<Glance<()>> {
        let stat = stat_at(directory.as_fd(), name)?;
        let kind = file_type(&stat);
        let bytes = if kind == FileType::RegularFile { stat.stx_size } else { 0 };
        let is_entered = kind == FileType::Directory && !self.is_mount(&stat);
        Ok(Glance { kind: NameKind::of(kind), bytes, place: is_entered.then_some(()) })
    }

    fn look(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8]) -> rustix::io::Result<Found<()>> {
        let stat = stat_at(directory.as_fd(), name)?;
        let is_mount = self.is_mount(&stat);
        let kind = self.kind(directory, name, path, &stat)?;
        let xattrs = if is_mount { XattrsFound::default() } else { self.xattrs.read(directory, name)? };
        Ok(self.found(&stat, kind, xattrs, is_mount))
    }
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &OwnedFd, buffer: &mut Vec<u8>) -> rustix::io::Result<Vec<Box<[u8]>>> {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    buffer.clear();
    let mut listing = RawDir::new(directory, buffer.spare_capacity_mut());
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
