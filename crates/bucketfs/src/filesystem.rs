//! The operations as the kernel asks for them: each enters the gate and delegates.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandkeep_vfs::{
    Attributes, AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, FileKind, FileSystem,
    Inode, LockOwner, OpenFlags, Opened, RenameFlags, SetAttributes, SetXattrFlags, StatFs, Timestamp,
};

use crate::BucketFs;
use crate::errno::Result;
use crate::names::{self, MAX_NAME_BYTES};

/// What a bucket pretends to hold: buckets have no size, programs want one.
const PRETENDED_BYTES: u64 = 1 << 50;

/// Unit of statfs(2).
const STATFS_BLOCK: u32 = 4096;

/// How long the end of a mount waits for files that are still open and dirty.
const DETACH_DEADLINE: Duration = Duration::from_secs(60);

#[async_trait]
impl FileSystem for BucketFs {
    async fn detached(&self) {
        if let Err(error) = self.flush_all(DETACH_DEADLINE).await {
            tracing::error!(%error, "the mount has ended");
        }
    }

    async fn lookup(&self, caller: Caller, parent: Inode, name: &[u8]) -> Result<Entry> {
        if name.len() > MAX_NAME_BYTES {
            return Err(Errno::ENAMETOOLONG);
        }
        let (directory, _) = self.core.directory(parent)?;
        if names::check(name).is_err() {
            return Err(Errno::ENOENT);
        }
        match self.core.look_up(caller.pid, &directory, name).await? {
            Some(node) => Ok(self.core.entry(&node)),
            None => Ok(absent()),
        }
    }

    fn forget(&self, inode: Inode, count: u64) {
        self.core.table.forget(inode, count);
    }

    async fn attributes(&self, inode: Inode, _: Option<FileHandle>) -> Result<AttributesReply> {
        self.core.attributes(inode).await
    }

    async fn set_attributes(
        &self,
        _: Caller,
        inode: Inode,
        _: Option<FileHandle>,
        changes: SetAttributes,
    ) -> Result<AttributesReply> {
        let _gate = self.core.gate.read().await;
        self.core.set_attributes(inode, changes).await
    }

    async fn read_link(&self, inode: Inode) -> Result<Vec<u8>> {
        self.core.read_link(inode).await
    }

    async fn symlink(&self, caller: Caller, parent: Inode, name: &[u8], target: &[u8]) -> Result<Entry> {
        let _gate = self.core.gate.read().await;
        self.core.symlink(caller, parent, name, target).await
    }

    async fn make_node(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        mode: u32,
        _: u32,
    ) -> Result<Entry> {
        let _gate = self.core.gate.read().await;
        self.core.make_node(caller, parent, name, mode).await
    }

    async fn make_directory(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
    ) -> Result<Entry> {
        let _gate = self.core.gate.read().await;
        self.core.make_directory(caller, parent, name, permissions).await
    }

    async fn unlink(&self, caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.unlink(caller, parent, name).await
    }

    async fn remove_directory(&self, _: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.remove_directory(parent, name).await
    }

    async fn rename(
        &self,
        caller: Caller,
        from: (Inode, &[u8]),
        to: (Inode, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        if self.core.renames_directory(from).await? {
            let _gate = self.core.gate.write().await;
            return self.core.rename(caller, from, to, flags).await;
        }
        let _gate = self.core.gate.read().await;
        self.core.rename(caller, from, to, flags).await
    }

    async fn open(&self, caller: Caller, inode: Inode, flags: OpenFlags) -> Result<Opened> {
        self.core.open(caller, inode, flags).await
    }

    async fn create(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        let _gate = self.core.gate.read().await;
        self.core.create(caller, parent, name, permissions, flags).await
    }

    async fn read(&self, inode: Inode, _: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        self.core.read(inode, offset, size).await
    }

    async fn write(&self, inode: Inode, handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        self.core.write(inode, handle, offset, data).await
    }

    async fn flush(&self, inode: Inode, _: FileHandle, _: LockOwner) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.flush(inode).await
    }

    async fn release(&self, inode: Inode, handle: FileHandle) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.release(inode, handle).await
    }

    async fn fsync(&self, inode: Inode, _: FileHandle, _: bool) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.flush(inode).await
    }

    async fn open_directory(&self, _: Caller, inode: Inode) -> Result<Opened> {
        self.core.open_directory(inode)
    }

    async fn read_directory(
        &self,
        inode: Inode,
        handle: FileHandle,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        self.core.read_directory(inode, handle, offset, limit, plus).await
    }

    async fn release_directory(&self, _: Inode, handle: FileHandle) -> Result<()> {
        self.core.release_directory(handle);
        Ok(())
    }

    async fn statfs(&self) -> Result<StatFs> {
        let blocks = PRETENDED_BYTES / u64::from(STATFS_BLOCK);
        Ok(StatFs {
            block_size: STATFS_BLOCK,
            blocks,
            free_blocks: blocks,
            available_blocks: blocks,
            files: blocks,
            free_files: blocks,
            name_length: MAX_NAME_BYTES as u32,
        })
    }

    async fn get_xattr(&self, inode: Inode, name: &[u8]) -> Result<Vec<u8>> {
        self.core.get_xattr(inode, name).await
    }

    async fn set_xattr(&self, inode: Inode, name: &[u8], value: &[u8], flags: SetXattrFlags) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.set_xattr(inode, name, value, flags).await
    }

    async fn list_xattrs(&self, inode: Inode) -> Result<Vec<Vec<u8>>> {
        self.core.list_xattrs(inode).await
    }

    async fn remove_xattr(&self, inode: Inode, name: &[u8]) -> Result<()> {
        let _gate = self.core.gate.read().await;
        self.core.remove_xattr(inode, name).await
    }

    async fn allocate(&self, inode: Inode, _: FileHandle, offset: u64, length: u64, mode: i32) -> Result<()> {
        self.core.allocate(inode, offset, length, mode).await
    }
}

/// Tells the kernel that there is no such name, and that it must ask again: others may make it at any moment.
fn absent() -> Entry {
    let nothing = Attributes {
        inode: Inode(0),
        kind: FileKind::File,
        permissions: 0,
        size: 0,
        blocks: 0,
        block_size: 0,
        links: 0,
        uid: 0,
        gid: 0,
        device: 0,
        accessed: Timestamp::default(),
        modified: Timestamp::default(),
        changed: Timestamp::default(),
    };
    Entry { attributes: nothing, generation: 0, name_valid: Duration::ZERO, attributes_valid: Duration::ZERO }
}
