//! An archive as parts of equal size, the first of them last, because the superblock is known last.
//!
//! An archive that begins with the data of another one has parts that the server copies.

use std::ops::Range;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::base::Beginning;
use crate::CreateError;
use crate::integrity::{Integrity, Segmenter};
use crate::squashfs::format::SUPERBLOCK_BYTES;
use crate::squashfs::writer::Sink;

/// S3 takes parts from 5 MiB; R2 wants all but the last to be equal.
pub(super) const MIN_PART_BYTES: u64 = 8 * 1024 * 1024;
/// S3 takes 10,000 parts; some are kept for files that grow.
const PLANNED_PARTS: u64 = 9_000;
const MAX_PARTS: u32 = 10_000;
const MEBIBYTE: u64 = 1024 * 1024;

/// Part of an archive.
#[derive(Debug)]
pub(super) enum Part {
    /// A part of an archive that needs several.
    Numbered { number: u32, bytes: Bytes },
    /// A part that the server copies from the archive that this one begins with.
    Copied { number: u32, range: Range<u64> },
    /// All of a small archive; nothing follows.
    Whole(Bytes),
    /// All numbered parts were sent.
    End,
}

/// Cuts an archive into parts, and waits where the uploads are slower.
pub(super) struct PartSink {
    parts: mpsc::Sender<Part>,
    part_bytes: usize,
    /// The first part, held back.
    first: Option<Vec<u8>>,
    open: Vec<u8>,
    number: u32,
    segmenter: Segmenter,
}

impl PartSink {
    pub(super) fn new(parts: mpsc::Sender<Part>, estimated_bytes: u64) -> Self {
        let part_bytes = part_bytes(estimated_bytes);
        let segmenter = Segmenter::new(part_bytes as u64);
        Self { parts, part_bytes, first: None, open: Vec::new(), number: 1, segmenter }
    }

    /// A sink that has the beginning of an archive already; has the rest of the beginning copied.
    pub(super) fn behind(parts: mpsc::Sender<Part>, beginning: Beginning) -> Result<Self, CreateError> {
        let Beginning { part_bytes, head, copies, tail, segments } = beginning;
        let segmenter = Segmenter::behind(part_bytes, segments);
        let part_bytes = part_bytes as usize;
        let mut sink = Self { parts, part_bytes, first: None, open: Vec::new(), number: 1, segmenter };
        if copies.is_empty() {
            sink.append(&head)?;
            return Ok(sink);
        }
        sink.first = Some(head);
        sink.number = 2;
        for range in copies {
            let number = sink.next_number()?;
            sink.send(Part::Copied { number, range })?;
        }
        sink.append(&tail)?;
        Ok(sink)
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<(), CreateError> {
        while !bytes.is_empty() {
            if self.open.len() == self.part_bytes {
                self.close_part()?;
            }
            if self.open.capacity() == 0 {
                self.open.reserve_exact(self.part_bytes);
            }
            let room = self.part_bytes - self.open.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.open.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn next_number(&mut self) -> Result<u32, CreateError> {
        let number = self.number;
        if number > MAX_PARTS {
            return Err(sandkeep_objects::Error::TooLarge.into());
        }
        self.number += 1;
        Ok(number)
    }

    fn close_part(&mut self) -> Result<(), CreateError> {
        let bytes = std::mem::take(&mut self.open);
        let number = self.next_number()?;
        if number == 1 {
            self.first = Some(bytes);
            return Ok(());
        }
        self.send(Part::Numbered { number, bytes: bytes.into() })
    }

    fn send(&self, part: Part) -> Result<(), CreateError> {
        // The receiver is dropped when the upload fails, whose error is the one that counts.
        self.parts.blocking_send(part).map_err(|_| CreateError::Cancelled)
    }

    fn integrity(&mut self, first: &[u8]) -> Integrity {
        let segmenter = std::mem::replace(&mut self.segmenter, Segmenter::new(1));
        let length = segmenter.first_bytes() as usize;
        segmenter.finish(&first[..length])
    }
}

impl Sink for PartSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CreateError> {
        self.segmenter.write(bytes);
        self.append(bytes)
    }

    fn end_data(&mut self) {
        self.segmenter.cut();
    }

    fn finish(&mut self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<Integrity, CreateError> {
        let Some(mut first) = self.first.take() else {
            let mut whole = std::mem::take(&mut self.open);
            whole[..SUPERBLOCK_BYTES].copy_from_slice(superblock);
            let integrity = self.integrity(&whole);
            self.send(Part::Whole(whole.into()))?;
            return Ok(integrity);
        };
        if !self.open.is_empty() {
            self.close_part()?;
        }
        first[..SUPERBLOCK_BYTES].copy_from_slice(superblock);
        let integrity = self.integrity(&first);
        self.send(Part::Numbered { number: 1, bytes: first.into() })?;
        self.send(Part::End)?;
        Ok(integrity)
    }
}

/// Whole mebibytes, and so many that the parts suffice.
pub(super) fn part_bytes(estimated_bytes: u64) -> usize {
    let needed = estimated_bytes.div_ceil(PLANNED_PARTS).next_multiple_of(MEBIBYTE);
    needed.max(MIN_PART_BYTES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends an archive of `length` bytes through a sink; the parts with their numbers, in the order of sending.
    fn parts_of(length: usize) -> Vec<(u32, Vec<u8>)> {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut sink =
            PartSink { part_bytes: 1000, segmenter: Segmenter::new(1000), ..PartSink::new(sender, 0) };
        for byte in 0..length {
            sink.write(&[byte as u8]).unwrap();
        }
        let integrity = sink.finish(&[0xff; SUPERBLOCK_BYTES]).unwrap();
        assert!(integrity.is_sound(length as u64));
        let mut parts = Vec::new();
        loop {
            match receiver.try_recv().unwrap() {
                Part::Numbered { number, bytes } => parts.push((number, bytes.to_vec())),
                Part::Copied { .. } => panic!("there is nothing to copy"),
                Part::Whole(bytes) => return vec![(0, bytes.to_vec())],
                Part::End => return parts,
            }
        }
    }

    #[test]
    fn parts_make_up_the_archive_with_the_first_one_last() {
        for length in [96, 999, 1000, 1001, 1999, 2000, 2001, 3500] {
            let mut parts = parts_of(length);
            assert_eq!(parts.len(), length.div_ceil(1000), "{length}");
            assert!(parts.len() == 1 || parts.last().unwrap().0 == 1, "{length}");
            parts.sort_by_key(|(number, _)| *number);
            let (_, but_last) = parts.split_last().unwrap();
            assert!(but_last.iter().all(|(_, bytes)| bytes.len() == 1000), "{length}");
            let whole: Vec<u8> = parts.into_iter().flat_map(|(_, bytes)| bytes).collect();
            let mut expected: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            expected[..SUPERBLOCK_BYTES].fill(0xff);
            assert_eq!(whole, expected, "{length}");
        }
    }

    #[test]
    fn parts_grow_with_the_archive() {
        assert_eq!(part_bytes(0), 8 << 20);
        assert_eq!(part_bytes(70 << 30), 8 << 20);
        assert_eq!(part_bytes(1 << 40), 117 << 20);
    }
}
