//! Requests in memory that outlives their reader, so that whoever serves the connection next can answer them.
//!
//! The holder of a connection keeps a memfd; each server maps it and reads requests straight into it. The kernel copies
//! a request whole, its number with it, so the number in a slot says that there is a request to be answered: it is 0
//! before a request is read and again after the answer. An answer that fits is written down before it is sent; a
//! successor sends it again instead of making the same change twice. (The kernel says ENOENT to a second answer.)
//!
//! ```text
//! slot:  0 answer length u64 | 8 interrupted u64 | 16 answer (240 bytes) | 256 request as the kernel writes it
//! file:  SMALL_COUNT small slots, then LARGE_COUNT large ones
//! ```
//!
//! Requests are read into large slots and move to small ones if they fit, so that few large ones are enough.

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;

use crate::abi::{Field, InHeader, OutHeader};
use crate::buffers::HEADROOM;
use crate::init::MAX_REQUEST;
use crate::mapping::SharedMapping;

const PAGE: usize = 4096;
const SMALL: usize = PAGE;
const SMALL_COUNT: usize = 1024;
const LARGE: usize = MAX_REQUEST as usize + HEADROOM + PAGE;
/// Large writes that are being worked on; more wait in the kernel.
const LARGE_COUNT: usize = 32;
const FILE: usize = SMALL_COUNT * SMALL + LARGE_COUNT * LARGE;

const INTERRUPTED: usize = 8;
const ANSWER: usize = 16;
const REQUEST: usize = 256;
const ANSWER_LIMIT: usize = REQUEST - ANSWER;
/// Where a request has its number, see `struct fuse_in_header`.
const UNIQUE: usize = REQUEST + 8;

/// Memory for the requests of one connection, to be kept by whoever keeps its device. Pages count only when touched.
///
/// # Errors
/// As memfd_create(2).
pub fn request_memory() -> Result<OwnedFd, Errno> {
    let file = rustix::fs::memfd_create("requests", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&file, FILE as u64)?;
    Ok(file)
}

/// The slots of one connection.
#[derive(Debug)]
pub(crate) struct Slots {
    memory: SharedMapping,
    /// Kept to be handed on.
    file: OwnedFd,
    free: Mutex<Free>,
    freed: Condvar,
}

/// The last one freed is used first, so that few are ever touched.
#[derive(Debug, Default)]
struct Free {
    small: Vec<usize>,
    large: Vec<usize>,
    /// Large slots whose pages are all there.
    resident: [bool; LARGE_COUNT],
}

fn offset_of(index: usize) -> usize {
    match index.checked_sub(SMALL_COUNT) {
        None => index * SMALL,
        Some(large) => SMALL_COUNT * SMALL + large * LARGE,
    }
}

fn capacity_of(index: usize) -> usize {
    if index < SMALL_COUNT { SMALL - REQUEST } else { LARGE - REQUEST }
}

/// A slot in use; free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    index: usize,
}

impl Slots {
    /// Maps the memory, and takes what an earlier server left unanswered in it, in the order of its arrival.
    pub(crate) fn open(file: OwnedFd) -> Result<(Arc<Self>, Vec<Leftover>), Errno> {
        // Touching what is not there would be fatal.
        if rustix::fs::fstat(&file)?.st_size < FILE as i64 {
            return Err(Errno::INVAL);
        }
        let memory = SharedMapping::new(&file, FILE, true)?;
        let used = |index: &usize| memory.load(offset_of(*index) + UNIQUE) != 0;
        let (mut left, free): (Vec<usize>, Vec<usize>) = (0..SMALL_COUNT + LARGE_COUNT).rev().partition(used);
        let (small, large) = free.into_iter().partition(|index| *index < SMALL_COUNT);
        let number = |index: usize| memory.load(offset_of(index) + UNIQUE);
        left.sort_by_key(|index| (number(*index), *index));
        // Its server died while it moved to a smaller slot: both copies are whole.
        let twice: Vec<usize> =
            left.windows(2).filter(|pair| number(pair[0]) == number(pair[1])).map(|pair| pair[1]).collect();
        let free = Mutex::new(Free { small, large, resident: [false; LARGE_COUNT] });
        let slots = Arc::new(Self { memory, file, free, freed: Condvar::new() });
        let mut leftovers = Vec::new();
        for index in left {
            let slot = Slot { slots: Arc::clone(&slots), index };
            if twice.contains(&index) {
                slot.settle();
            } else {
                leftovers.push(Leftover::new(slot));
            }
        }
        Ok((slots, leftovers))
    }

    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a request without waiting for one; waits for room.
    pub(crate) fn receive(self: &Arc<Self>, device: impl AsFd) -> Result<(Arc<Slot>, usize), Errno> {
        let slot = self.large();
        let length = self.memory.receive(device, slot.offset() + REQUEST, capacity_of(slot.index))?;
        Ok((Arc::new(slot.smaller(length)), length))
    }

