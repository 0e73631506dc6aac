//! Bytes of an archive in order.

use crate::CreateError;
use crate::integrity::Integrity;
use crate::squashfs::format::SUPERBLOCK_BYTES;

/// Takes an archive as a stream, except for its first bytes, which are known last.
pub(crate) trait Sink {
    /// Takes the next bytes; the first [`SUPERBLOCK_BYTES`] of all are zeros.
    fn write(&mut self, bytes: &[u8]) -> Result<(), CreateError>;

    /// The data end here: a later archive may begin with what was written so far.
    fn end_data(&mut self);

    /// Replaces the first bytes; nothing follows. Answers the hashes of all of it.
    fn finish(&mut self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<Integrity, CreateError>;
}

/// A sink that knows its position.
pub(crate) struct Output<'a> {
    sink: &'a mut dyn Sink,
    position: u64,
}

impl<'a> Output<'a> {
    /// An output whose sink has `position` bytes already.
    pub(crate) fn new(sink: &'a mut dyn Sink, position: u64) -> Self {
        Self { sink, position }
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

    pub(super) fn end_data(&mut self) {
        self.sink.end_data();
    }

    pub(super) fn finish(self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<Integrity, CreateError> {
        self.sink.finish(superblock)
    }
}
