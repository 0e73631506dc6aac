//! Room for deletions when the disk is full: even a deletion first writes to the index.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use crate::{Error, Result};

/// What a commit of a thousand deletions needs.
const SIZE: u64 = 2 * 1024 * 1024;

/// A file that only takes up room. It is given up when the disk is full; until it can be had again, nothing is stored.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    present: AtomicBool,
}

impl Reserve {
    /// The reserve of a store, given up: opening the index needs room as well.
    pub(super) fn released(path: &Path) -> Self {
        let reserve = Self { path: path.to_owned(), present: AtomicBool::new(true) };
        reserve.release();
        reserve
    }

    /// Gives up the room.
    pub(super) fn release(&self) {
        if !self.present.swap(false, Ordering::AcqRel) {
            return;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot give up the reserve of the store");
            }
            _ => {}
        }
    }

    /// Whether the room is taken.
    pub(super) fn is_present(&self) -> bool {
        self.present.load(Ordering::Acquire)
    }

    /// Takes the room, or says that the disk is full.
    pub(super) fn ensure(&self) -> Result<()> {
        if self.is_present() {
            return Ok(());
        }
        match self.take() {
            Ok(()) => {
                self.present.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "the store has no reserve");
                // A part of it would be missing for what follows.
                let _ = fs::remove_file(&self.path);
                Err(Error::NoSpace)
            }
        }
    }

    fn take(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
            // Filesystems that cannot promise room write where they like anyway.
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            other => Ok(other?),
        }
    }
}
