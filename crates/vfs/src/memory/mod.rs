//! A filesystem in memory: the reference that the transport and the conformance suite are tested with.
//!
//! Complete (links, special files, extended attributes, sparse files, files that outlive their names), but not made
//! for size or speed: one lock, everything resident.

mod content;
mod node;
mod tree;

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use self::content::Content;
use self::node::{Body, Directory, VALID};
use self::tree::Tree;
use crate::{
    AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, FileKind, FileSystem, Inode,
    OpenFlags, Opened, RenameFlags, SetAttributes, SetXattrFlags, StatFs, Whence,
};

type Result<T> = std::result::Result<T, Errno>;

/// Bytes that one copy_file_range(2) copies at most.
const COPY_LIMIT: u64 = 16 << 20;
/// What statfs(2) claims.
const BLOCKS: u64 = 1 << 20;
const BLOCK_SIZE: u32 = 4096;
const NAME_LENGTH: u32 = 255;
const SYMLINK_PERMISSIONS: u32 = 0o777;

/// Files in memory. Handles are inode numbers.
#[derive(Debug)]
pub struct MemoryFs {
    tree: Mutex<Tree>,
}

impl Default for MemoryFs {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryFs {
    /// An empty filesystem; its root belongs to root.
    pub fn new() -> Self {
        Self { tree: Mutex::new(Tree::new(Caller::default())) }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        body: Body,
    ) -> Result<Entry> {
        let mut tree = self.tree();
        let inode = tree.create(caller, parent, name, permissions, body)?;
        tree.referenced(inode)
    }
}

fn opened(tree: &mut Tree, inode: Inode) -> Result<Opened> {
    tree.node_mut(inode)?.opens += 1;
    // Nobody but the kernel changes anything, so what it has cached is right.
    Ok(Opened { handle: FileHandle(inode.0), keep_cache: true, direct_io: false })
}

fn closed(tree: &mut Tree, inode: Inode) {
    if let Ok(node) = tree.node_mut(inode) {
        node.opens = node.opens.saturating_sub(1);
        tree.collect(inode);
    }
}

#[async_trait]
impl FileSystem for MemoryFs {
    async fn lookup(&self, _caller: Caller, parent: Inode, name: &[u8]) -> Result<Entry> {
        self.tree().lookup(parent, name)
    }

    fn forget(&self, inode: Inode, count: u64) {
        self.tree().forget(inode, count);
    }

    async fn attributes(&self, inode: Inode, _handle: Option<FileHandle>) -> Result<AttributesReply> {
        Ok(AttributesReply { attributes: self.tree().node(inode)?.attributes(inode), valid: VALID })
    }

    async fn set_attributes(
        &self,
        _caller: Caller,
        inode: Inode,
        _handle: Option<FileHandle>,
        changes: SetAttributes,
    ) -> Result<AttributesReply> {
        let mut tree = self.tree();
        let node = tree.node_mut(inode)?;
        node.apply(changes)?;
        Ok(AttributesReply { attributes: node.attributes(inode), valid: VALID })
    }

