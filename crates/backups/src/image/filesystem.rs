//! The image as a filesystem: node ids are inode numbers of the archive, with the root's and 1 swapped.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandkeep_vfs::{
    Attributes, AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, FileKind, FileSystem,
    Inode as Node, OpenFlags, Opened, StatFs, Timestamp, Whence,
};

use super::Image;
use crate::squashfs::format::InodeType;
use crate::squashfs::reader::{Content, File, Inode, Name, Place, ReadError, Reader};

type Result<T> = std::result::Result<T, Errno>;

/// An archive never changes.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);
const STAT_BLOCK: u64 = 512;
const ROOT: u32 = 1;
/// Owners that the host cannot represent become nobody's.
const NOBODY: u32 = 65_534;
/// What overlayfs writes into an upper layer. An archive may not steer the overlay that it lies under.
const OVERLAY_XATTRS: &[u8] = b"trusted.overlay.";
const CAPABILITY: &[u8] = b"security.capability";
/// Offsets of `.` and `..`; names follow.
const AFTER_DOT: u64 = 1;
const AFTER_DOT_DOT: u64 = 2;

/// Offset of a directory entry behind a place in the listing.
fn offset(place: Place) -> u64 {
    ((u64::from(place.header) << 8) | u64::from(place.skip)) + AFTER_DOT_DOT + 1
}

fn place(offset: u64) -> Place {
    let place = offset - AFTER_DOT_DOT - 1;
    Place { header: (place >> 8) as u32, skip: place as u8 }
}

fn kind(kind: InodeType) -> FileKind {
    match kind {
        InodeType::Directory => FileKind::Directory,
        InodeType::File => FileKind::File,
        InodeType::Symlink => FileKind::Symlink,
        InodeType::BlockDevice => FileKind::BlockDevice,
        InodeType::CharacterDevice => FileKind::CharacterDevice,
        InodeType::Fifo => FileKind::Fifo,
        InodeType::Socket => FileKind::Socket,
    }
}

/// squashfs stores 20 bits of minor number in the kernel's packing, which is that of FUSE, too.
fn device(content: &Content) -> u32 {
    match content {
        Content::BlockDevice(device) | Content::CharacterDevice(device) => *device,
        _ => 0,
    }
}

fn size_and_blocks(content: &Content) -> (u64, u64) {
    match content {
        Content::File(file) => (file.size, (file.size - file.sparse.min(file.size)).div_ceil(STAT_BLOCK)),
        Content::Symlink(target) => (target.len() as u64, 0),
        Content::Directory(directory) => (u64::from(directory.size), 0),
        _ => (0, 0),
    }
}

/// An ordinary capability (version 2) as one that the root of a sandbox has set (version 3, with its id on the host).
fn capability_of_root(mut value: Vec<u8>, root: u32) -> Vec<u8> {
    const VERSION_2_BYTES: usize = 20;
    const VERSION_2: u8 = 2;
    const VERSION_3: u8 = 3;
    if root != 0 && value.len() == VERSION_2_BYTES && value[3] == VERSION_2 {
        value[3] = VERSION_3;
        value.extend(root.to_le_bytes());
    }
    value
}

impl Image {
    fn number(&self, node: Node) -> Result<u32> {
        let number = u32::try_from(node.0).map_err(|_| Errno::ESTALE)?;
        Ok(self.swapped(number))
    }

    fn node(&self, number: u32) -> Node {
        Node(u64::from(self.swapped(number)))
    }

    fn swapped(&self, number: u32) -> u32 {
        match number {
            ROOT => self.root,
            number if number == self.root => ROOT,
            number => number,
        }
    }

    async fn inode(&self, node: Node) -> Result<Inode> {
        let number = self.number(node)?;
        self.looked_up(|reader| reader.inode(number))
            .await
            .map_err(|failure| failure.errno())?
            .ok_or(Errno::ESTALE)
    }

