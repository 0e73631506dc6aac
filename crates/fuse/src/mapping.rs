//! A file in memory: for requests that outlive their reader, and for tests of filesystems, since crates above may not
//! use unsafe code.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// A number of eight bytes that others change too.
    pub(crate) fn load(&self, offset: usize) -> u64 {
        self.number(offset).load(Ordering::Acquire)
    }

    /// Sets such a number; whoever sees it sees everything that was written before.
    pub(crate) fn store(&self, offset: usize, number: u64) {
        assert!(self.writable, "the mapping is writable");
        self.number(offset).store(number, Ordering::Release);
    }

    fn number(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.length, "within the mapping");
        // SAFETY: within the mapping and aligned (checked; mappings begin at pages), which lives as long as the result.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// Copies bytes from one place to another that does not overlap.
    pub(crate) fn copy(&self, from: Range<usize>, to: usize) {
        let length = from.len();
        assert!(self.writable && from.end <= self.length && to + length <= self.length, "within the mapping");
        assert!(from.end <= to || to + length <= from.start, "apart");
        // SAFETY: both lie within the mapping and do not overlap (checked).
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().add(from.start),
                self.start.as_ptr().add(to),
                length,
            );
        }
    }

    /// Bytes in place. Only for ranges that nobody writes to while the result is in use.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start <= range.end && range.end <= self.length, "within the mapping");
        // SAFETY: within the mapping (checked), and by the caller's promise not written to meanwhile.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// Reads from a descriptor into the mapping, as read(2).
    pub(crate) fn receive(&self, from: impl AsFd, offset: usize, length: usize) -> Result<usize, Errno> {
        assert!(self.writable && offset + length <= self.length, "within the mapping");
        let descriptor = from.as_fd().as_raw_fd();
        // SAFETY: the buffer lies within the mapping (checked), is writable, and no reference to it exists.
        let read = unsafe { libc::read(descriptor, self.start.as_ptr().add(offset).cast(), length) };
        usize::try_from(read)
            .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
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

// SAFETY: memory is reached only through atomics, copies, and slices for which the caller promises that nobody writes.
unsafe impl Send for SharedMapping {}
// SAFETY: as above.
unsafe impl Sync for SharedMapping {}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range of the mapping, which nobody uses any more.
        // An error could only mean that it is gone already.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
