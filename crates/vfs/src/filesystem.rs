//! The trait that every mountable thing implements.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, Inode, LockOwner, OpenFlags, Opened,
    RenameFlags, SetAttributes, SetXattrFlags, StatFs, Whence,
};

type Result<T> = std::result::Result<T, Errno>;

/// What a filesystem may ask of the kernel: to forget what it has cached.
pub trait KernelCache: Send + Sync {
    /// Drops cached pages `offset..offset+length` of a file (length 0: to its end) and its attributes.
    fn invalidate_inode(&self, inode: Inode, offset: u64, length: u64);
    /// Drops a cached name.
    fn invalidate_entry(&self, parent: Inode, name: &[u8]);
}

/// A filesystem that the kernel can mount.
///
/// Methods are called concurrently. A future is polled first in the thread that read the request, so answers from
/// a cache cost no switch of threads; the first poll must not block. When the calling process is interrupted, futures
/// of reading operations (`lookup`, `attributes`, `read_link`, `open` without O_TRUNC, `read`, `open_directory`,
/// `read_directory`, `statfs`, `get_xattr`, `list_xattrs`, `seek`) are dropped at an await; futures of changing
/// operations always run to their end. A panic answers EIO.
/// Defaults answer ENOSYS, which tells the kernel not to ask again.
///
/// What the kernel and the adapter take care of: permissions (the mount has default_permissions), the umask, names
/// longer than 255 bytes, `.` and `..`, locks, O_APPEND, dropping set-user-id bits when others write or the owner
/// changes (a `set_attributes` of its own, or folded into the one that is asked for). What they do not: times that
/// follow changes, the group of new files in set-group-id directories, dropping `security.capability` on writes.
/// The kernel keeps pages until the file is opened without `keep_cache` or [`KernelCache`] drops them, whatever times
/// and sizes say meanwhile: a filesystem that others change too has to do either.
#[async_trait]
#[expect(unused_variables, reason = "default bodies name their arguments for the documentation")]
pub trait FileSystem: Send + Sync + 'static {
    /// Called once before the first request.
    fn attached(&self, kernel: Arc<dyn KernelCache>) {}

    /// Called after the last request: the connection has ended, whoever ended it.
    async fn detached(&self) {}

    /// Finds a name in a directory.
    async fn lookup(&self, caller: Caller, parent: Inode, name: &[u8]) -> Result<Entry>;

    /// The kernel drops `count` of the references that lookups, creations, links and readdirplus gave it. An unmount
    /// drops all of them without a word.
    fn forget(&self, inode: Inode, count: u64) {}

    /// stat(2). `handle` is given where the kernel knows an open file.
    async fn attributes(&self, inode: Inode, handle: Option<FileHandle>) -> Result<AttributesReply>;

    /// chmod, chown, truncate, utimens.
    async fn set_attributes(
        &self,
        caller: Caller,
        inode: Inode,
        handle: Option<FileHandle>,
        changes: SetAttributes,
    ) -> Result<AttributesReply> {
        Err(Errno::EROFS)
    }

    /// Target of a symbolic link.
    async fn read_link(&self, inode: Inode) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }

    /// Creates a symbolic link.
    async fn symlink(&self, caller: Caller, parent: Inode, name: &[u8], target: &[u8]) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Creates a file, fifo, socket or device; `mode` has type and permission bits, umask applied.
    async fn make_node(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        mode: u32,
        device: u32,
    ) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Creates a directory.
    async fn make_directory(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
    ) -> Result<Entry> {
        Err(Errno::EROFS)
    }

    /// Removes a name that is not a directory.
    async fn unlink(&self, caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Removes an empty directory.
    async fn remove_directory(&self, caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Renames.
    async fn rename(
        &self,
        caller: Caller,
        from: (Inode, &[u8]),
        to: (Inode, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// Creates a hard link.
    async fn link(&self, caller: Caller, inode: Inode, parent: Inode, name: &[u8]) -> Result<Entry> {
        Err(Errno::EPERM)
    }

    /// Opens a file. O_TRUNC comes here too: no `set_attributes` precedes it. O_CREAT and O_EXCL do not.
    async fn open(&self, caller: Caller, inode: Inode, flags: OpenFlags) -> Result<Opened>;

    /// Creates and opens a file. Where one is already, O_EXCL fails with EEXIST; else it is opened, and emptied with
    /// O_TRUNC.
    async fn create(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        Err(Errno::EROFS)
    }

    /// Reads; fewer bytes than asked for only at the end of the file. The pieces follow one another.
    async fn read(&self, inode: Inode, handle: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>>;

    /// Writes all of `data`.
    async fn write(&self, inode: Inode, handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        Err(Errno::EROFS)
    }

    /// close(2) of one descriptor: reports what went wrong with its writes.
    async fn flush(&self, inode: Inode, handle: FileHandle, owner: LockOwner) -> Result<()> {
        Ok(())
    }

    /// The last descriptor is gone; nobody learns of an error. Not called for files that an unmount or abort closes.
    async fn release(&self, inode: Inode, handle: FileHandle) -> Result<()> {
        Ok(())
    }

    /// fsync(2), fdatasync(2).
    async fn fsync(&self, inode: Inode, handle: FileHandle, data_only: bool) -> Result<()> {
        Ok(())
    }

    /// Opens a directory. With `keep_cache` the kernel keeps the names it lists, and shows them without asking.
    async fn open_directory(&self, caller: Caller, inode: Inode) -> Result<Opened>;

    /// Names from `offset` on (0: the first), in a stable order, at most about `limit` of them; empty: the end.
    /// Includes `.` and `..` first. With `plus`, entries carry attributes where they can: each is a reference as from
    /// `lookup`; those that do not fit the kernel's buffer are forgotten at once.
    async fn read_directory(
        &self,
        inode: Inode,
        handle: FileHandle,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>>;

    /// Closes a directory.
    async fn release_directory(&self, inode: Inode, handle: FileHandle) -> Result<()> {
        Ok(())
    }

    /// fsync(2) of a directory.
    async fn fsync_directory(&self, inode: Inode, handle: FileHandle) -> Result<()> {
        Ok(())
    }

    /// statfs(2).
    async fn statfs(&self) -> Result<StatFs>;

    /// Reads an extended attribute; ENODATA if there is none.
    async fn get_xattr(&self, inode: Inode, name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::ENOSYS)
    }

    /// Sets an extended attribute.
    async fn set_xattr(&self, inode: Inode, name: &[u8], value: &[u8], flags: SetXattrFlags) -> Result<()> {
        Err(Errno::ENOSYS)
    }

    /// Names of all extended attributes.
    async fn list_xattrs(&self, inode: Inode) -> Result<Vec<Vec<u8>>> {
        Err(Errno::ENOSYS)
    }

    /// Removes an extended attribute; ENODATA if there is none.
    async fn remove_xattr(&self, inode: Inode, name: &[u8]) -> Result<()> {
        Err(Errno::ENOSYS)
    }

    /// fallocate(2); `mode` has `FALLOC_FL_*`.
    async fn allocate(
        &self,
        inode: Inode,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Next data or hole; ENXIO behind the end.
    async fn seek(&self, inode: Inode, handle: FileHandle, offset: u64, whence: Whence) -> Result<u64> {
        Err(Errno::ENOSYS)
    }

    /// copy_file_range(2); returns the bytes copied.
    async fn copy_range(
        &self,
        from: (Inode, FileHandle, u64),
        to: (Inode, FileHandle, u64),
        length: u64,
    ) -> Result<u64> {
        Err(Errno::ENOSYS)
    }
}
