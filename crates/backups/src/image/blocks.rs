//! Unpacked data: the pieces of a file from the chunks of the archive.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::chunks::{Chunks, Wanted, chunks_of, join};
use super::failure::Failure;
use crate::lru::Lru;
use crate::squashfs::format::Codec;
use crate::squashfs::reader::{Extent, Piece, codec};

/// No block is larger, so no hole in one.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Reads data blocks, and keeps those that are likely to be read again.
#[derive(Debug)]
pub(super) struct Blocks {
    chunks: Arc<Chunks>,
    codec: Codec,
    // By where a block starts and how long it is stored: a damaged archive may have several at one place.
    unpacked: Mutex<Lru<(u64, u32)>>,
}

/// A piece whose bytes are on their way.
enum Coming {
    AtHand(Bytes),
    Stored(Extent, Vec<Wanted>),
}

impl Blocks {
    pub(super) fn new(chunks: Arc<Chunks>, codec: Codec, budget: u64) -> Self {
        Self { chunks, codec, unpacked: Mutex::new(Lru::new(budget)) }
    }

    /// The bytes of pieces, in order. All that is missing is fetched at once.
    pub(super) async fn read(&self, pieces: &[Piece]) -> Result<Vec<Bytes>, Failure> {
        let coming: Vec<_> = pieces.iter().map(|piece| self.request(piece)).collect();
        let mut read = Vec::with_capacity(pieces.len());
        for (piece, coming) in pieces.iter().zip(coming) {
            let block = match coming {
                Coming::AtHand(block) => block,
                Coming::Stored(extent, chunks) => self.unpacked(extent, chunks, piece).await?,
            };
            read.push(cut(piece, &block)?);
        }
        Ok(read)
    }

    fn request(&self, piece: &Piece) -> Coming {
        let Piece::Data { extent, .. } = piece else { return Coming::AtHand(Bytes::from_static(&ZEROS)) };
        if let Some(block) = Lru::lock(&self.unpacked).get(&(extent.position, extent.stored)) {
            return Coming::AtHand(block);
        }
        let numbers = chunks_of(&stored_range(extent));
        let wanted = numbers.clone().map(|number| self.chunks.want(number)).collect();
        numbers.for_each(|number| self.chunks.touch(number));
        Coming::Stored(*extent, wanted)
    }

    async fn unpacked(&self, extent: Extent, wanted: Vec<Wanted>, piece: &Piece) -> Result<Bytes, Failure> {
        let mut chunks = Vec::with_capacity(wanted.len());
        for chunk in wanted {
            chunks.push(chunk.bytes().await?);
        }
        let stored = join(&stored_range(&extent), &chunks);
        if extent.plain {
            // A slice of a chunk: the chunk is what is cached.
            return Ok(stored);
        }
        let block = codec::decompress(self.codec, &stored, extent.limit as usize)?;
        if !read_whole(piece) {
            Lru::lock(&self.unpacked).insert((extent.position, extent.stored), block.clone());
        }
        Ok(block)
    }
}

fn stored_range(extent: &Extent) -> std::ops::Range<u64> {
    extent.position..extent.position + u64::from(extent.stored)
}

/// The kernel keeps the pages of a block that is read whole; keeping it here, too, would only take room from others.
fn read_whole(piece: &Piece) -> bool {
    matches!(piece, Piece::Data { extent, length, .. } if !extent.fragment && *length == extent.limit)
}

fn cut(piece: &Piece, block: &Bytes) -> Result<Bytes, Failure> {
    let range = match *piece {
        Piece::Hole { length } => 0..length as usize,
        Piece::Data { extent, skip, length } => {
            if !extent.fragment && block.len() != extent.limit as usize {
                return Err(Failure::Damaged("a data block has a wrong length"));
            }
            skip as usize..skip as usize + length as usize
        }
    };
    if range.end > block.len() {
        return Err(Failure::Damaged("a data block is too short"));
    }
    Ok(block.slice(range))
}
