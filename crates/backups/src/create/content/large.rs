//! A file of a block or more, cut into steps of work.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::Statx;

use super::read::next_data;
use crate::create::attributes::Signature;
use crate::create::directory::stat_open;
use crate::squashfs::format::BLOCK_BYTES;
use crate::squashfs::writer::InodeIndex;

/// A longer tail is a block of its own: packing it with others would save little and cost readers a second block.
const MAX_PACKED_TAIL_BYTES: u64 = BLOCK_BYTES as u64 / 8;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// A large file as it was when it was opened.
pub(super) struct LargeFile {
    pub(super) inode: InodeIndex,
    pub(super) file: Arc<OwnedFd>,
    pub(super) stat: Box<Statx>,
    /// Times that its content has been written before.
    pub(super) attempt: usize,
    /// Where its content is in `file`, if that is a snapshot.
    pub(super) taken: Option<u64>,
}

impl LargeFile {
    pub(super) fn size(&self) -> u64 {
        self.stat.stx_size
    }

    /// Whether it was written to since it was opened.
    pub(super) fn has_changed(&self) -> rustix::io::Result<bool> {
        if self.taken.is_some() {
            return Ok(false);
        }
        Ok(Signature::of(&stat_open(&self.file)?) != Signature::of(&self.stat))
    }
}

/// What to do next for a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Read and compress; shorter than a block only at the end.
    Block { offset: u64, length: usize },
    /// Bytes in whole blocks without data (the last may be short).
    Hole { length: u64 },
    /// Read and pack with others.
    Tail { offset: u64, length: usize },
}

/// Walks a file from start to end.
pub(super) struct Steps {
    inode: InodeIndex,
    file: Arc<OwnedFd>,
    /// Where its content begins in `file`.
    start: u64,
    size: u64,
    offset: u64,
    data: Range<u64>,
}

impl Steps {
    pub(super) fn new(file: &LargeFile) -> Self {
        let start = file.taken.unwrap_or(0);
        Self {
            inode: file.inode,
            file: Arc::clone(&file.file),
            start,
            size: file.size(),
            offset: 0,
            data: 0..0,
        }
    }

    pub(super) fn inode(&self) -> InodeIndex {
        self.inode
    }

    pub(super) fn file(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.file)
    }
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (offset, left) = (self.offset, self.size - self.offset);
        if left == 0 {
            return None;
        }
        if self.data.end <= offset {
            let data = next_data(&self.file, self.start + offset, self.start + self.size);
            self.data = data.start - self.start..data.end - self.start;
        }
        // A hole counts from the first block that is all hole to the block where data begin again.
        let hole_end = if self.data.start == self.size { self.size } else { self.data.start / BLOCK * BLOCK };
        if hole_end > offset {
            self.offset = hole_end;
            return Some(Step::Hole { length: hole_end - offset });
        }
        let length = left.min(BLOCK);
        self.offset += length;
        let is_tail = length <= MAX_PACKED_TAIL_BYTES;
        let (length, offset) = (length as usize, self.start + offset);
        Some(if is_tail { Step::Tail { offset, length } } else { Step::Block { offset, length } })
    }
}
