//! Compressing one block.

use std::io;

use flate2::{Compress, FlushCompress, Status};

use crate::Compression;
use crate::squashfs::format::Codec;

/// zlib's own default, and mksquashfs's in effect on most data.
const GZIP_LEVEL: u32 = 6;
/// Costs what lz4 costs, and its archives are a third smaller.
const ZSTD_LEVEL: i32 = 1;

/// Compresses blocks one by one; each thread has its own.
pub(crate) struct Compressor(State);

enum State {
    Gzip(Box<Compress>),
    Lz4,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(Self(match compression {
            Compression::Gzip => {
                State::Gzip(Box::new(Compress::new(flate2::Compression::new(GZIP_LEVEL), true)))
            }
            Compression::Lz4 => State::Lz4,
            Compression::Zstd => State::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        }))
    }

    /// None if the block does not become smaller: then it is stored as it is.
    pub(crate) fn compress(&mut self, block: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let packed = match &mut self.0 {
            State::Gzip(stream) => gzip(stream, block)?,
            State::Lz4 => Some(lz4_flex::block::compress(block)),
            State::Zstd(compressor) => Some(compressor.compress(block)?),
        };
        Ok(packed.filter(|packed| packed.len() < block.len()))
    }
}

/// Stops when the output is as long as the input.
fn gzip(stream: &mut Compress, block: &[u8]) -> io::Result<Option<Vec<u8>>> {
    stream.reset();
    let mut packed = Vec::with_capacity(block.len());
    let status = stream.compress_vec(block, &mut packed, FlushCompress::Finish).map_err(io::Error::other)?;
    Ok((status == Status::StreamEnd).then_some(packed))
}

impl Compression {
    /// As the superblock names it.
    pub(crate) fn codec(self) -> Codec {
        match self {
            Self::Gzip => Codec::Gzip,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
    }
}
