//! The archive below a restored directory: its whole tree, from its metadata alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sandkeep_objects::{ByteRange, Conditions, ETag, Error, GetRequest, ObjectStore};

use super::base::{Base, fetch};
use super::report::Reason;
use super::scan::Found;
use crate::squashfs::format::{FRAGMENT_ROW_BYTES, Fragment, SUPERBLOCK_BYTES};
use crate::squashfs::reader::{
    self, Archive, Inode, Name, Opening, Place, ReadError, Reader, parse_superblock,
};
use crate::squashfs::writer::{Attributes, Content, Kind};
use crate::{BackupId, Manifest, RestoreError, catalogue};

/// Metadata of some fifteen million files; with more, everything is read again.
const MAX_TABLES: u64 = 512 << 20;
/// Unpacked metadata that is kept at hand.
const CACHED: u64 = 32 << 20;
/// Says of hard links that they are of the archive.
const ARCHIVE: u64 = u64::MAX;
/// What overlayfs writes into layers: an archive may not have it.
const OVERLAY_XATTRS: &[u8] = b"trusted.overlay.";

type Result<T> = std::result::Result<T, ReadError>;

/// An archive whose metadata are in memory.
pub(super) struct Lower {
    manifest: Manifest,
    etag: ETag,
    archive: Archive,
    tables: TablesInMemory,
    /// Attributes by their row, because many files have the same.
    xattrs: Mutex<HashMap<u32, Xattrs>>,
}

type Xattrs = Arc<Vec<(Vec<u8>, Vec<u8>)>>;

/// The end of an archive, from its first table on.
struct TablesInMemory {
    start: u64,
    bytes: Bytes,
}

impl reader::Source for TablesInMemory {
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let outside = ReadError::Damaged { what: "a table lies outside of the archive" };
        let from = start.checked_sub(self.start).ok_or(outside.clone())? as usize;
        let end = from.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(outside)?;
        Ok(self.bytes.slice(from..end))
    }
}

impl Lower {
    /// Fetches the metadata of a backup, expired or not.
    pub(super) async fn load(
        store: &Arc<dyn ObjectStore>,
        key_prefix: &str,
        id: &BackupId,
    ) -> std::result::Result<Self, RestoreError> {
        let damaged = |what: &str| RestoreError::DamagedArchive { id: id.to_string(), what: what.to_owned() };
        let key = id.archive_key(key_prefix);
        let first = ByteRange::Bounded { start: 0, end: SUPERBLOCK_BYTES as u64 };
        let head = GetRequest { key: key.clone(), range: Some(first), conditions: Conditions::default() };
        let (manifest, head) =
            futures::join!(catalogue::inspect(Arc::clone(store), key_prefix, id), store.get(head));
        let (manifest, head) = (manifest?, head?);
        let (etag, size) = (head.info.etag.clone(), head.info.size);
        if manifest.archive_etag.as_ref().is_some_and(|written| *written != etag.0) {
            return Err(damaged("it was replaced"));
        }
        let bytes = fetch(store.as_ref(), &key, &etag, 0..SUPERBLOCK_BYTES as u64).await?;
        let found = parse_superblock(&bytes, size).map_err(|error| damaged(&error.to_string()))?;
        let range = found.0.inode_table..found.0.bytes_used;
        if range.end - range.start > MAX_TABLES {
            return Err(RestoreError::Store(Error::TooLarge));
        }
        let bytes = fetch(store.as_ref(), &key, &etag, range.clone()).await?;
        let tables = TablesInMemory { start: range.start, bytes: bytes.into() };
        let mut opening = Opening::new(found);
        opening.step(&tables).map_err(|error| damaged(&error.to_string()))?;
        let archive = Archive::new(opening, CACHED);
        Ok(Self { manifest, etag, archive, tables, xattrs: Mutex::default() })
    }

    /// What a new archive would need to begin with this one; none if it cannot.
    pub(super) fn base(&self) -> Option<Base> {
        let fragments = self.fragments().ok()?;
        Base::of(&self.manifest, &self.archive.superblock, self.etag.clone(), fragments)
    }