    async fn read_link(&self, inode: Inode) -> Result<Vec<u8>> {
        match &self.tree().node(inode)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    async fn symlink(&self, caller: Caller, parent: Inode, name: &[u8], target: &[u8]) -> Result<Entry> {
        self.make(caller, parent, name, SYMLINK_PERMISSIONS, Body::Symlink(target.to_vec()))
    }

    async fn make_node(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        mode: u32,
        device: u32,
    ) -> Result<Entry> {
        let body = match FileKind::from_mode(mode).ok_or(Errno::EINVAL)? {
            FileKind::File => Body::File(Content::default()),
            FileKind::Directory | FileKind::Symlink => return Err(Errno::EINVAL),
            kind => Body::Special(kind, device),
        };
        self.make(caller, parent, name, mode & 0o7777, body)
    }

    async fn make_directory(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
    ) -> Result<Entry> {
        self.make(caller, parent, name, permissions, Body::Directory(Directory::new(parent)))
    }

    async fn unlink(&self, _caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        self.tree().unlink(parent, name)
    }

    async fn remove_directory(&self, _caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        self.tree().remove_directory(parent, name)
    }

    async fn rename(
        &self,
        caller: Caller,
        from: (Inode, &[u8]),
        to: (Inode, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        self.tree().rename(caller, from, to, flags)
    }

    async fn link(&self, _caller: Caller, inode: Inode, parent: Inode, name: &[u8]) -> Result<Entry> {
        let mut tree = self.tree();
        tree.link(inode, parent, name)?;
        tree.referenced(inode)
    }

    async fn open(&self, _caller: Caller, inode: Inode, flags: OpenFlags) -> Result<Opened> {
        let mut tree = self.tree();
        if flags.truncate() {
            tree.node_mut(inode)?.content_mut()?.set_length(0);
        }
        opened(&mut tree, inode)
    }

    async fn create(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        let mut tree = self.tree();
        let entry = match tree.create(caller, parent, name, permissions, Body::File(Content::default())) {
            Ok(inode) => tree.referenced(inode)?,
            Err(Errno::EEXIST) if !flags.exclusive() => tree.lookup(parent, name)?,
            Err(errno) => return Err(errno),
        };
        let inode = entry.attributes.inode;
        if flags.truncate() && entry.attributes.size > 0 {
            tree.node_mut(inode)?.content_mut()?.set_length(0);
        }
        let opened = opened(&mut tree, inode)?;
        Ok((Entry { attributes: tree.node(inode)?.attributes(inode), ..entry }, opened))
    }

    async fn read(&self, inode: Inode, _handle: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        Ok(vec![self.tree().node(inode)?.content()?.read(offset, size as usize).into()])
    }

    async fn write(&self, inode: Inode, _handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        self.tree().node_mut(inode)?.content_mut()?.write(offset, &data);
        Ok(())
    }

    async fn release(&self, inode: Inode, _handle: FileHandle) -> Result<()> {
        closed(&mut self.tree(), inode);
        Ok(())
    }

    async fn open_directory(&self, _caller: Caller, inode: Inode) -> Result<Opened> {
        let opened = opened(&mut self.tree(), inode)?;
        Ok(Opened { keep_cache: false, ..opened })
    }

    async fn read_directory(
        &self,
        inode: Inode,
        _handle: FileHandle,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        self.tree().list(inode, offset, limit, plus)
    }

    async fn release_directory(&self, inode: Inode, _handle: FileHandle) -> Result<()> {
        closed(&mut self.tree(), inode);
        Ok(())
    }

    async fn statfs(&self) -> Result<StatFs> {
        Ok(StatFs {
            block_size: BLOCK_SIZE,
            blocks: BLOCKS,
            free_blocks: BLOCKS,
            available_blocks: BLOCKS,
            files: BLOCKS,
            free_files: BLOCKS,
            name_length: NAME_LENGTH,
        })
    }

    async fn get_xattr(&self, inode: Inode, name: &[u8]) -> Result<Vec<u8>> {
        self.tree().node(inode)?.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    async fn set_xattr(&self, inode: Inode, name: &[u8], value: &[u8], flags: SetXattrFlags) -> Result<()> {
        if name.starts_with(b"system.") {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut tree = self.tree();
        let node = tree.node_mut(inode)?;
        match node.xattrs.contains_key(name) {
            true if flags.create => return Err(Errno::EEXIST),
            false if flags.replace => return Err(Errno::ENODATA),
            _ => {}
        }
        node.xattrs.insert(name.to_vec(), value.to_vec());
        node.changed = node::now();
        Ok(())
    }

    async fn list_xattrs(&self, inode: Inode) -> Result<Vec<Vec<u8>>> {
        Ok(self.tree().node(inode)?.xattrs.keys().cloned().collect())
    }

    async fn remove_xattr(&self, inode: Inode, name: &[u8]) -> Result<()> {
        let mut tree = self.tree();
        let node = tree.node_mut(inode)?;
        node.xattrs.remove(name).ok_or(Errno::ENODATA)?;
        node.changed = node::now();
        Ok(())
    }

    async fn allocate(
        &self,
        inode: Inode,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<()> {
        let mut tree = self.tree();
        let content = tree.node_mut(inode)?.content_mut()?;
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let keep_size = mode & libc::FALLOC_FL_KEEP_SIZE != 0;
        match mode & !libc::FALLOC_FL_KEEP_SIZE {
            0 => {}
            libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE => content.punch(offset, length),
            _ => return Err(Errno::EOPNOTSUPP),
        }
        if !keep_size && end > content.length() {
            content.set_length(end);
        }
        Ok(())
    }

    async fn seek(&self, inode: Inode, _handle: FileHandle, offset: u64, whence: Whence) -> Result<u64> {
        self.tree().node(inode)?.content()?.seek(offset, whence).ok_or(Errno::ENXIO)
    }

    async fn copy_range(
        &self,
        from: (Inode, FileHandle, u64),
        to: (Inode, FileHandle, u64),
        length: u64,
    ) -> Result<u64> {
        let mut tree = self.tree();
        let bytes = tree.node(from.0)?.content()?.read(from.2, length.min(COPY_LIMIT) as usize);
        tree.node_mut(to.0)?.content_mut()?.write(to.2, &bytes);
        Ok(bytes.len() as u64)
    }
}
