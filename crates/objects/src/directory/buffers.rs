//! Buffers for reading body files, used again and again: zeroing and mapping fresh ones costs as much as the reading.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a buffer; what is read at once, and what a slow receiver costs in memory.
pub(super) const CHUNK: usize = 256 * 1024;

/// Buffers kept while nobody uses them.
const IDLE: usize = 16;

/// The buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Box<[u8]>>>);

/// A buffer that returns to the others when the last reader of its bytes is done.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Arc<Buffers>,
}

impl Buffers {
    /// A buffer of [`CHUNK`] bytes, whose content means nothing.
    pub(super) fn take(self: &Arc<Self>) -> Buffer {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice());
        Buffer { bytes, length: 0, home: Arc::clone(self) }
    }
}

impl Buffer {
    /// Where `length` bytes, at most [`CHUNK`], can be put.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        &mut self.bytes[..length]
    }

    /// The first `length` bytes, without copying them.
    pub(super) fn filled(mut self, length: usize) -> Bytes {
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_bytes_are_gone() {
        let buffers = Arc::new(Buffers::default());
        let mut buffer = buffers.take();
        buffer.room(3).copy_from_slice(b"abc");
        let bytes = buffer.filled(3);
        let tail = bytes.slice(1..);
        drop(bytes);
        assert!(buffers.0.lock().expect("no panic").is_empty());
        assert_eq!(tail, b"bc"[..]);
        drop(tail);
        assert_eq!(buffers.0.lock().expect("no panic").len(), 1);
        let many: Vec<Buffer> = (0..IDLE + 5).map(|_| buffers.take()).collect();
        drop(many);
        assert_eq!(buffers.0.lock().expect("no panic").len(), IDLE);
    }
}
