//! Memory for blocks, used again and again: blocks are freed by another thread than took them, and an allocator that
//! serves every thread from its own heap would keep several times what is in use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::squashfs::format::BLOCK_BYTES;

/// Blocks that are not in use now.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// A buffer of that length, at most a block, with anything in it.
    pub(super) fn take(&self, length: usize) -> Vec<u8> {
        let free = self.free().pop();
        let mut buffer = free.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES));
        buffer.resize(length, 0);
        buffer
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.free().push(buffer);
    }

    fn free(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
