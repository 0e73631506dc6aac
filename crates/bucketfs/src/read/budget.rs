//! Memory for what was read ahead, shared by all files of a mount.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::core::memory_units;
use crate::read::Reader;

/// Permits for pieces read ahead, and who has taken some.
#[derive(Debug)]
pub(crate) struct ReadBudget {
    permits: Arc<Semaphore>,
    /// Least recently served first.
    readers: Mutex<VecDeque<Weak<Reader>>>,
    bytes: u64,
}

impl ReadBudget {
    /// A budget of so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        let permits = Arc::new(Semaphore::new(memory_units(bytes) as usize));
        Self { permits, readers: Mutex::default(), bytes }
    }

    /// Most that one file may be ahead: three quarters for one alone, else a fair share, so that nobody takes from
    /// another what that one is about to read.
    pub(crate) fn window(&self) -> u64 {
        let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = readers.iter().filter(|reader| reader.strong_count() > 0).count() as u64;
        (self.bytes * 3 / 4).min(self.bytes / alive.max(1))
    }

    /// Takes memory for a reader, if need be from the reader that was not served for longest. Reading ahead is no
    /// duty: without memory it does not happen.
    pub(crate) fn take(&self, reader: &Arc<Reader>, bytes: u64) -> Option<OwnedSemaphorePermit> {
        self.move_to_back(reader);
        loop {
            match Arc::clone(&self.permits).try_acquire_many_owned(memory_units(bytes)) {
                Ok(permit) => return Some(permit),
                Err(_) => self.oldest_other_than(reader)?.let_go(),
            }
        }
    }

    /// Takes memory that nobody uses.
    pub(crate) fn spare(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_many_owned(memory_units(bytes)).ok()
    }

    fn move_to_back(&self, reader: &Arc<Reader>) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|other| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(reader));
        readers.push_back(Arc::downgrade(reader));
    }

    fn oldest_other_than(&self, reader: &Arc<Reader>) -> Option<Arc<Reader>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = readers.pop_front() {
            match oldest.upgrade() {
                Some(oldest) if Arc::ptr_eq(&oldest, reader) => {
                    readers.push_front(Arc::downgrade(&oldest));
                    return None;
                }
                Some(oldest) => return Some(oldest),
                None => {}
            }
        }
        None
    }
}
