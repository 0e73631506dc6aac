//! An archive in a temporary file without a name, for stores that take one PUT only.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags, open};

use super::parts::MIN_PART_BYTES;
use crate::CreateError;
use crate::integrity::{Integrity, Segmenter};
use crate::squashfs::format::SUPERBLOCK_BYTES;
use crate::squashfs::writer::Sink;

/// S3 takes 5 GiB in one PUT.
const MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Writes to a file that is gone when it is closed, however that happens.
#[derive(Debug)]
pub(super) struct SpoolSink {
    file: File,
    length: u64,
    segmenter: Segmenter,
}

impl SpoolSink {
    pub(super) fn new() -> Result<Self, CreateError> {
        let directory = std::env::temp_dir();
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = open(&directory, flags, Mode::RUSR | Mode::WUSR);
        let file = file.map_err(|error| CreateError::Temporary { source: error.into() })?;
        Ok(Self { file: file.into(), length: 0, segmenter: Segmenter::new(MIN_PART_BYTES) })
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}

impl Sink for SpoolSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CreateError> {
        let end = self.length + bytes.len() as u64;
        if end > MAX_BYTES {
            return Err(sandkeep_objects::Error::TooLarge.into());
        }
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|source| CreateError::Temporary { source })?;
        self.length = end;
        self.segmenter.write(bytes);
        Ok(())
    }

    fn end_data(&mut self) {
        self.segmenter.cut();
    }

    fn finish(&mut self, superblock: &[u8; SUPERBLOCK_BYTES]) -> Result<Integrity, CreateError> {
        let failed = |source| CreateError::Temporary { source };
        self.file.write_all_at(superblock, 0).map_err(failed)?;
        let segmenter = std::mem::replace(&mut self.segmenter, Segmenter::new(1));
        let mut first = vec![0; segmenter.first_bytes() as usize];
        self.file.read_exact_at(&mut first, 0).map_err(failed)?;
        Ok(segmenter.finish(&first))
    }
}
