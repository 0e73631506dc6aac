//! Streams bodies out of their files.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::buffers::CHUNK;
use super::extents::Extent;
use super::failure::io_failure;
use super::pins::PinnedFiles;
use super::readers::blocking;
use crate::{ByteStream, Error, Result};

/// Reads extents one after the other.
pub(super) struct BodyReader {
    /// The extents still to read, last first.
    extents: Vec<Extent>,
    /// The file of the last of them, if it is open.
    open: Option<File>,
    pinned: PinnedFiles,
}

impl BodyReader {
    pub(super) fn new(extents: &[Extent], pinned: PinnedFiles) -> Self {
        Self { extents: extents.iter().rev().copied().collect(), open: None, pinned }
    }

    /// The next bytes; none at the end. Blocks.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(extent) = self.extents.last() else { return Ok(None) };
        if self.open.is_none() {
            self.open = Some(self.pinned.files.open_body(extent.file)?);
        }
        self.read(|file, room, offset| file.read_exact_at(room, offset).map(|()| room.len()))
    }

    /// The next bytes, without blocking where the system has them in memory.
    pub(super) async fn advance(mut self) -> Result<(Option<Bytes>, Self)> {
        if self.extents.is_empty() {
            return Ok((None, self));
        }
        if self.open.is_some()
            && let Some(bytes) = self.read_cached()?
        {
            return Ok((Some(bytes), self));
        }
        blocking(move || Ok((self.next_chunk()?, self))).await
    }

    /// What of the next bytes is in memory; none if nothing is, or the filesystem cannot tell.
    fn read_cached(&mut self) -> Result<Option<Bytes>> {
        let cached = |file: &File, room: &mut [u8], offset| {
            let mut room = [io::IoSliceMut::new(room)];
            match preadv2(file, &mut room, offset, ReadWriteFlags::NOWAIT) {
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(0),
                read => Ok(read?),
            }
        };
        self.read(cached).map(|bytes| bytes.filter(|bytes| !bytes.is_empty()))
    }

    /// Reads from the open file and moves on by what was read.
    fn read(
        &mut self,
        read: impl FnOnce(&File, &mut [u8], u64) -> io::Result<usize>,
    ) -> Result<Option<Bytes>> {
        let (Some(extent), Some(file)) = (self.extents.last_mut(), &self.open) else { return Ok(None) };
        let wanted = extent.length.min(CHUNK as u64) as usize;
        let mut buffer = self.pinned.files.buffers.take();
        let length = match read(file, buffer.room(wanted), extent.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let what = "a body file is shorter than the index says".to_owned();
                return Err(Error::Corrupt { what });
            }
            read => read.map_err(io_failure)?,
        };
        extent.offset += length as u64;
        extent.length -= length as u64;
        if extent.length == 0 {
            self.extents.pop();
            self.open = None;
        }
        Ok(Some(buffer.filled(length)))
    }
}

/// Streams what a reader reads, after the bytes that it has read already.
pub(super) fn stream_body(first: Option<Bytes>, rest: BodyReader) -> ByteStream {
    let first = stream::iter(first.filter(|bytes| !bytes.is_empty()).map(Ok));
    let rest = stream::try_unfold(rest, |reader| async {
        let (bytes, reader) = reader.advance().await?;
        Ok(bytes.map(|bytes| (bytes, reader)))
    });
    first.chain(rest).boxed()
}