    fn large(self: &Arc<Self>) -> Slot {
        let mut free = self.free();
        loop {
            if let Some(index) = free.large.pop() {
                let is_resident = std::mem::replace(&mut free.resident[index - SMALL_COUNT], true);
                drop(free);
                let slot = Slot { slots: Arc::clone(self), index };
                if !is_resident {
                    slot.touch();
                }
                return slot;
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn small(self: &Arc<Self>) -> Option<Slot> {
        let index = self.free().small.pop()?;
        Some(Slot { slots: Arc::clone(self), index })
    }

    /// Remembers for a successor that the caller of a request wants it to end.
    pub(crate) fn interrupt(&self, unique: u64) {
        let is_it = |index: &usize| self.memory.load(offset_of(*index) + UNIQUE) == unique;
        if let Some(index) = (0..SMALL_COUNT + LARGE_COUNT).find(is_it) {
            self.memory.store(offset_of(index) + INTERRUPTED, 1);
        }
    }
}

impl Slot {
    fn offset(&self) -> usize {
        offset_of(self.index)
    }

    /// Makes every page resident. Were one missing, the kernel would fault it in while it copies a request; when SIGKILL
    /// comes in just then, the fault fails and the kernel answers EIO instead of keeping the request for a successor.
    fn touch(&self) {
        let memory = &self.slots.memory;
        (self.offset()..self.offset() + LARGE).step_by(PAGE).for_each(|page| memory.store(page, 0));
    }

    /// Moves a request that has just been read to a small slot, if it fits and one is free.
    fn smaller(self, length: usize) -> Self {
        if !(InHeader::SIZE..=SMALL - REQUEST).contains(&length) {
            return self;
        }
        let Some(small) = self.slots.small() else { return self };
        let memory = &self.slots.memory;
        let (from, to) = (self.offset(), small.offset());
        memory.store(to, 0);
        memory.store(to + INTERRUPTED, 0);
        memory.copy(from + REQUEST..from + UNIQUE, to + REQUEST);
        memory.copy(from + UNIQUE + 8..from + REQUEST + length, to + UNIQUE + 8);
        // From here on both are whole; a successor that finds both takes one.
        memory.store(to + UNIQUE, memory.load(from + UNIQUE));
        self.settle();
        small
    }

    /// A part of the request. Its header may change meanwhile, so it is only [copied](Self::header).
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        assert!(range.start >= InHeader::SIZE && range.end <= capacity_of(self.index), "within the request");
        let start = self.offset() + REQUEST;
        self.slots.memory.bytes(start + range.start..start + range.end)
    }

    pub(crate) fn header(&self) -> InHeader {
        InHeader::load(&self.slots.memory.read(self.offset() + REQUEST, InHeader::SIZE))
    }

    /// Writes an answer down, if it is short. Long ones are of requests that change nothing.
    pub(crate) fn record(&self, header: &OutHeader, pieces: &[&[u8]]) {
        let length = header.len as usize;
        if length > ANSWER_LIMIT {
            return;
        }
        let memory = &self.slots.memory;
        let mut at = self.offset() + ANSWER;
        for piece in std::iter::once(&header.to_bytes()[..]).chain(pieces.iter().copied()) {
            memory.write(at, piece);
            at += piece.len();
        }
        memory.store(self.offset(), length as u64);
    }

    /// The request is answered, or needs no answer.
    pub(crate) fn settle(&self) {
        let memory = &self.slots.memory;
        memory.store(self.offset() + UNIQUE, 0);
        memory.store(self.offset(), 0);
        memory.store(self.offset() + INTERRUPTED, 0);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut free = self.slots.free();
        if self.index < SMALL_COUNT {
            free.small.push(self.index);
        } else {
            free.large.push(self.index);
            drop(free);
            self.slots.freed.notify_one();
        }
    }
}

/// A request that a server left.
#[derive(Debug)]
pub(crate) struct Leftover {
    pub(crate) slot: Arc<Slot>,
    pub(crate) length: usize,
    /// What it was going to answer; the change, if it was one, has been made.
    pub(crate) answer: Option<Vec<u8>>,
    pub(crate) is_interrupted: bool,
}

impl Leftover {
    fn new(slot: Slot) -> Self {
        let memory = &slot.slots.memory;
        let recorded = memory.load(slot.offset()) as usize;
        let answer = (OutHeader::SIZE..=ANSWER_LIMIT).contains(&recorded);
        let answer = answer.then(|| memory.read(slot.offset() + ANSWER, recorded));
        let is_interrupted = memory.load(slot.offset() + INTERRUPTED) != 0;
        let length = (slot.header().len as usize).min(capacity_of(slot.index));
        Self { slot: Arc::new(slot), length, answer, is_interrupted }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, Write};

    use super::*;
    use crate::abi::opcode;

    fn request(unique: u64, body: &[u8]) -> Vec<u8> {
        let len = (InHeader::SIZE + body.len()) as u32;
        let header = InHeader { len, opcode: opcode::LOOKUP, unique, nodeid: 1, ..InHeader::default() };
        [&header.to_bytes()[..], body].concat()
    }

    fn device(message: &[u8]) -> File {
        let mut file = File::from(rustix::fs::memfd_create("device", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(message).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn what_is_not_answered_is_found_by_the_next() {
        let memory = request_memory().unwrap();
        let (slots, left) = Slots::open(memory.try_clone().unwrap()).unwrap();
        assert!(left.is_empty());
        let mut held = Vec::new();
        for (unique, size) in [(8, 100), (2, 5000), (6, 1 << 20), (4, 3)] {
            let body = vec![unique as u8; size];
            let (slot, length) = slots.receive(device(&request(unique, &body))).unwrap();
            held.push((slot, length));
        }
        held[3].0.settle();
        held[1].0.record(&OutHeader { len: 18, error: 0, unique: 2 }, &[b"ok"]);
        slots.interrupt(8);
        // As after SIGKILL: nothing is dropped in order.
        held.into_iter().for_each(std::mem::forget);
        let (next, left) = Slots::open(memory).unwrap();
        let seen: Vec<_> = left
            .iter()
            .map(|left| {
                let body = left.slot.bytes(InHeader::SIZE..left.length);
                let is_whole = body.iter().all(|byte| u64::from(*byte) == left.slot.header().unique);
                let answer = left.answer.as_ref().map(|answer| answer[OutHeader::SIZE..].to_vec());
                (left.slot.header().unique, body.len(), is_whole, answer, left.is_interrupted)
            })
            .collect();
        let answer = Some(b"ok".to_vec());
        let expected =
            [(2, 5000, true, answer, false), (6, 1 << 20, true, None, false), (8, 100, true, None, true)];
        assert_eq!(seen, expected);
        drop(left);
        let free = next.free();
        assert_eq!((free.small.len(), free.large.len()), (SMALL_COUNT, LARGE_COUNT));
    }
}
