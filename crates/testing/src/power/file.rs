//! The disk as the one file `disk` of a filesystem.

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

/// The name of the file.
pub(super) const NAME: &str = "disk";

const FILE: Inode = Inode(2);

/// Nothing ever changes but the content.
const VALID: Duration = Duration::from_secs(3600);

pub(super) struct DiskFile(pub(super) Arc<Medium>);

impl DiskFile {
    fn attributes_of(&self, inode: Inode) -> Result<Attributes> {
        let (kind, permissions, size, links) = match inode {
            Inode::ROOT => (FileKind::Directory, 0o755, 0, 2),
            FILE => (FileKind::File, 0o600, self.0.size(), 1),
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
        if parent != Inode::ROOT || name != NAME.as_bytes() {
            return Err(Errno::ENOENT);
        }
        let attributes = self.attributes_of(FILE)?;
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

    async fn read(&self, _inode: Inode, _handle: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        Ok(vec![self.0.read(offset, size)?.into()])
    }

    async fn write(&self, _inode: Inode, _handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        self.0.write(offset, &data)
    }

    async fn fsync(&self, _inode: Inode, _handle: FileHandle, _data_only: bool) -> Result<()> {
        self.0.flush()
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
        let names = names.into_iter().chain([(NAME.as_bytes(), FILE, FileKind::File)]).zip(1..);
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
