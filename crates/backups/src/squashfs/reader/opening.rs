//! Finding the tables of an archive, in steps that can be repeated when bytes are missing.

use bytes::Bytes;

use super::cursor::{Blocks, Cursor};
use super::failure::{Result, check};
use super::inode::{Inode, MIN_INODE};
use super::source::Source;
use super::superblock::place;
use super::table::{Table, Walk};
use super::xattr::XattrTables;
use crate::squashfs::format::{
    Codec, FRAGMENT_ROW_BYTES, METADATA_BLOCK_BYTES, Superblock, XATTR_HEADER_BYTES, XATTR_ROW_BYTES,
    read_u32, read_u64,
};

/// Without an export table the places of all inodes are kept in memory: 8 bytes each.
const MAX_UNEXPORTED: u32 = 8 << 20;
/// Stands for a number that no inode has.
const NO_INODE: u64 = u64::MAX;

/// How an inode number leads to the inode.
#[derive(Debug)]
pub(crate) enum Numbers {
    /// The archive's own table: 8 bytes per inode, in order.
    Exported(Table),
    /// Addresses in the inode table by number less one; [`u64::MAX`] where there is none.
    Scanned(Vec<u64>),
}

/// All that an archive needs to know.
pub(crate) struct Tables {
    pub(crate) superblock: Superblock,
    pub(crate) codec: Codec,
    pub(crate) inodes: Table,
    pub(crate) directories: Table,
    pub(crate) fragments: Table,
    pub(crate) numbers: Numbers,
    pub(crate) ids: Vec<u32>,
    pub(crate) xattrs: Option<XattrTables>,
}

/// An archive whose tables are being found.
#[derive(Debug)]
pub(crate) struct Opening {
    superblock: Superblock,
    codec: Codec,
    indexed: Option<Indexed>,
    inodes: Walk,
    directories: Walk,
    pairs: Option<Walk>,
    ids: Vec<u32>,
    scan: Scan,
}

impl Opening {
    /// Starts with a checked superblock.
    pub(crate) fn new((superblock, codec): (Superblock, Codec)) -> Self {
        let inodes = Walk::new(superblock.inode_table);
        let directories = Walk::new(superblock.directory_table);
        Self {
            superblock,
            codec,
            indexed: None,
            inodes,
            directories,
            pairs: None,
            ids: Vec::new(),
            scan: Scan::default(),
        }
    }

    /// Goes on until the archive can be opened or bytes are missing; what was found is kept.
    pub(crate) fn step(&mut self, source: &dyn Source) -> Result<()> {
        if self.indexed.is_none() {
            self.indexed = Some(Indexed::read(&self.superblock, source)?);
        }
        let Some(indexed) = &self.indexed else { return Ok(()) };
        self.inodes.advance(source, self.superblock.directory_table)?;
        self.directories.advance(source, indexed.start(&self.superblock))?;
        if let Some(xattrs) = &indexed.xattrs {
            self.pairs.get_or_insert_with(|| Walk::new(xattrs.pairs)).advance(source, xattrs.pairs_end)?;
        }
        let blocks = Direct { codec: self.codec, source };
        self.ids = read_ids(&blocks, &indexed.ids, self.superblock.id_count)?;
        if indexed.exports.is_none() {
            self.scan.advance(&blocks, &self.inodes.table(), &self.superblock)?;
        }
        Ok(())
    }

    /// What was found.
    pub(crate) fn into_tables(self) -> Tables {
        let indexed = self.indexed.unwrap_or_default();
        let pairs = self.pairs.map(|walk| walk.table()).unwrap_or_default();
        let xattrs = indexed.xattrs.map(|found| XattrTables { ids: found.ids, count: found.count, pairs });
        Tables {
            superblock: self.superblock,
            codec: self.codec,
            inodes: self.inodes.table(),
            directories: self.directories.table(),
            fragments: indexed.fragments,
            numbers: indexed.exports.map_or(Numbers::Scanned(self.scan.addresses), Numbers::Exported),
            ids: self.ids,
            xattrs,
        }
    }
}

/// The tables whose blocks an index lists.
#[derive(Debug, Default)]
struct Indexed {
    fragments: Table,
    exports: Option<Table>,
    ids: Table,
    xattrs: Option<XattrIndex>,
}

#[derive(Debug)]
struct XattrIndex {
    ids: Table,
    count: u32,
    pairs: u64,
    pairs_end: u64,
}

