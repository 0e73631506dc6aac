//! Where the reader's bytes come from: parsing never waits, it names what it misses.

use bytes::Bytes;

use super::failure::{ReadError, Result};

/// The bytes of an archive, as far as they are at hand.
pub(crate) trait Source: Send + Sync {
    /// `length` bytes from `start`, or [`ReadError::Missing`] with them.
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes>;
}

/// A whole archive in memory.
impl Source for Bytes {
    fn bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if end > self.len() as u64 {
            return Err(ReadError::Damaged { what: "a table lies outside of the archive" });
        }
        Ok(self.slice(start as usize..end as usize))
    }
}
