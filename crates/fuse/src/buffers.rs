//! Request buffers: one per reading thread, lent to whoever keeps the data of a large write.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::init::MAX_REQUEST;

/// Room for the headers in front of a request's data; the kernel refuses to fill less than `max_write` and these.
pub(crate) const HEADROOM: usize = 4096;

/// Writes of at least this are handed over with the whole buffer rather than copied.
const LEND_FROM: usize = MAX_REQUEST as usize / 2;

/// Buffers that wait to be used again; bounded, so that a burst of writes does not stay resident.
#[derive(Debug)]
pub(crate) struct Stock {
    spare: Mutex<Vec<Vec<u8>>>,
    limit: usize,
}

impl Stock {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { spare: Mutex::default(), limit })
    }

    /// A buffer, all of it resident.
    pub(crate) fn take(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(resident)
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.limit {
            spare.push(buffer);
        }
    }
}

/// Touches every page. Were a page missing, the kernel would fault it in while it copies a request; when SIGKILL comes
/// in just then, the fault fails and the kernel answers the request with EIO instead of keeping it for a successor.
fn resident() -> Vec<u8> {
    let mut buffer = vec![0; MAX_REQUEST as usize + HEADROOM];
    buffer.chunks_mut(HEADROOM).for_each(|page| page[0] = 1);
    buffer
}

/// The bytes of a write. A large one owns the buffer that it was read into, and gives it back when dropped.
#[derive(Debug)]
pub struct Data {
    buffer: Vec<u8>,
    range: Range<usize>,
    stock: Option<Arc<Stock>>,
}

impl Data {
    /// Takes `range` out of a thread's buffer: by copying, or by swapping the buffer for another.
    pub(crate) fn take(buffer: &mut Vec<u8>, range: Range<usize>, stock: &Arc<Stock>) -> Self {
        if range.len() < LEND_FROM {
            return Self::copied(&buffer[range]);
        }
        let buffer = std::mem::replace(buffer, stock.take());
        Self { buffer, range, stock: Some(Arc::clone(stock)) }
    }

    /// A copy. Slots are never lent: a file that is being written keeps data for as long as it likes, and the connection
    /// would run out of slots.
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self { buffer: bytes.to_vec(), range: 0..bytes.len(), stock: None }
    }
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if let Some(stock) = self.stock.take() {
            stock.give_back(std::mem::take(&mut self.buffer));
        }
    }
}
