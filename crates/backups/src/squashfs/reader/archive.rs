//! What is known of an open archive.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::failure::Result;
use super::file::{Offsets, RecentOffsets};
use super::opening::{Numbers, Opening};
use super::source::Source;
use super::table::Table;
use super::xattr::XattrTables;
use crate::lru::Lru;
use crate::squashfs::format::{Codec, Superblock};

/// The places of all tables. Their content is read through a [`super::Reader`].
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) superblock: Superblock,
    pub(crate) codec: Codec,
    pub(crate) inodes: Table,
    pub(crate) directories: Table,
    pub(crate) fragments: Table,
    pub(crate) numbers: Numbers,
    pub(crate) ids: Vec<u32>,
    pub(crate) xattrs: Option<XattrTables>,
    offsets: RecentOffsets,
    // Unpacked metadata blocks by where they start.
    unpacked: Mutex<Lru<u64>>,
}

impl Archive {
    /// What an [`Opening`] found, with a cache of `cached` bytes for unpacked metadata.
    pub(crate) fn new(opening: Opening, cached: u64) -> Self {
        let tables = opening.into_tables();
        Self {
            superblock: tables.superblock,
            codec: tables.codec,
            inodes: tables.inodes,
            directories: tables.directories,
            fragments: tables.fragments,
            numbers: tables.numbers,
            ids: tables.ids,
            xattrs: tables.xattrs,
            offsets: RecentOffsets::default(),
            unpacked: Mutex::new(Lru::new(cached)),
        }
    }

    /// An unpacked metadata block, from the cache if it can be.
    pub(crate) fn block(&self, table: &Table, number: usize, source: &dyn Source) -> Result<Bytes> {
        let position = table.position(number).unwrap_or(u64::MAX);
        if let Some(block) = Lru::lock(&self.unpacked).get(&position) {
            return Ok(block);
        }
        let block = table.unpack(number, self.codec, source)?;
        Lru::lock(&self.unpacked).insert(position, block.clone());
        Ok(block)
    }

    /// Remembered data offsets of inode `number`.
    pub(crate) fn offsets(&self, number: u32) -> Arc<Offsets> {
        self.offsets.of(number)
    }
}
