//! A restored directory: what its upper layer has not touched is told by the archive below, without a look at the files.
//!
//! Which names the upper layer touches, and which directory of the archive lies below one of its own, is read from that
//! layer (<https://docs.kernel.org/filesystems/overlayfs.html>). How touched names look is asked of the kernel, through
//! the merged directory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fgetxattr, openat};
use rustix::io::{Errno, Result};

use super::host::{HostWalk, names};
use super::{Found, Glance, Walk};
use crate::create::Overlay;
use crate::create::attributes::file_type;
use crate::create::directory::{SourceDirectory, stat_at};
use crate::create::ignored::NameKind;
use crate::create::lower::Lower;
use crate::squashfs::reader::{Content, Inode, ReadError};
use crate::squashfs::writer::Kind;

const OPAQUE: &str = "trusted.overlay.opaque";
const REDIRECT: &str = "trusted.overlay.redirect";
const METACOPY: &str = "trusted.overlay.metacopy";
const MAX_REDIRECT_BYTES: usize = 4096;

/// Walks a directory that is an overlay over an archive.
pub(in crate::create) struct OverlayWalk<'a> {
    merged: HostWalk<'a>,
    upper: SourceDirectory,
    lower: &'a Lower,
    /// Paths below the directory on which other things are mounted.
    mounts: HashSet<Vec<u8>>,
    /// Files of the archive with several names may have been changed under another one.
    distrusts_links: bool,
}

/// Where a directory has its names from.
#[derive(Debug, Default)]
pub(in crate::create) struct LayeredPlace {
    in_upper: bool,
    lower: Option<Box<Inode>>,
}

/// An open directory.
pub(in crate::create) struct Layered {
    /// For names that the upper layer touches.
    merged: Option<OwnedFd>,
    upper: Option<OwnedFd>,
    lower: Option<Box<Inode>>,
    names: BTreeMap<Box<[u8]>, Origin>,
    path: Vec<u8>,
    in_archive: HashMap<Box<[u8]>, Inode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Upper,
    Lower,
}

impl<'a> OverlayWalk<'a> {
    pub(in crate::create) fn new(merged: HostWalk<'a>, overlay: &Overlay, lower: &'a Lower) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let upper = openat(&overlay.layer, "upper", flags, Mode::empty())?;
        let mounts = overlay.mounts.iter().map(|path| path.as_bytes().to_vec()).collect();
        Ok(Self {
            merged,
            upper: SourceDirectory::new(upper),
            lower,
            mounts,
            distrusts_links: has_link_index(&overlay.layer),
        })
    }

    fn is_mount(&self, path: &[u8]) -> bool {
        self.mounts.contains(path)
    }

    /// Whether the archive's word is enough for a name that the upper layer does not have.
    fn is_trusted(&self, path: &[u8], inode: &Inode) -> bool {
        let is_linked = inode.links > 1 && !matches!(inode.content, Content::Directory(_));
        !(self.is_mount(path) || (is_linked && self.distrusts_links))
    }

    /// The archive's directory below one of the upper layer; none if that one stands alone.
    fn lower_of(&self, directory: &Layered, name: &[u8]) -> Result<Option<Box<Inode>>> {
        let Some(upper) = &directory.upper else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = openat(upper, name, flags, Mode::empty())?;
        if xattr(&opened, OPAQUE)?.is_some_and(|value| value == b"y") {
            return Ok(None);
        }
        let found = match xattr(&opened, REDIRECT)? {
            Some(target) => self.redirected(directory, &target)?,
            None => directory.in_archive.get(name).cloned(),
        };
        Ok(found.filter(|inode| matches!(inode.content, Content::Directory(_))).map(Box::new))
    }

    /// What a redirect leads to: a path from the archive's root, or a name in the same directory.
    fn redirected(&self, directory: &Layered, target: &[u8]) -> Result<Option<Inode>> {
        if target.starts_with(b"/") {
            let root = self.lower.root().map_err(damaged)?;
            return self.lower.at(&root, target).map_err(damaged);
        }
        match &directory.lower {
            Some(lower) => self.lower.at(lower, target).map_err(damaged),
            None => Ok(None),
        }
    }

    /// A file of which only the attributes were changed keeps the archive's content.
    fn with_kept_content(
        &self,
        directory: &Layered,
        name: &[u8],
        mut found: Found<LayeredPlace>,
    ) -> Result<Found<LayeredPlace>> {
        let Kind::File(content) = &mut found.kind else { return Ok(found) };
        let Some(upper) = directory.upper.as_ref().filter(|_| !content.kept) else { return Ok(found) };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = openat(upper, name, flags, Mode::empty())?;
        if xattr(&opened, METACOPY)?.is_none() {
            return Ok(found);
        }
        let below = match xattr(&opened, REDIRECT)? {
            Some(target) => self.redirected(directory, &target)?,
            None => directory.in_archive.get(name).cloned(),
        };
        let kept = below.map(|inode| self.lower.content(&inode)).transpose().map_err(damaged)?.flatten();
        if let Some(kept) = kept.filter(|kept| kept.size == content.size && kept.size > 0) {
            *content = kept;
        }
        Ok(found)
    }

    fn place(&self, directory: &Layered, name: &[u8]) -> Result<LayeredPlace> {
        if directory.names.get(name) == Some(&Origin::Lower) {
            let lower = directory.in_archive.get(name).cloned().map(Box::new);
            return Ok(LayeredPlace { in_upper: false, lower });
        }
        Ok(LayeredPlace { in_upper: true, lower: self.lower_of(directory, name)? })
    }
}

