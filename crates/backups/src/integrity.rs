//! What tells that an archive in a bucket is still the one that was written: a BLAKE3 hash for each segment of it.
//!
//! Segments are cut where the data of an archive end, too, so that one which begins with the data of another has its
//! hashes already.

use serde::{Deserialize, Serialize};

/// The only way of hashing so far; others would be another version.
const VERSION: u32 = 1;
const ALGORITHM: &str = "blake3";

/// Hashes of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Integrity {
    /// Of this form.
    pub version: u32,
    /// `blake3`.
    pub algorithm: String,
    /// Hash of all segments' hashes, one after the other.
    pub root: String,
    /// All of the archive, in order.
    pub segments: Vec<Segment>,
}

/// A run of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// How many.
    pub bytes: u64,
    /// Their hash, in hexadecimal.
    pub hash: String,
}

impl Integrity {
    /// Of these segments.
    pub(crate) fn of(segments: Vec<Segment>) -> Self {
        let root = root(&segments);
        Self { version: VERSION, algorithm: ALGORITHM.to_owned(), root, segments }
    }

    /// Where its segments end.
    pub(crate) fn ends(&self) -> Vec<u64> {
        let mut end = 0;
        let add = |segment: &Segment| {
            end += segment.bytes;
            end
        };
        self.segments.iter().map(add).collect()
    }

    /// Whether it can be checked, and is what it says itself.
    pub(crate) fn is_sound(&self, archive_bytes: u64) -> bool {
        self.version == VERSION
            && self.algorithm == ALGORITHM
            && self.root == root(&self.segments)
            && self.segments.iter().try_fold(0_u64, |sum, segment| sum.checked_add(segment.bytes))
                == Some(archive_bytes)
    }
}

impl Segment {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, hash: blake3::hash(bytes).to_hex().to_string() }
    }
}

fn root(segments: &[Segment]) -> String {
    let mut hasher = blake3::Hasher::new();
    for segment in segments {
        hasher.update(segment.hash.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Hashes an archive as it is written.
#[derive(Debug)]
pub(crate) struct Segmenter {
    segment_bytes: u64,
    open: blake3::Hasher,
    open_bytes: u64,
    done: Vec<Segment>,
}

impl Segmenter {
    /// Segments of at most so many bytes.
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self { segment_bytes, open: blake3::Hasher::new(), open_bytes: 0, done: Vec::new() }
    }

    /// Goes on behind segments that are known.
    pub(crate) fn behind(segment_bytes: u64, done: Vec<Segment>) -> Self {
        Self { done, ..Self::new(segment_bytes) }
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (self.segment_bytes - self.open_bytes).min(bytes.len() as u64) as usize;
            let (now, later) = bytes.split_at(room);
            self.open.update(now);
            self.open_bytes += now.len() as u64;
            if self.open_bytes == self.segment_bytes {
                self.cut();
            }
            bytes = later;
        }
    }

    /// Ends a segment here.
    pub(crate) fn cut(&mut self) {
        if self.open_bytes > 0 {
            let hash = self.open.finalize().to_hex().to_string();
            self.done.push(Segment { bytes: self.open_bytes, hash });
            self.open.reset();
            self.open_bytes = 0;
        }
    }

    /// Bytes of the first segment, once it was cut.
    pub(crate) fn first_bytes(&self) -> u64 {
        self.done.first().map_or(self.open_bytes, |first| first.bytes)
    }

    /// All of it, as it was written.
    pub(crate) fn finish_as_written(mut self) -> Integrity {
        self.cut();
        Integrity::of(self.done)
    }

    /// All of it. The first segment has other bytes than were written, which are these.
    pub(crate) fn finish(mut self, first: &[u8]) -> Integrity {
        self.cut();
        match self.done.first_mut() {
            Some(segment) => *segment = Segment::of(first),
            None => self.done.push(Segment::of(first)),
        }
        Integrity::of(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_cut_at_their_size_and_where_data_end() {
        let mut segmenter = Segmenter::new(4);
        segmenter.write(b"abcdef");
        segmenter.cut();
        segmenter.write(b"gh");
        let integrity = segmenter.finish(b"ABCD");
        let expected = [&b"ABCD"[..], b"ef", b"gh"].map(Segment::of);
        assert_eq!(integrity.segments, expected);
        assert!(integrity.is_sound(8) && !integrity.is_sound(9));
        let other = Integrity { root: String::new(), ..integrity };
        assert!(!other.is_sound(8));
    }
}