    async fn file(&self, node: Node) -> Result<File> {
        match self.inode(node).await?.content {
            Content::File(file) => Ok(file),
            Content::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    fn stat(&self, reader: &Reader<'_>, inode: &Inode) -> std::result::Result<Attributes, ReadError> {
        let time = Timestamp { seconds: i64::from(inode.modified), nanoseconds: 0 };
        let (size, blocks) = size_and_blocks(&inode.content);
        Ok(Attributes {
            inode: self.node(inode.number),
            kind: kind(inode.content.kind()),
            permissions: inode.permissions,
            size,
            blocks,
            block_size: self.archive.superblock.block_bytes,
            links: inode.links.max(1),
            uid: self.owner(reader.id(inode.uid)?),
            gid: self.owner(reader.id(inode.gid)?),
            device: device(&inode.content),
            accessed: time,
            modified: time,
            changed: time,
        })
    }

    fn owner(&self, id: u32) -> u32 {
        id.checked_add(self.id_base).filter(|id| *id != u32::MAX).unwrap_or(NOBODY)
    }

    /// The answer to a name that does not exist, which the kernel remembers.
    fn no_entry(&self) -> Entry {
        let attributes = Attributes {
            inode: Node(0),
            kind: FileKind::File,
            permissions: 0,
            size: 0,
            blocks: 0,
            block_size: self.archive.superblock.block_bytes,
            links: 0,
            uid: 0,
            gid: 0,
            device: 0,
            accessed: Timestamp::default(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
        };
        Entry { attributes, generation: 0, name_valid: FOR_EVER, attributes_valid: FOR_EVER }
    }

    fn entry(&self, reader: &Reader<'_>, inode: &Inode) -> std::result::Result<Entry, ReadError> {
        let attributes = self.stat(reader, inode)?;
        Ok(Entry { attributes, generation: 0, name_valid: FOR_EVER, attributes_valid: FOR_EVER })
    }

    async fn names(
        &self,
        parent: &Inode,
        from: Place,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let Content::Directory(directory) = &parent.content else { return Err(Errno::ENOTDIR) };
        let list = |reader: &Reader<'_>| {
            let names = reader.names(directory, from, limit)?;
            let complete = |name: Name| {
                let entry = if plus { self.listed(reader, parent, &name)? } else { None };
                let (inode, kind) = (self.node(name.number), kind(name.kind));
                Ok(DirectoryEntry { name: name.name, inode, kind, next_offset: offset(name.next), entry })
            };
            names.into_iter().map(complete).collect()
        };
        self.looked_up(list).await.map_err(|failure| failure.errno())
    }

    /// A name with its attributes, unless they are damaged: that is for whoever looks the name up.
    fn listed(
        &self,
        reader: &Reader<'_>,
        parent: &Inode,
        name: &Name,
    ) -> std::result::Result<Option<Entry>, ReadError> {
        match reader.named(parent, name).and_then(|inode| self.entry(reader, &inode)) {
            Ok(entry) => Ok(Some(entry)),
            Err(ReadError::Damaged { .. }) => Ok(None),
            Err(missing) => Err(missing),
        }
    }

    fn dots(&self, directory: Node, parent: u32, offset: u64) -> Vec<DirectoryEntry> {
        let dot = |name: &[u8], inode, next_offset| DirectoryEntry {
            name: name.to_vec(),
            inode,
            kind: FileKind::Directory,
            next_offset,
            entry: None,
        };
        // The root's parent is a number that no inode has.
        let above = if directory == Node::ROOT { Node::ROOT } else { self.node(parent) };
        let both = [dot(b".", directory, AFTER_DOT), dot(b"..", above, AFTER_DOT_DOT)];
        both.into_iter().skip(offset as usize).collect()
    }
}

#[async_trait]
impl FileSystem for Image {
    async fn lookup(&self, _: Caller, parent: Node, name: &[u8]) -> Result<Entry> {
        let parent = self.inode(parent).await?;
        if !matches!(parent.content, Content::Directory(_)) {
            return Err(Errno::ENOTDIR);
        }
        let find = |reader: &Reader<'_>| {
            let found = reader.lookup(&parent, name)?;
            found.map(|inode| self.entry(reader, &inode)).transpose()
        };
        let found = self.looked_up(find).await.map_err(|failure| failure.errno())?;
        Ok(found.unwrap_or_else(|| self.no_entry()))
    }

    async fn attributes(&self, inode: Node, _: Option<FileHandle>) -> Result<AttributesReply> {
        let inode = self.inode(inode).await?;
        let attributes =
            self.looked_up(|reader| self.stat(reader, &inode)).await.map_err(|failure| failure.errno())?;
        Ok(AttributesReply { attributes, valid: FOR_EVER })
    }

    async fn read_link(&self, inode: Node) -> Result<Vec<u8>> {
        match self.inode(inode).await?.content {
            Content::Symlink(target) => Ok(target),
            _ => Err(Errno::EINVAL),
        }
    }

    async fn open(&self, _: Caller, inode: Node, flags: OpenFlags) -> Result<Opened> {
        if flags.write() || flags.truncate() {
            return Err(Errno::EROFS);
        }
        Ok(Opened { handle: FileHandle(inode.0), keep_cache: true, direct_io: false })
    }

    async fn read(&self, inode: Node, _: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        let file = self.file(inode).await?;
        let number = self.number(inode)?;
        let find = |reader: &Reader<'_>| reader.pieces(number, &file, offset, size);
        let pieces = self.looked_up(find).await.map_err(|failure| failure.errno())?;
        self.blocks.read(&pieces).await.map_err(|failure| failure.errno())
    }

    async fn open_directory(&self, _: Caller, inode: Node) -> Result<Opened> {
        Ok(Opened { handle: FileHandle(inode.0), keep_cache: true, direct_io: false })
    }

    async fn read_directory(
        &self,
        inode: Node,
        _: FileHandle,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let directory = self.inode(inode).await?;
        let Content::Directory(content) = &directory.content else { return Err(Errno::ENOTDIR) };
        let (mut entries, from) = match offset {
            0..=AFTER_DOT_DOT => (self.dots(inode, content.parent, offset), Place::default()),
            offset => (Vec::new(), place(offset)),
        };
        entries.extend(self.names(&directory, from, limit.max(1), plus).await?);
        Ok(entries)
    }

    async fn statfs(&self) -> Result<StatFs> {
        let superblock = &self.archive.superblock;
        Ok(StatFs {
            block_size: superblock.block_bytes,
            blocks: superblock.bytes_used.div_ceil(u64::from(superblock.block_bytes)),
            free_blocks: 0,
            available_blocks: 0,
            files: u64::from(superblock.inode_count),
            free_files: 0,
            name_length: 255,
        })
    }

    async fn get_xattr(&self, inode: Node, name: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(OVERLAY_XATTRS) {
            return Err(Errno::ENODATA);
        }
        let inode = self.inode(inode).await?;
        let found = self.looked_up(|reader| reader.xattr(inode.xattrs, name)).await;
        let value = found.map_err(|failure| failure.errno())?.ok_or(Errno::ENODATA)?;
        Ok(if name == CAPABILITY { capability_of_root(value, self.id_base) } else { value })
    }

    async fn list_xattrs(&self, inode: Node) -> Result<Vec<Vec<u8>>> {
        let inode = self.inode(inode).await?;
        let names = self.looked_up(|reader| reader.xattr_names(inode.xattrs)).await;
        let mut names = names.map_err(|failure| failure.errno())?;
        names.retain(|name| !name.starts_with(OVERLAY_XATTRS));
        Ok(names)
    }

    async fn seek(&self, inode: Node, _: FileHandle, offset: u64, whence: Whence) -> Result<u64> {
        let file = self.file(inode).await?;
        let hole = whence == Whence::Hole;
        self.looked_up(|reader| reader.seek(&file, offset, hole))
            .await
            .map_err(|failure| failure.errno())?
            .ok_or(Errno::ENXIO)
    }
}
