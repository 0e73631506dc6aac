//! Reads integers and byte strings from a table, across its blocks.

use bytes::Bytes;

use super::failure::{Result, check};
use super::table::Table;
use crate::squashfs::format::METADATA_BLOCK_BYTES;

/// Gives unpacked metadata blocks.
pub(crate) trait Blocks {
    /// Block `number` of `table`.
    fn block(&self, table: &Table, number: usize) -> Result<Bytes>;
}

/// A place in a table.
pub(crate) struct Cursor<'a> {
    blocks: &'a dyn Blocks,
    table: &'a Table,
    address: u64,
    // The block that `address` was last read from.
    current: Option<(usize, Bytes)>,
}

impl<'a> Cursor<'a> {
    /// A cursor at an address.
    pub(crate) fn new(blocks: &'a dyn Blocks, table: &'a Table, address: u64) -> Self {
        Self { blocks, table, address, current: None }
    }

    /// Where the next byte is.
    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    /// Fails if fewer than `length` bytes can follow.
    pub(crate) fn require(&self, length: u64) -> Result<()> {
        let end = self.address.checked_add(length);
        check(end.is_some_and(|end| end <= self.table.limit()), "something reaches beyond its table")
    }

    /// Passes over bytes.
    pub(crate) fn skip(&mut self, length: u64) -> Result<()> {
        self.require(length)?;
        self.address += length;
        Ok(())
    }

    /// The next `length` bytes; the caller has bounded the length.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        self.require(length as u64)?;
        let mut output = Vec::with_capacity(length);
        while output.len() < length {
            let rest = self.rest_of_block()?;
            let taken = rest.len().min(length - output.len());
            output.extend_from_slice(&rest[..taken]);
            self.address += taken as u64;
        }
        Ok(output)
    }

    /// The next 16 bits.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 32 bits.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 64 bits.
    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        if let Some(array) = self.rest_of_block()?.first_chunk() {
            let array = *array;
            self.address += N as u64;
            return Ok(array);
        }
        let bytes = self.bytes(N)?;
        Ok(*bytes.first_chunk().expect("as many as asked for"))
    }

    /// What the current block still holds: at least one byte.
    fn rest_of_block(&mut self) -> Result<&[u8]> {
        let number = (self.address / METADATA_BLOCK_BYTES as u64) as usize;
        let within = (self.address % METADATA_BLOCK_BYTES as u64) as usize;
        if self.current.as_ref().is_none_or(|(at, _)| *at != number) {
            self.current = Some((number, self.blocks.block(self.table, number)?));
        }
        let rest = self.current.as_ref().and_then(|(_, block)| block.get(within..)).unwrap_or_default();
        check(!rest.is_empty(), "a table ends too early")?;
        Ok(rest)
    }
}
