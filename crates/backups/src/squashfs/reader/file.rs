//! Which blocks of the archive make up a range of a file.

use std::sync::{Arc, Mutex, PoisonError};

use super::cursor::Cursor;
use super::failure::{ReadError, Result, check};
use super::inode::File;
use super::reader::Reader;
use crate::squashfs::format::{BlockSize, FRAGMENT_ROW_BYTES, Fragment};

/// Block list entries between two remembered offsets.
const STRIDE: u64 = 512;

/// A block of data in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Extent {
    /// Offset in the archive.
    pub(crate) position: u64,
    /// Bytes stored.
    pub(crate) stored: u32,
    /// Stored as it is.
    pub(crate) plain: bool,
    /// Bytes it unpacks to at most, and exactly for blocks that are not fragments.
    pub(crate) limit: u32,
    /// Holds tails of several files.
    pub(crate) fragment: bool,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Zeros.
    Hole {
        /// How many.
        length: u32,
    },
    /// Part of a block.
    Data {
        /// The block.
        extent: Extent,
        /// First byte in the unpacked block.
        skip: u32,
        /// How many.
        length: u32,
    },
}

/// Remembered offsets of the data blocks of a long file: one per [`STRIDE`] blocks, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Offsets(Mutex<Vec<u64>>);

impl Reader<'_> {
    /// All of a file's block list.
    pub(crate) fn block_list(&self, file: &File) -> Result<Vec<BlockSize>> {
        let mut cursor = Cursor::new(self, &self.archive().inodes, file.list);
        cursor.require(file.blocks.saturating_mul(4))?;
        (0..file.blocks).map(|_| cursor.u32().map(BlockSize)).collect()
    }

    /// The fragment table, of which the archive has so many bytes.
    pub(crate) fn fragment_rows(&self, bytes: usize) -> Result<Vec<u8>> {
        Cursor::new(self, &self.archive().fragments, 0).bytes(bytes)
    }

    /// The pieces of `offset..offset + length`, cut at the end of the file.
    pub(crate) fn pieces(&self, number: u32, file: &File, offset: u64, length: u32) -> Result<Vec<Piece>> {
        let end = offset.saturating_add(u64::from(length)).min(file.size);
        let block_size = u64::from(self.archive().superblock.block_bytes);
        let mut pieces = Vec::new();
        let mut blocks = BlockList::new(self, number, file, offset / block_size)?;
        let mut at = offset;
        while at < end {
            let start = at / block_size * block_size;
            let stop = end.min(start + block_size);
            let content = (file.size - start).min(block_size) as u32;
            let part = ((at - start) as u32, (stop - at) as u32);
            pieces.push(match at / block_size {
                block if block < file.blocks => piece(blocks.next(content)?, part),
                _ => self.tail(file, part)?,
            });
            at = stop;
        }
        Ok(pieces)
    }

    /// The next offset at or behind `offset` that is data (or a hole, if asked for); none: there is no more.
    /// The end of the file counts as a hole.
    pub(crate) fn seek(&self, file: &File, offset: u64, hole: bool) -> Result<Option<u64>> {
        if offset >= file.size {
            return Ok(None);
        }
        let block_size = u64::from(self.archive().superblock.block_bytes);
        let first = offset / block_size;
        let mut cursor = Cursor::new(self, &self.archive().inodes, file.list + first.min(file.blocks) * 4);
        for block in first..file.blocks {
            let empty = BlockSize(cursor.u32()?).stored_bytes() == 0;
            if empty == hole {
                return Ok(Some(offset.max(block * block_size)));
            }
        }
        let tail = (file.blocks * block_size).max(offset);
        Ok(match (hole, file.fragment.is_some()) {
            (true, _) => Some(file.size),
            (false, true) => Some(tail),
            (false, false) => None,
        })
    }

    fn tail(&self, file: &File, (skip, length): (u32, u32)) -> Result<Piece> {
        let lost = ReadError::Damaged { what: "a file has no tail" };
        let (fragment, start) = file.fragment.ok_or(lost)?;
        let skip =
            start.checked_add(skip).ok_or(ReadError::Damaged { what: "a file's tail is misplaced" })?;
        Ok(Piece::Data { extent: self.fragment(fragment)?, skip, length })
    }

    fn fragment(&self, index: u32) -> Result<Extent> {
        let archive = self.archive();
        check(
            index < archive.superblock.fragment_count,
            "a file's tail is in a fragment that does not exist",
        )?;
        let mut cursor = Cursor::new(self, &archive.fragments, u64::from(index) * FRAGMENT_ROW_BYTES as u64);
        let Fragment { start, size } = Fragment::decode(&cursor.array()?);
        let extent = self.extent(start, size, archive.superblock.block_bytes)?;
        check(extent.stored > 0, "a fragment is empty")?;
        Ok(Extent { fragment: true, ..extent })
    }

    fn extent(&self, position: u64, size: BlockSize, limit: u32) -> Result<Extent> {
        let (stored, plain) = (size.stored_bytes(), !size.is_compressed());
        let end = position.saturating_add(u64::from(stored));
        check(stored <= self.archive().superblock.block_bytes, "a data block is too long")?;
        check(end <= self.archive().superblock.inode_table, "a data block lies outside of the data")?;
        Ok(Extent { position, stored, plain, limit, fragment: false })
    }
}

