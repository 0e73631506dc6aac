//! Memory for parts on their way from the spool to the bucket, used again and again: an allocator that gets and frees
//! pieces of megabytes in many threads keeps far more than is ever in use, and each new one is zeroed page by page.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smaller ones come from the allocator.
const MIN_POOLED: usize = 1 << 20;

/// Buffers that wait for their next use.
const MAX_SPARE: usize = 4;

/// Buffers of one mount.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
}

/// A buffer that goes back when its last reader drops it.
struct Pooled {
    bytes: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut spare = self.home.spare();
        if spare.len() < MAX_SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Buffers {
    /// Bytes that `fill` writes, all `length` of them.
    pub(crate) fn filled<E>(
        self: &Arc<Self>,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if length < MIN_POOLED {
            let mut bytes = vec![0; length];
            fill(&mut bytes)?;
            return Ok(Bytes::from(bytes));
        }
        let mut bytes = self.spare().pop().unwrap_or_default();
        if bytes.capacity() < length {
            bytes = Vec::with_capacity(length);
        }
        bytes.resize(length, 0);
        let mut pooled = Pooled { bytes, home: Arc::clone(self) };
        fill(&mut pooled.bytes)?;
        Ok(Bytes::from_owner(pooled))
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_reader_is_gone() {
        let buffers = Arc::new(Buffers::default());
        let filled = |length: usize, byte: u8| {
            let fill = |bytes: &mut [u8]| {
                bytes.fill(byte);
                Ok::<(), std::convert::Infallible>(())
            };
            buffers.filled(length, fill).unwrap()
        };
        let first = filled(2 * MIN_POOLED, 1);
        let place = first.as_ptr();
        let half = first.slice(..MIN_POOLED);
        drop(first);
        assert_ne!(filled(MIN_POOLED, 2).as_ptr(), place);
        assert!(half.iter().all(|byte| *byte == 1));
        drop(half);
        let again = filled(2 * MIN_POOLED, 3);
        assert_eq!(again.as_ptr(), place);
        assert!(again.iter().all(|byte| *byte == 3));
    }
}
