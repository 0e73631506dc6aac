//! Tables of metadata blocks, addressed as if they were one run of unpacked bytes.
//!
//! ```text
//! metadata block:  u16 length of what is stored, bit 15 set: stored as it is   | the stored bytes
//! a table:         blocks of exactly 8,192 unpacked bytes, only the last may be shorter
//! reference:       u48 offset of a block within its table | u16 offset in the unpacked block
//! ```
//! Knowing where each block starts makes a reference an address (block number * 8,192 + offset), and every length
//! can be checked against what the table can hold before anything is allocated for it.

use bytes::Bytes;

use super::codec::decompress;
use super::failure::{Result, check, damaged};
use super::source::Source;
use crate::squashfs::format::{Codec, METADATA_BLOCK_BYTES, METADATA_UNCOMPRESSED, MetadataRef};

/// Bytes of a metadata block's header.
const HEADER: u64 = 2;
/// No compressor packs 8,192 bytes into fewer; keeps an archive of empty blocks from filling memory with positions.
const MIN_STORED: u64 = 8;

/// Where the blocks of a table are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    positions: Vec<u64>,
    end: u64,
}

impl Table {
    /// A table whose blocks are listed by an index. They have to ascend within `start..end`.
    pub(crate) fn indexed(positions: Vec<u64>, start: u64, end: u64) -> Result<Self> {
        let ascending = positions.is_sorted_by(|a, b| a + HEADER < *b);
        let inside = positions.iter().all(|position| (start..end).contains(position));
        check(ascending && inside, "the index of a table is damaged")?;
        Ok(Self { positions, end })
    }

    /// Where the first block starts.
    pub(crate) fn first(&self) -> Option<u64> {
        self.positions.first().copied()
    }

    /// Most bytes that the table can unpack to.
    pub(crate) fn limit(&self) -> u64 {
        self.positions.len() as u64 * METADATA_BLOCK_BYTES as u64
    }

    /// The address that a reference stands for.
    pub(crate) fn address(&self, reference: MetadataRef) -> Result<u64> {
        let within = u64::from(reference.offset);
        let position = self.first().and_then(|first| first.checked_add(reference.block));
        let number = position.and_then(|position| self.positions.binary_search(&position).ok());
        match number {
            Some(number) if within < METADATA_BLOCK_BYTES as u64 => {
                Ok(number as u64 * METADATA_BLOCK_BYTES as u64 + within)
            }
            _ => damaged("a reference does not point to a metadata block"),
        }
    }

    /// Where block `number` starts; also its name in caches.
    pub(crate) fn position(&self, number: usize) -> Option<u64> {
        self.positions.get(number).copied()
    }

    /// Unpacks block `number`.
    pub(crate) fn unpack(&self, number: usize, codec: Codec, source: &dyn Source) -> Result<Bytes> {
        let Some(start) = self.position(number) else { return damaged("a table ends too early") };
        let next = self.position(number + 1);
        let (stored, plain) = stored_length(source, start)?;
        check(start + HEADER + stored <= next.unwrap_or(self.end), "a metadata block is too long")?;
        let bytes = source.bytes(start + HEADER, stored as usize)?;
        let block = if plain { bytes } else { decompress(codec, &bytes, METADATA_BLOCK_BYTES)? };
        check(next.is_none() || block.len() == METADATA_BLOCK_BYTES, "a metadata block is too short")?;
        Ok(block)
    }
}

/// Finds the blocks of a table without index by following their headers; goes on where it stopped.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    positions: Vec<u64>,
    next: u64,
}

impl Walk {
    /// Starts at the first block.
    pub(crate) fn new(start: u64) -> Self {
        Self { positions: Vec::new(), next: start }
    }

    /// Walks on to exactly `end`; does nothing when it is there already.
    pub(crate) fn advance(&mut self, source: &dyn Source, end: u64) -> Result<()> {
        check(self.next <= end, "the tables overlap")?;
        while self.next < end {
            let (stored, _) = stored_length(source, self.next)?;
            let after = self.next + HEADER + stored;
            check(
                after == end || (after < end && stored >= MIN_STORED),
                "a metadata block has an impossible length",
            )?;
            self.positions.push(self.next);
            self.next = after;
        }
        Ok(())
    }

    /// The table, as far as it was walked.
    pub(crate) fn table(&self) -> Table {
        Table { positions: self.positions.clone(), end: self.next }
    }
}

/// Length of what is stored behind a block's header, and whether it is stored as it is.
fn stored_length(source: &dyn Source, position: u64) -> Result<(u64, bool)> {
    let header = source.bytes(position, HEADER as usize)?;
    let header = u16::from_le_bytes([header[0], header[1]]);
    let length = header & !METADATA_UNCOMPRESSED;
    check((1..=METADATA_BLOCK_BYTES as u16).contains(&length), "a metadata block has an impossible length")?;
    Ok((u64::from(length), header & METADATA_UNCOMPRESSED != 0))
}