/// Cuts the wanted part out of a block.
fn piece(extent: Extent, (skip, length): (u32, u32)) -> Piece {
    if extent.stored == 0 { Piece::Hole { length } } else { Piece::Data { extent, skip, length } }
}

/// Goes through a file's block list.
struct BlockList<'a> {
    reader: &'a Reader<'a>,
    cursor: Cursor<'a>,
    position: u64,
}

impl<'a> BlockList<'a> {
    fn new(reader: &'a Reader<'a>, number: u32, file: &File, block: u64) -> Result<Self> {
        let block = block.min(file.blocks);
        let (known, position) = known_offset(reader, number, file, block)?;
        let cursor = Cursor::new(reader, &reader.archive().inodes, file.list + known * 4);
        let mut list = Self { reader, cursor, position };
        for _ in known..block {
            list.pass()?;
        }
        Ok(list)
    }

    fn next(&mut self, content: u32) -> Result<Extent> {
        let size = BlockSize(self.cursor.u32()?);
        let extent = self.reader.extent(self.position, size, content)?;
        self.position += u64::from(extent.stored);
        Ok(extent)
    }

    fn pass(&mut self) -> Result<()> {
        let stored = u64::from(BlockSize(self.cursor.u32()?).stored_bytes());
        self.position = self.position.saturating_add(stored);
        Ok(())
    }
}

/// The last remembered block at or before `block`, and its offset in the archive.
fn known_offset(reader: &Reader<'_>, number: u32, file: &File, block: u64) -> Result<(u64, u64)> {
    if block < STRIDE {
        return Ok((0, file.start));
    }
    let offsets = reader.archive().offsets(number);
    let mut known = offsets.0.lock().unwrap_or_else(PoisonError::into_inner);
    if known.is_empty() {
        known.push(file.start);
    }
    let last = known.len() as u64 - 1;
    let (wanted, start) = (block / STRIDE, last * STRIDE);
    if wanted > last {
        let cursor = Cursor::new(reader, &reader.archive().inodes, file.list + start * 4);
        let mut list = BlockList { reader, cursor, position: known[last as usize] };
        for _ in last..wanted {
            (0..STRIDE).try_for_each(|_| list.pass())?;
            known.push(list.position);
        }
    }
    Ok((wanted * STRIDE, known[wanted as usize]))
}

/// The offsets of the files that were read last.
#[derive(Debug, Default)]
pub(crate) struct RecentOffsets(Mutex<Vec<(u32, Arc<Offsets>)>>);

impl RecentOffsets {
    /// Long files that are remembered at a time.
    const LIMIT: usize = 64;

    /// The offsets of inode `number`.
    pub(crate) fn of(&self, number: u32) -> Arc<Offsets> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(of, _)| *of == number);
        let found = known.map_or_else(|| (number, Arc::default()), |at| recent.remove(at));
        let offsets = Arc::clone(&found.1);
        recent.insert(0, found);
        recent.truncate(Self::LIMIT);
        offsets
    }
}
