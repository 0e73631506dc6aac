//! Keeps body files on disk as long as somebody reads them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::extents::Extent;
use super::files::{FileId, Files};

/// Which files are being read, and which of them go away afterwards.
///
/// A reader takes a snapshot of the index and pins what it finds while it holds [`Pins::reading`]; [`Pins::doom`]
/// runs after a commit and waits for such readers. So a file is either pinned before it is judged here, or the
/// reader looked later and no longer found it in the index.
#[derive(Debug, Default)]
pub(super) struct Pins {
    looking: RwLock<()>,
    pinned: Mutex<HashMap<FileId, Pin>>,
}

#[derive(Debug, Default)]
struct Pin {
    readers: usize,
    doomed: bool,
}

impl Pins {
    /// Held from the look into the index until [`pin`].
    pub(super) fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.looking.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns those of `ids` that can be deleted now; the others are deleted by their last reader.
    pub(super) fn doom(&self, mut ids: Vec<FileId>) -> Vec<FileId> {
        let _no_reader_is_looking = self.looking.write().unwrap_or_else(PoisonError::into_inner);
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|id| match pinned.get_mut(id) {
            None => true,
            Some(pin) => {
                pin.doomed = true;
                false
            }
        });
        ids
    }

    fn unpin(&self, id: FileId) -> bool {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pin) = pinned.get_mut(&id) else { return false };
        pin.readers -= 1;
        if pin.readers > 0 {
            return false;
        }
        pinned.remove(&id).is_some_and(|pin| pin.doomed)
    }
}

/// Files that stay on disk until this is dropped.
#[derive(Debug)]
pub(super) struct PinnedFiles {
    ids: Vec<FileId>,
    pub(super) files: Arc<Files>,
}

/// Pins the files of some extents.
pub(super) fn pin(files: &Arc<Files>, extents: &[Extent]) -> PinnedFiles {
    let ids: Vec<FileId> = extents.iter().map(|extent| extent.file).collect();
    let mut pinned = files.pins.pinned.lock().unwrap_or_else(PoisonError::into_inner);
    for id in &ids {
        pinned.entry(*id).or_default().readers += 1;
    }
    PinnedFiles { ids, files: Arc::clone(files) }
}

impl Drop for PinnedFiles {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            if self.files.pins.unpin(id) {
                self.files.delete_later(id);
            }
        }
    }
}
