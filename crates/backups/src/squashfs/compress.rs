//! Compressing one block.

use std::io;

use flate2::{Compress, FlushCompress, Status};

use crate::squashfs::format;
use crate::{Compression, ZstdLevel};

/// zlib's own default, and mksquashfs's in effect on most data.
const GZIP_LEVEL: u32 = 6;

/// Compresses blocks one by one; each thread has its own.
pub(crate) struct Compressor {
    codec: Codec,
    /// Kept, so that a block's result takes no more memory than it needs.
    packed: Vec<u8>,
}

enum Codec {
    Gzip(Box<Compress>),
    Lz4,
    Zstd(zstd::bulk::Compressor<'static>),
    None,
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::Gzip => {
                Codec::Gzip(Box::new(Compress::new(flate2::Compression::new(GZIP_LEVEL), true)))
            }
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd(level) => Codec::Zstd(zstd::bulk::Compressor::new(level.number())?),
            Compression::None => Codec::None,
        };
        Ok(Self { codec, packed: Vec::new() })
    }

    /// None if the block does not become smaller: then it is stored as it is.
    pub(crate) fn compress(&mut self, block: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let packed = &mut self.packed;
        let length = match &mut self.codec {
            Codec::Gzip(stream) => gzip(stream, block, packed)?,
            Codec::Lz4 => {
                packed.resize(lz4_flex::block::get_maximum_output_size(block.len()), 0);
                lz4_flex::block::compress_into(block, packed).map_err(io::Error::other)?
            }
            Codec::Zstd(compressor) => {
                packed.resize(zstd::zstd_safe::compress_bound(block.len()), 0);
                compressor.compress_to_buffer(block, packed.as_mut_slice())?
            }
            Codec::None => return Ok(None),
        };
        Ok((length < block.len()).then(|| packed[..length].to_vec()))
    }
}

/// Gives up when the output is as long as the input.
fn gzip(stream: &mut Compress, block: &[u8], packed: &mut Vec<u8>) -> io::Result<usize> {
    stream.reset();
    packed.resize(block.len(), 0);
    let status = stream.compress(block, packed, FlushCompress::Finish).map_err(io::Error::other)?;
    Ok(if status == Status::StreamEnd { stream.total_out() as usize } else { block.len() })
}

impl Compression {
    /// As the superblock names it: archives without compression have to name a codec, too.
    pub(crate) fn codec(self) -> format::Codec {
        match self {
            Self::Gzip | Self::None => format::Codec::Gzip,
            Self::Lz4 => format::Codec::Lz4,
            Self::Zstd(_) => format::Codec::Zstd,
        }
    }

    /// Of archives with that codec, where nobody asks for anything else.
    pub(crate) fn of(codec: format::Codec) -> Self {
        match codec {
            format::Codec::Gzip => Self::Gzip,
            format::Codec::Lz4 => Self::Lz4,
            format::Codec::Zstd => Self::Zstd(ZstdLevel::default()),
        }
    }
}
