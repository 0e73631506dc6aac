//! The bytes of a file in pages; pages that were never written are holes.

use std::collections::BTreeMap;

use crate::Whence;

const PAGE: u64 = 4096;
/// Blocks as stat(2) counts them.
const BLOCKS_PER_PAGE: u64 = PAGE / 512;

type Page = Box<[u8; PAGE as usize]>;

/// Sparse content.
#[derive(Debug, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Page>,
    length: u64,
}

/// The part of `offset..offset + length` in each page: page, place in the page, and place in the range.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>, usize)> {
    let end = offset + length as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (page, start) = (at / PAGE, (at % PAGE) as usize);
            let stop = (end - page * PAGE).min(PAGE) as usize;
            let part = (page, start..stop, (at - offset) as usize);
            at = page * PAGE + stop as u64;
            part
        })
    })
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn blocks(&self) -> u64 {
        self.pages.len() as u64 * BLOCKS_PER_PAGE
    }

    /// Fewer bytes than asked for only at the end.
    pub(super) fn read(&self, offset: u64, size: usize) -> Vec<u8> {
        let size = self.length.saturating_sub(offset).min(size as u64) as usize;
        let mut bytes = vec![0; size];
        for (number, within, at) in parts(offset, size) {
            if let Some(page) = self.pages.get(&number) {
                bytes[at..at + within.len()].copy_from_slice(&page[within]);
            }
        }
        bytes
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (number, within, at) in parts(offset, bytes.len()) {
            let page = self.pages.entry(number).or_insert_with(|| Box::new([0; PAGE as usize]));
            let length = within.len();
            page[within].copy_from_slice(&bytes[at..at + length]);
        }
        self.length = self.length.max(offset + bytes.len() as u64);
    }

    /// Cuts, or extends with a hole.
    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.punch(length, self.length.next_multiple_of(PAGE) - length);
        }
        self.length = length;
    }

    /// Makes a hole: whole pages go, parts of pages become zeros.
    pub(super) fn punch(&mut self, offset: u64, length: u64) {
        let (first, end) = (offset / PAGE, offset.saturating_add(length));
        let numbers: Vec<u64> =
            self.pages.range(first..end.div_ceil(PAGE)).map(|(number, _)| *number).collect();
        for number in numbers {
            let start = offset.saturating_sub(number * PAGE).min(PAGE) as usize;
            let stop = (end - number * PAGE).min(PAGE) as usize;
            if start == 0 && stop == PAGE as usize {
                self.pages.remove(&number);
            } else if let Some(page) = self.pages.get_mut(&number) {
                page[start..stop].fill(0);
            }
        }
    }

    /// As lseek(2) with SEEK_DATA and SEEK_HOLE; none behind the end.
    pub(super) fn seek(&self, offset: u64, whence: Whence) -> Option<u64> {
        if offset >= self.length {
            return None;
        }
        match whence {
            Whence::Data => {
                let (page, _) = self.pages.range(offset / PAGE..).next()?;
                Some(offset.max(page * PAGE)).filter(|data| *data < self.length)
            }
            Whence::Hole => {
                let mut page = offset / PAGE;
                while self.pages.contains_key(&page) {
                    page += 1;
                }
                Some(offset.max(page * PAGE).min(self.length))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_behaves_as_a_plain_vector() {
        let (mut content, mut model) = (Content::default(), Vec::new());
        for step in 0..500_u64 {
            let (at, length) = ((step * 7919) % 30_000, (step * 104_729) % 9000);
            match step % 5 {
                0 => {
                    content.set_length(at);
                    model.resize(at as usize, 0);
                }
                1 => {
                    content.punch(at, length);
                    let end = model.len().min((at + length) as usize);
                    model.get_mut(at as usize..end).map(|hole| hole.fill(0)).unwrap_or_default();
                }
                _ => {
                    let bytes = vec![step as u8; length as usize];
                    content.write(at, &bytes);
                    model.resize(model.len().max((at + length) as usize), 0);
                    model[at as usize..(at + length) as usize].copy_from_slice(&bytes);
                }
            }
            assert_eq!(content.read(0, usize::MAX >> 1), model, "step {step}");
        }
    }
}
