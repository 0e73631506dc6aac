//! The disk as the one file of a filesystem.
//!
//! After each cut it is another file: what of the kernel still hangs on the old one must not write any more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandkeep_vfs::{
    Attributes, AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, FileKind, FileSystem,
    Inode, OpenFlags, Opened, SetAttributes, StatFs, Timestamp,
};

use super::medium::Medium;

type Result<T> = std::result::Result<T, Errno>;

/// Nothing may be remembered: after a cut it is not true.
const VALID: Duration = Duration::ZERO;

pub(super) struct DiskFile(pub(super) Arc<Medium>);

/// The name of the file now.
pub(super) fn name(medium: &Medium) -> String {
    format!("disk{}", medium.generation())
}

impl DiskFile {
    fn file(&self) -> Inode {
        Inode(Inode::ROOT.0 + 1 + self.0.generation())
    }

    /// The disk, for who has opened the file that it is now.
    fn disk(&self, inode: Inode) -> Result<&Medium> {
        if inode == self.file() { Ok(&self.0) } else { Err(Errno::EIO) }
    }

    fn attributes_of(&self, inode: Inode) -> Result<Attributes> {
        let (kind, permissions, size, links) = match inode {
            Inode::ROOT => (FileKind::Directory, 0o755, 0, 2),
            _ if inode == self.file() => (FileKind::File, 0o600, self.0.size(), 1),
            _ => return Err(Errno::ENOENT),
        };
        let time = Timestamp { seconds: 0, nanoseconds: 0 };
        Ok(Attributes {
            inode,
            kind,
            permissions,
            size,
            blocks: size / 512,
            block_size: 4096,
            links,
            uid: 0,
            gid: 0,
            device: 0,
            accessed: time,
            modified: time,
            changed: time,
        })
    }
}

#[async_trait]
impl FileSystem for DiskFile {
    async fn lookup(&self, _caller: Caller, parent: Inode, name: &[u8]) -> Result<Entry> {
        if parent != Inode::ROOT || name != self::name(&self.0).as_bytes() {
            return Err(Errno::ENOENT);
        }
        let attributes = self.attributes_of(self.file())?;
        Ok(Entry { attributes, generation: 0, name_valid: VALID, attributes_valid: VALID })
    }

    async fn attributes(&self, inode: Inode, _handle: Option<FileHandle>) -> Result<AttributesReply> {
        Ok(AttributesReply { attributes: self.attributes_of(inode)?, valid: VALID })
    }

    /// Times are of no interest here.
    async fn set_attributes(
        &self,
        _caller: Caller,
        inode: Inode,
        handle: Option<FileHandle>,
        _changes: SetAttributes,
    ) -> Result<AttributesReply> {
        self.attributes(inode, handle).await
    }

    async fn open(&self, _caller: Caller, _inode: Inode, _flags: OpenFlags) -> Result<Opened> {
        // Directly: what the page cache keeps was not written.
        Ok(Opened { handle: FileHandle(1), keep_cache: false, direct_io: true })
    }

    async fn read(&self, inode: Inode, _handle: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        Ok(vec![self.disk(inode)?.read(offset, size)?.into()])
    }

    async fn write(&self, inode: Inode, _handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        self.disk(inode)?.write(offset, &data)
    }

    async fn fsync(&self, inode: Inode, _handle: FileHandle, _data_only: bool) -> Result<()> {
        self.disk(inode)?.flush()
    }

    async fn open_directory(&self, _caller: Caller, _inode: Inode) -> Result<Opened> {
        Ok(Opened { handle: FileHandle(0), keep_cache: false, direct_io: false })
    }

    async fn read_directory(
        &self,
        _inode: Inode,
        _handle: FileHandle,
        offset: u64,
        _limit: usize,
        _plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let names =
            [(&b"."[..], Inode::ROOT, FileKind::Directory), (b"..", Inode::ROOT, FileKind::Directory)];
        let file = name(&self.0);
        let names = names.into_iter().chain([(file.as_bytes(), self.file(), FileKind::File)]).zip(1..);
        let entries = names.map(|((name, inode, kind), next_offset)| DirectoryEntry {
            name: name.to_vec(),
            inode,
            kind,
            next_offset,
            entry: None,
        });
        Ok(entries.filter(|entry| entry.next_offset > offset).collect())
    }

    async fn statfs(&self) -> Result<StatFs> {
        let blocks = self.0.size() / 4096;
        Ok(StatFs {
            block_size: 4096,
            blocks,
            free_blocks: 0,
            available_blocks: 0,
            files: 1,
            free_files: 0,
            name_length: 255,
        })
    }
}