impl Walk for OverlayWalk<'_> {
    type Directory = Layered;
    type Place = LayeredPlace;

    fn root(&mut self) -> Result<Found<LayeredPlace>> {
        let Found { attributes, kind, xattrs, losses, .. } = self.merged.root()?;
        let lower = Some(Box::new(self.lower.root().map_err(damaged)?));
        let place = Some(LayeredPlace { in_upper: true, lower });
        Ok(Found { attributes, kind, xattrs, losses, link: None, signature: None, place })
    }

    fn open(&mut self, path: &[u8], place: LayeredPlace) -> Result<Layered> {
        let LayeredPlace { in_upper, lower } = place;
        let mut opened = Layered {
            merged: None,
            upper: None,
            lower,
            names: BTreeMap::new(),
            path: path.to_vec(),
            in_archive: HashMap::new(),
        };
        if let Some(lower) = &opened.lower {
            for name in self.lower.names(lower).map_err(damaged)? {
                let inode = self.lower.named(lower, &name).map_err(damaged)?;
                let name = name.name.into_boxed_slice();
                opened.names.insert(name.clone(), Origin::Lower);
                opened.in_archive.insert(name, inode);
            }
        }
        if in_upper {
            opened.merged = Some(self.merged.open(path, ())?);
            let upper = self.upper.open_directory(path)?;
            for name in names(&upper, &mut Vec::with_capacity(64 << 10))? {
                if is_whiteout(&upper, &name)? {
                    opened.names.remove(&name);
                } else {
                    opened.names.insert(name, Origin::Upper);
                }
            }
            opened.upper = Some(upper);
        }
        Ok(opened)
    }

    fn names(&mut self, directory: &Layered) -> Result<Vec<Box<[u8]>>> {
        Ok(directory.names.keys().cloned().collect())
    }

    fn glance(&mut self, directory: &Layered, name: &[u8]) -> Result<Glance<LayeredPlace>> {
        let path = join(&directory.path, name);
        if let Some(inode) = self.of_archive(directory, name, &path) {
            return Ok(glance_at(inode));
        }
        let merged = self.merged_directory(directory)?;
        let Glance { kind, bytes, place } = self.merged.glance(merged.as_fd_owned(), name)?;
        let place = match place {
            Some(()) => Some(self.place(directory, name)?),
            None => None,
        };
        Ok(Glance { kind, bytes, place })
    }

    fn look(&mut self, directory: &Layered, name: &[u8], path: &[u8]) -> Result<Found<LayeredPlace>> {
        if let Some(inode) = self.of_archive(directory, name, path) {
            let found = self.lower.found(inode).map_err(damaged)?;
            return Ok(Found { place: glance_at(inode).place, ..found });
        }
        let merged = self.merged_directory(directory)?;
        let Found { attributes, kind, xattrs, losses, link, signature, place } =
            self.merged.look(merged.as_fd_owned(), name, path)?;
        let place = match place {
            Some(()) => Some(self.place(directory, name)?),
            None => None,
        };
        let found = Found { attributes, kind, xattrs, losses, link, signature, place };
        if directory.names.get(name) == Some(&Origin::Upper) {
            self.with_kept_content(directory, name, found)
        } else {
            Ok(found)
        }
    }
}

