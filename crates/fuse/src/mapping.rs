//! A file in memory, for tests of filesystems: crates above may not use unsafe code.

use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

/// A mapping with `MAP_SHARED`. Meant for files that nobody shortens meanwhile: touching what is behind the end of a
/// file raises SIGBUS.
#[derive(Debug)]
pub struct SharedMapping {
    start: NonNull<u8>,
    length: usize,
    writable: bool,
}

impl SharedMapping {
    /// Maps the first `length` bytes of a file.
    ///
    /// # Errors
    /// As mmap(2).
    pub fn new(file: impl AsFd, length: usize, writable: bool) -> Result<Self, Errno> {
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: the kernel chooses the place, so no existing mapping is touched.
        let start = unsafe { mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0)? };
        Ok(Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, length, writable })
    }

    /// Copies bytes out.
    ///
    /// # Panics
    /// The range leaves the mapping.
    pub fn read(&self, offset: usize, length: usize) -> Vec<u8> {
        assert!(offset.checked_add(length).is_some_and(|end| end <= self.length), "within the mapping");
        let mut bytes = vec![0; length];
        // SAFETY: the source lies within the mapping (checked), which lives as long as self; the target is our own.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr().add(offset), bytes.as_mut_ptr(), length) };
        bytes
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// The range leaves the mapping, or it is not writable.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(self.writable, "the mapping is writable");
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length), "within the mapping");
        // SAFETY: the target lies within the mapping (checked), is writable, and no reference to it is ever made.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(offset), bytes.len());
        };
    }

    /// Writes changes to the file, as msync(2) with `MS_SYNC`.
    ///
    /// # Errors
    /// As msync(2).
    pub fn sync(&self) -> Result<(), Errno> {
        // SAFETY: exactly the range of the mapping.
        unsafe { msync(self.start.as_ptr().cast(), self.length, MsyncFlags::SYNC) }
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range of the mapping, which nobody uses any more.
        // An error could only mean that it is gone already.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
