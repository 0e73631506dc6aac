//! Decompression into buffers of a known size: an archive cannot make it allocate more.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::bulk::Decompressor;

use super::failure::{Result, damaged};
use crate::squashfs::format::Codec;

thread_local! {
    // Contexts are large and cost more to make than a block costs to unpack.
    static ZLIB: RefCell<Decompress> = RefCell::new(Decompress::new(true));
    static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Unpacks a block of at most `limit` bytes.
pub(crate) fn decompress(codec: Codec, input: &[u8], limit: usize) -> Result<Bytes> {
    let unpacked = match codec {
        Codec::Gzip => gunzip(input, limit)?,
        Codec::Lz4 => unpack_lz4(input, limit)?,
        Codec::Zstd => unpack_zstd(input, limit)?,
    };
    Ok(Bytes::from(trimmed(unpacked)))
}

fn gunzip(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut output = Vec::with_capacity(limit);
    let status = ZLIB.with_borrow_mut(|zlib| {
        zlib.reset(true);
        zlib.decompress_vec(input, &mut output, FlushDecompress::Finish)
    });
    match status {
        Ok(Status::StreamEnd) => Ok(output),
        _ => damaged("a zlib block cannot be unpacked"),
    }
}

fn unpack_lz4(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut output = vec![0; limit];
    match lz4_flex::block::decompress_into(input, &mut output) {
        Ok(length) => {
            output.truncate(length);
            Ok(output)
        }
        Err(_) => damaged("an lz4 block cannot be unpacked"),
    }
}

fn unpack_zstd(input: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut output = Vec::with_capacity(limit);
    let unpacked = ZSTD.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Decompressor::new().ok();
        }
        let context = slot.as_mut()?;
        context.decompress_to_buffer(input, &mut output).ok()
    });
    match unpacked {
        Some(_) if output.len() <= limit => Ok(output),
        _ => damaged("a zstd block cannot be unpacked"),
    }
}

/// Gives back what a short block does not need: blocks stay in caches that count their length.
fn trimmed(mut block: Vec<u8>) -> Vec<u8> {
    if block.len() < block.capacity() / 8 * 7 {
        block.shrink_to_fit();
    }
    block
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(codec: Codec, plain: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Lz4 => lz4_flex::block::compress(plain),
            Codec::Zstd => zstd::bulk::compress(plain, 1).unwrap(),
        }
    }

    #[test]
    fn every_codec_fills_its_limit_and_not_a_byte_more() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 7).to_le_bytes()).take(131_072).collect();
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            let input = packed(codec, &plain);
            assert_eq!(decompress(codec, &input, plain.len()).unwrap(), plain, "{codec:?}");
            assert!(decompress(codec, &input, plain.len() - 1).is_err(), "{codec:?}");
            assert!(decompress(codec, &input[..input.len() / 2], plain.len()).is_err(), "{codec:?}");
        }
    }
}
