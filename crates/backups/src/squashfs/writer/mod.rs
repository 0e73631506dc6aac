//! Writes an archive in one pass: head, then data by the caller, then [`finish`].
//!
//! Owns the order of everything in an archive (`docs/backup-format.md`) and its tables. Reads no files and knows no
//! upload; how file content is read, compressed and packed is the caller's.

mod directories;
mod ids;
mod inodes;
mod metadata;
mod output;
mod tables;
mod tree;
mod xattrs;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::integrity::Integrity;
use crate::squashfs::format::{
    BLOCK_BYTES, Codec, Fragment, METADATA_UNCOMPRESSED, SUPERBLOCK_BYTES, Superblock, flags,
};
use crate::{Compression, CreateError};

pub(crate) use ids::check_ids;
pub(crate) use output::{Output, Sink};
pub(crate) use tree::{Attributes, Content, Entry, EntryIndex, InodeIndex, Kind, ROOT, Tree, TreeInode};
pub(crate) use xattrs::{Xattrs, is_storable};

/// Archives end at a multiple of this, so that they can be loop devices.
const ALIGNMENT: u64 = 4096;

/// What has been written and what goes into the tables.
pub(crate) struct Archive<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) xattrs: &'a Xattrs,
    pub(crate) fragments: &'a [Fragment],
    pub(crate) compression: Compression,
    pub(crate) created: SystemTime,
    /// Flags that an archive keeps because it begins with the bytes of another one.
    pub(crate) kept_flags: u16,
}

/// Writes what stands before the data: room for the superblock, and the codec's options if it needs any.
pub(crate) fn start(compression: Compression, output: &mut Output<'_>) -> Result<(), CreateError> {
    output.write(&[0; SUPERBLOCK_BYTES])?;
    if compression.codec() == Codec::Lz4 {
        // Version 1 of lz4's legacy block format, and no high compression.
        let mut options = (8 | METADATA_UNCOMPRESSED).to_le_bytes().to_vec();
        options.extend(1_u32.to_le_bytes());
        options.extend(0_u32.to_le_bytes());
        output.write(&options)?;
    }
    Ok(())
}

/// A finished archive.
pub(crate) struct Finished {
    pub(crate) bytes: u64,
    pub(crate) superblock: Superblock,
    pub(crate) integrity: Integrity,
}

/// Writes all tables and the superblock.
pub(crate) fn finish(archive: &Archive<'_>, mut output: Output<'_>) -> Result<Finished, CreateError> {
    output.end_data();
    let mut superblock = tables::write(archive, &mut output)?;
    superblock.bytes_used = output.position();
    // A private table with what squashfs cannot hold has its place here, behind what other readers look at.
    let end = superblock.bytes_used.next_multiple_of(ALIGNMENT);
    output.write(&vec![0; (end - superblock.bytes_used) as usize])?;
    let integrity = output.finish(&superblock.encode())?;
    Ok(Finished { bytes: end, superblock, integrity })
}

impl Archive<'_> {
    /// A superblock without positions.
    fn superblock(&self) -> Superblock {
        let mut flags = flags::DUPLICATES | flags::EXPORTABLE | (self.kept_flags & flags::CODEC_OPTIONS);
        if self.compression == Compression::None {
            flags |= flags::UNCOMPRESSED;
        }
        if self.xattrs.is_empty() {
            flags |= flags::NO_XATTRS;
        }
        if self.compression.codec() == Codec::Lz4 {
            flags |= flags::CODEC_OPTIONS;
        }
        let since_1970 = self.created.duration_since(UNIX_EPOCH).unwrap_or_default();
        Superblock {
            inode_count: 0,
            created: u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX),
            block_bytes: BLOCK_BYTES as u32,
            fragment_count: self.fragments.len() as u32,
            codec: self.compression.codec() as u16,
            flags,
            id_count: 0,
            root: Default::default(),
            bytes_used: 0,
            id_table: 0,
            xattr_table: 0,
            inode_table: 0,
            directory_table: 0,
            fragment_table: 0,
            export_table: 0,
        }
    }
}
