//! Bytes of an archive in order.

use crate::CreateError;
use crate::squashfs::format::SUPERBLOCK_BYTES;

/// Takes an archive as a stream, except for its first bytes, which are known last.
pub(crate) trait Sink {
    /// Takes the next bytes; the first [`SUPERBLOCK_BYTES`] of all are zeros.
    fn write(&mut self, bytes: &[u8]) -> Result<(), CreateError>;

    /// Replaces the first bytes; nothing follows.
    fn finish(&mut self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<(), CreateError>;
}

/// A sink that knows its position.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn Sink,
    position: u64,
}

impl<'a> Output<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink) -> Self {
        Self { sink, position: 0 }
    }

    /// Where the next byte will be.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Answers where the bytes are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<u64, CreateError> {
        let start = self.position;
        self.sink.write(bytes)?;
        self.position += bytes.len() as u64;
        Ok(start)
    }

    pub(super) fn finish(self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<(), CreateError> {
        self.sink.finish(superblock)
    }
}
