//! Reading file content, and noticing that it changes meanwhile.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Statx};
use rustix::io::{Errno, Result, pread, retry_on_intr};

use crate::create::attributes::{Signature, file_type};
use crate::create::directory::{SourceDirectory, is_vanished, stat_open};
use crate::create::snapshot::Taken;
use crate::squashfs::format::BLOCK_BYTES;

/// How often a small file that changes is read before it is taken as it is.
const ATTEMPTS: usize = 3;

/// What became of a small file.
pub(super) enum SmallFile {
    Read(SmallContent),
    /// It grew to a block or more.
    Outgrown,
    Vanished,
}

/// All of a small file.
pub(super) struct SmallContent {
    pub(super) bytes: Vec<u8>,
    pub(super) stat: Box<Statx>,
    /// It changed at every attempt; or was shorter at the end than at the start, and is padded with zeros.
    pub(super) is_torn: bool,
}

/// Opens a regular file; none if there is none any more.
pub(in crate::create) fn open_regular(
    source: &SourceDirectory,
    path: &[u8],
) -> Result<Option<(OwnedFd, Statx)>> {
    let file = match source.open_file(path) {
        Ok(file) => file,
        Err(error) if is_vanished(error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = stat_open(&file)?;
    Ok((file_type(&stat) == FileType::RegularFile).then_some((file, stat)))
}

/// Reads a file that was smaller than a block when it was scanned.
pub(super) fn read_small(source: &SourceDirectory, path: &[u8]) -> Result<SmallFile> {
    let mut last = SmallFile::Vanished;
    for _ in 0..ATTEMPTS {
        let Some((file, stat)) = open_regular(source, path)? else { return Ok(SmallFile::Vanished) };
        if stat.stx_size >= BLOCK_BYTES as u64 {
            return Ok(SmallFile::Outgrown);
        }
        let mut bytes = vec![0; stat.stx_size as usize];
        let is_short = read_at(&file, &mut bytes, 0)? < bytes.len();
        let is_torn = is_short || Signature::of(&stat_open(&file)?) != Signature::of(&stat);
        last = SmallFile::Read(SmallContent { bytes, stat: Box::new(stat), is_torn });
        if !is_torn {
            break;
        }
    }
    Ok(last)
}

/// Reads a file that was taken before.
pub(super) fn read_taken(memory: &OwnedFd, taken: &Taken) -> Result<SmallFile> {
    if taken.stat.stx_size >= BLOCK_BYTES as u64 {
        return Ok(SmallFile::Outgrown);
    }
    let mut bytes = vec![0; taken.stat.stx_size as usize];
    let filled = read_at(memory, &mut bytes, taken.start)?;
    bytes[filled..].fill(0);
    Ok(SmallFile::Read(SmallContent { bytes, stat: taken.stat.clone(), is_torn: false }))
}

/// Fills the buffer from `offset` on, as far as the file reaches; answers how far that was.
pub(in crate::create) fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match retry_on_intr(|| pread(file, &mut buffer[filled..], offset + filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where the data around or behind `offset` is; `size..size` behind the last data. Filesystems without holes are
/// all data.
pub(in crate::create) fn next_data(file: &OwnedFd, offset: u64, size: u64) -> std::ops::Range<u64> {
    use rustix::fs::{SeekFrom, seek};
    let start = match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return size..size,
        Err(_) => return offset..size,
    };
    let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size);
    start.min(size)..end.clamp(start.min(size), size)
}