impl Indexed {
    fn read(superblock: &Superblock, source: &dyn Source) -> Result<Self> {
        let table = |index, entries: u32, entry_bytes| {
            read_index(
                superblock,
                source,
                index,
                u64::from(entries) * entry_bytes,
                superblock.directory_table..index,
            )
        };
        let fragments = match superblock.fragment_count {
            0 => Table::default(),
            entries => table(superblock.fragment_table, entries, FRAGMENT_ROW_BYTES as u64)?,
        };
        let exports = place(superblock.export_table)
            .map(|index| table(index, superblock.inode_count, 8))
            .transpose()?;
        let ids = table(superblock.id_table, superblock.id_count.into(), 4)?;
        let xattrs = place(superblock.xattr_table)
            .map(|header| XattrIndex::read(superblock, source, header))
            .transpose()?;
        Ok(Self { fragments, exports, ids, xattrs: xattrs.flatten() })
    }

    /// Where the first of them starts, and so the directory table ends.
    fn start(&self, superblock: &Superblock) -> u64 {
        let tables = [Some(&self.fragments), self.exports.as_ref(), Some(&self.ids)];
        tables.into_iter().flatten().filter_map(Table::first).min().unwrap_or(superblock.id_table)
    }
}

impl XattrIndex {
    fn read(superblock: &Superblock, source: &dyn Source, header: u64) -> Result<Option<Self>> {
        let bytes = source.bytes(header, XATTR_HEADER_BYTES)?;
        let (pairs, count) = (read_u64(&bytes, 0), read_u32(&bytes, 8));
        if count == 0 {
            return Ok(None);
        }
        check(
            (superblock.id_table..header).contains(&pairs),
            "the table of extended attributes is misplaced",
        )?;
        let ids = read_index(
            superblock,
            source,
            header + XATTR_HEADER_BYTES as u64,
            u64::from(count) * XATTR_ROW_BYTES as u64,
            pairs..header,
        )?;
        let pairs_end = ids.first().unwrap_or(header);
        Ok(Some(Self { ids, count, pairs, pairs_end }))
    }
}

/// Reads the index of a table of `bytes` unpacked bytes whose blocks lie in `range`.
fn read_index(
    superblock: &Superblock,
    source: &dyn Source,
    index: u64,
    bytes: u64,
    range: std::ops::Range<u64>,
) -> Result<Table> {
    let blocks = bytes.div_ceil(METADATA_BLOCK_BYTES as u64);
    let end = index.saturating_add(blocks * 8);
    check(end <= superblock.bytes_used, "the index of a table lies outside of the archive")?;
    let listed = source.bytes(index, (end - index) as usize)?;
    let positions = listed.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
    Table::indexed(positions, range.start, range.end)
}

fn read_ids(blocks: &Direct<'_>, table: &Table, count: u16) -> Result<Vec<u32>> {
    let mut cursor = Cursor::new(blocks, table, 0);
    (0..count).map(|_| cursor.u32()).collect()
}

/// Unpacks blocks without a cache.
struct Direct<'a> {
    codec: Codec,
    source: &'a dyn Source,
}

impl Blocks for Direct<'_> {
    fn block(&self, table: &Table, number: usize) -> Result<Bytes> {
        table.unpack(number, self.codec, self.source)
    }
}

/// Goes through the inode table to learn where each number is.
#[derive(Debug, Default)]
struct Scan {
    addresses: Vec<u64>,
    next: u64,
    found: u32,
}

impl Scan {
    fn advance(&mut self, blocks: &Direct<'_>, table: &Table, superblock: &Superblock) -> Result<()> {
        let possible = table.limit() / MIN_INODE;
        check(u64::from(superblock.inode_count) <= possible, "it has fewer inodes than it says")?;
        check(
            superblock.inode_count <= MAX_UNEXPORTED,
            "it has too many inodes for an archive without export table",
        )?;
        let mut cursor = Cursor::new(blocks, table, self.next);
        while self.found < superblock.inode_count {
            let address = cursor.address();
            let inode = Inode::parse(&mut cursor, superblock.block_bytes)?;
            self.remember(inode.number, address, superblock.inode_count)?;
            self.next = cursor.address();
            self.found += 1;
        }
        Ok(())
    }

    fn remember(&mut self, number: u32, address: u64, inodes: u32) -> Result<()> {
        check((1..=inodes).contains(&number), "an inode has an impossible number")?;
        let slot = number as usize - 1;
        if self.addresses.len() <= slot {
            self.addresses.resize(slot + 1, NO_INODE);
        }
        self.addresses[slot] = address;
        Ok(())
    }
}
