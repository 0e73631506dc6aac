//! A metadata table: a stream of bytes cut into compressed blocks of 8 KiB.

use std::io;

use crate::squashfs::compress::Compressor;
use crate::squashfs::format::{METADATA_BLOCK_BYTES, METADATA_UNCOMPRESSED, MetadataRef};

/// Collects a table in memory. Tables are small: some 30 bytes per file.
pub(super) struct MetadataWriter<'a> {
    compressor: &'a mut Compressor,
    open: Vec<u8>,
    stored: Vec<u8>,
    starts: Vec<u64>,
}

/// A finished table.
pub(super) struct MetadataTable {
    /// The blocks, each behind its length.
    pub(super) stored: Vec<u8>,
    /// Where in `stored` each block begins.
    pub(super) starts: Vec<u64>,
}

impl<'a> MetadataWriter<'a> {
    pub(super) fn new(compressor: &'a mut Compressor) -> Self {
        Self {
            compressor,
            open: Vec::with_capacity(METADATA_BLOCK_BYTES),
            stored: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Where the next byte will be.
    pub(super) fn position(&self) -> MetadataRef {
        MetadataRef { block: self.stored.len() as u64, offset: self.open.len() as u16 }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = METADATA_BLOCK_BYTES - self.open.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            bytes = later;
            if self.open.len() == METADATA_BLOCK_BYTES {
                self.close_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<MetadataTable> {
        if !self.open.is_empty() {
            self.close_block()?;
        }
        Ok(MetadataTable { stored: self.stored, starts: self.starts })
    }

    fn close_block(&mut self) -> io::Result<()> {
        self.starts.push(self.stored.len() as u64);
        let packed = self.compressor.compress(&self.open)?;
        let (bytes, flag) = match &packed {
            Some(packed) => (packed, 0),
            None => (&self.open, METADATA_UNCOMPRESSED),
        };
        self.stored.extend((bytes.len() as u16 | flag).to_le_bytes());
        self.stored.extend_from_slice(bytes);
        self.open.clear();
        Ok(())
    }
}
