//! Fetched chunks on disk: a sparse file without a name, as large as the archive at most.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat, unlinkat};
use uuid::Uuid;

/// The cache leaves this part of the disk free: one eighth.
const KEPT_FREE: u64 = 8;
/// ... but not more than this.
const KEPT_FREE_BYTES: u64 = 4 << 30;

/// Chunks by number.
#[derive(Debug)]
pub(super) struct DiskCache {
    file: File,
    /// A bit per chunk that was written whole.
    present: Vec<AtomicU64>,
    /// Writing failed, or the disk is nearly full: what is there stays, nothing is added.
    full: AtomicBool,
}

impl DiskCache {
    /// An empty cache for `chunks` chunks in a directory, which is made if it is missing.
    pub(super) fn create(directory: &Path, chunks: u64) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let words = chunks.div_ceil(64) as usize;
        let present = (0..words).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { file: nameless(directory)?, present, full: AtomicBool::new(false) })
    }

    /// Whether a chunk is here.
    pub(super) fn has(&self, number: u64) -> bool {
        let word = self.present.get((number / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::Acquire) >> (number % 64) & 1 == 1)
    }

    /// Reads a chunk; blocks.
    pub(super) fn load(&self, range: Range<u64>) -> io::Result<Bytes> {
        let mut chunk = vec![0; (range.end - range.start) as usize];
        self.file.read_exact_at(&mut chunk, range.start)?;
        Ok(chunk.into())
    }

    /// Writes a chunk if there is room; blocks.
    pub(super) fn store(&self, number: u64, start: u64, chunk: &[u8]) {
        if self.full.load(Ordering::Relaxed) || self.has(number) {
            return;
        }
        match self.write(start, chunk) {
            Ok(()) => {
                if let Some(word) = self.present.get((number / 64) as usize) {
                    word.fetch_or(1 << (number % 64), Ordering::Release);
                }
            }
            Err(error) => {
                self.full.store(true, Ordering::Relaxed);
                tracing::info!(%error, "the chunk cache takes no more");
            }
        }
    }

    fn write(&self, start: u64, chunk: &[u8]) -> io::Result<()> {
        let disk = fstatvfs(&self.file)?;
        let kept_free = (disk.f_blocks / KEPT_FREE).min(KEPT_FREE_BYTES / disk.f_frsize.max(1));
        if disk.f_bavail < kept_free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(chunk, start)
    }
}

/// A file that disappears with its descriptor. Not every filesystem has O_TMPFILE.
fn nameless(directory: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let private = Mode::RUSR | Mode::WUSR;
    if let Ok(file) = openat(CWD, directory, flags | OFlags::TMPFILE, private) {
        return Ok(file.into());
    }
    let path = directory.join(format!("{}.chunks", Uuid::new_v4()));
    let file = openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL, private)?;
    unlinkat(CWD, &path, rustix::fs::AtFlags::empty())?;
    Ok(file.into())
}