/// A merged directory that is open already, or was opened for one look.
enum Merged<'a> {
    Open(&'a OwnedFd),
    Opened(OwnedFd),
}

impl Merged<'_> {
    fn as_fd_owned(&self) -> &OwnedFd {
        match self {
            Self::Open(directory) => directory,
            Self::Opened(directory) => directory,
        }
    }
}

impl OverlayWalk<'_> {
    fn of_archive<'d>(&self, directory: &'d Layered, name: &[u8], path: &[u8]) -> Option<&'d Inode> {
        let is_lower = directory.names.get(name) == Some(&Origin::Lower);
        directory.in_archive.get(name).filter(|inode| is_lower && self.is_trusted(path, inode))
    }

    fn merged_directory<'d>(&mut self, directory: &'d Layered) -> Result<Merged<'d>> {
        match &directory.merged {
            Some(open) => Ok(Merged::Open(open)),
            None => self.merged.open(&directory.path, ()).map(Merged::Opened),
        }
    }
}

fn glance_at(inode: &Inode) -> Glance<LayeredPlace> {
    let (kind, bytes) = match &inode.content {
        Content::Directory(_) => (NameKind::Directory, 0),
        Content::File(file) => (NameKind::File, file.size),
        Content::Symlink(_) => (NameKind::File, 0),
        _ => (NameKind::Other, 0),
    };
    let place = (kind == NameKind::Directory)
        .then(|| LayeredPlace { in_upper: false, lower: Some(Box::new(inode.clone())) });
    Glance { kind, bytes, place }
}

/// A character device 0:0 stands for a name that was removed.
fn is_whiteout(upper: &OwnedFd, name: &[u8]) -> Result<bool> {
    let stat = stat_at(upper.as_fd(), name)?;
    let is_device = file_type(&stat) == FileType::CharacterDevice;
    Ok(is_device && (stat.stx_rdev_major, stat.stx_rdev_minor) == (0, 0))
}

/// Whether the overlay keeps hard links of the archive together: its index then has the files that were changed.
fn has_link_index(layer: &OwnedFd) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let index = openat(layer, "work", flags, Mode::empty())
        .and_then(|work| openat(&work, "index", flags, Mode::empty()))
        .and_then(|index| names(&index, &mut Vec::with_capacity(4096)));
    index.is_ok_and(|names| !names.is_empty())
}

fn xattr(file: &OwnedFd, name: &str) -> Result<Option<Vec<u8>>> {
    let mut value = vec![0; MAX_REDIRECT_BYTES];
    match fgetxattr(file, name, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The archive was read to the end when it was restored: damage now is bad luck, and the kernel would say the same.
#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn damaged(error: ReadError) -> Errno {
    tracing::warn!(%error, "the archive below the directory is damaged");
    Errno::IO
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') }
}