    fn fragments(&self) -> Result<Vec<Fragment>> {
        let rows = self.archive.superblock.fragment_count as usize * FRAGMENT_ROW_BYTES;
        let rows = self.reader().fragment_rows(rows)?;
        Ok(rows.as_chunks().0.iter().map(Fragment::decode).collect())
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.archive, &self.tables)
    }

    pub(super) fn root(&self) -> Result<Inode> {
        self.reader().root()
    }

    /// All names of a directory, in order.
    pub(super) fn names(&self, directory: &Inode) -> Result<Vec<Name>> {
        match &directory.content {
            reader::Content::Directory(directory) => {
                self.reader().names(directory, Place::default(), usize::MAX)
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn named(&self, directory: &Inode, name: &Name) -> Result<Inode> {
        self.reader().named(directory, name)
    }

    /// What is at a path below a directory; none if there is nothing.
    pub(super) fn at(&self, from: &Inode, path: &[u8]) -> Result<Option<Inode>> {
        let mut inode = from.clone();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            if !matches!(inode.content, reader::Content::Directory(_)) {
                return Ok(None);
            }
            match self.reader().lookup(&inode, name)? {
                Some(next) => inode = next,
                None => return Ok(None),
            }
        }
        Ok(Some(inode))
    }

    /// A file's content, which need not be read again; none for what is not a file.
    pub(super) fn content(&self, inode: &Inode) -> Result<Option<Content>> {
        let reader::Content::File(file) = &inode.content else { return Ok(None) };
        let blocks = self.reader().block_list(file)?;
        let (fragment, fragment_offset) = file.fragment.unwrap_or((crate::squashfs::format::NO_FRAGMENT, 0));
        Ok(Some(Content {
            size: file.size,
            start: file.start,
            sparse: file.sparse,
            fragment,
            fragment_offset,
            blocks: (!blocks.is_empty()).then(|| blocks.into()),
            kept: true,
        }))
    }

    /// All that there is to know of an inode.
    pub(super) fn found<P>(&self, inode: &Inode) -> Result<Found<P>> {
        let reader = self.reader();
        let is_directory = matches!(inode.content, reader::Content::Directory(_));
        Ok(Found {
            attributes: Attributes {
                mode: inode.permissions as u16,
                uid: reader.id(inode.uid)?,
                gid: reader.id(inode.gid)?,
                mtime: inode.modified,
            },
            kind: self.kind(inode)?,
            xattrs: self.xattrs(inode)?.to_vec(),
            losses: Vec::<Reason>::new(),
            link: (inode.links > 1 && !is_directory).then_some((ARCHIVE, u64::from(inode.number))),
            signature: None,
            place: None,
        })
    }

    fn kind(&self, inode: &Inode) -> Result<Kind> {
        Ok(match &inode.content {
            reader::Content::Directory(_) => Kind::Directory(0..0),
            reader::Content::File(_) => {
                let unwritten = || Content::unwritten(0);
                Kind::File(self.content(inode)?.filter(|content| content.size > 0).unwrap_or_else(unwritten))
            }
            reader::Content::Symlink(target) => Kind::Symlink(target.as_slice().into()),
            reader::Content::BlockDevice(number) => Kind::BlockDevice(*number),
            reader::Content::CharacterDevice(number) => Kind::CharacterDevice(*number),
            reader::Content::Fifo => Kind::Fifo,
            reader::Content::Socket => Kind::Socket,
        })
    }

    fn xattrs(&self, inode: &Inode) -> Result<Xattrs> {
        let Some(row) = inode.xattrs else { return Ok(Xattrs::default()) };
        let mut known = self.xattrs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&row) {
            return Ok(Arc::clone(found));
        }
        let reader = self.reader();
        let mut found = Vec::new();
        for name in reader.xattr_names(Some(row))? {
            if name.starts_with(OVERLAY_XATTRS) {
                continue;
            }
            if let Some(value) = reader.xattr(Some(row), &name)? {
                found.push((name, value));
            }
        }
        let found = Arc::new(found);
        known.insert(row, Arc::clone(&found));
        Ok(found)
    }
}
