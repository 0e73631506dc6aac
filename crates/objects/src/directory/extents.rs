//! Where the bytes of a body lie: an ordered list of pieces of body files.

use std::ops::Range;

use super::failure::damaged;
use super::files::FileId;
use crate::Result;

/// Consecutive bytes of one body file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) file: FileId,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Bytes that one extent takes in the index.
const ENCODED: usize = 24;

/// Three little-endian integers of 64 bits per extent: file, offset, length.
pub(super) fn encode(extents: &[Extent]) -> Vec<u8> {
    let words = extents.iter().flat_map(|extent| [extent.file.to_bits(), extent.offset, extent.length]);
    words.flat_map(u64::to_le_bytes).collect()
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Extent>> {
    if !bytes.len().is_multiple_of(ENCODED) {
        return Err(damaged("extents"));
    }
    Ok(bytes.chunks_exact(ENCODED).map(decode_one).collect())
}

fn decode_one(bytes: &[u8]) -> Extent {
    let word = |index: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
        u64::from_le_bytes(word)
    };
    Extent { file: FileId::from_bits(word(0)), offset: word(1), length: word(2) }
}

/// The pieces of `extents` that hold the bytes of `range`, which lies inside of them.
pub(super) fn slice(extents: &[Extent], range: &Range<u64>) -> Vec<Extent> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for extent in extents {
        let end = start + extent.length;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push(Extent { offset: extent.offset + (from - start), length: to - from, ..*extent });
        }
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(file: u64, offset: u64, length: u64) -> Extent {
        Extent { file: FileId::from_bits(file), offset, length }
    }

    #[test]
    fn extents_survive_the_index() {
        let extents = [extent(7, 0, 5), extent(u64::MAX >> 1, 1 << 40, 3)];
        assert_eq!(decode(&encode(&extents)).expect("what was encoded"), extents);
        assert!(decode(&[0; 23]).is_err());
    }

    #[test]
    fn a_slice_takes_parts_of_the_pieces_it_touches() {
        let body = [extent(1, 10, 5), extent(2, 0, 5), extent(3, 7, 5)];
        assert_eq!(slice(&body, &(0..15)), body);
        assert_eq!(slice(&body, &(3..11)), [extent(1, 13, 2), extent(2, 0, 5), extent(3, 7, 1)]);
        assert_eq!(slice(&body, &(5..6)), [extent(2, 0, 1)]);
        assert_eq!(slice(&body, &(4..4)), []);
    }
}
