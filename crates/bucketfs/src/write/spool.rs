//! Where written bytes wait: in memory while they are few, then in an unlinked temporary file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::FallocateFlags;
use tokio::runtime::Handle;

use crate::write::buffers::Buffers;

/// Up to here a file under construction costs no temporary file.
const MEMORY_LIMIT: u64 = 64 << 10;

/// Bytes of a file, at the offsets they have there. What was not written is zeros or anything.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    runtime: Handle,
    buffers: Arc<Buffers>,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(Arc<File>),
}

impl Spool {
    /// An empty one; files go to `directory`, blocking work to `runtime`, and what is read comes in `buffers`.
    pub(crate) fn new(directory: Option<&Path>, runtime: Handle, buffers: Arc<Buffers>) -> Self {
        let directory = directory.map_or_else(std::env::temp_dir, Path::to_path_buf);
        Self { directory, runtime, buffers, place: Mutex::new(Place::Memory(Vec::new())) }
    }

    /// Writes. Only one caller at a time.
    pub(crate) async fn write(&self, offset: u64, data: Bytes) -> io::Result<()> {
        let Some(data) = self.write_in_memory(offset, data) else { return Ok(()) };
        let file = self.file().await?;
        self.blocking(move || file.write_all_at(&data, offset)).await
    }

    /// Reads what was written before.
    pub(crate) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = (range.end - range.start) as usize;
        let file = match &*self.place() {
            Place::Memory(bytes) => return Ok(slice(bytes, &range)),
            Place::File(file) => Arc::clone(file),
        };
        let buffers = Arc::clone(&self.buffers);
        self.blocking(move || buffers.filled(length, |bytes| file.read_exact_at(bytes, range.start))).await
    }

    /// Makes a range zeros, without writing them. Only one caller at a time.
    pub(crate) async fn zero(&self, range: Range<u64>) -> io::Result<()> {
        if let Place::Memory(bytes) = &mut *self.place()
            && range.end <= MEMORY_LIMIT
        {
            bytes.resize(bytes.len().max(range.end as usize), 0);
            bytes[range.start as usize..range.end as usize].fill(0);
            return Ok(());
        }
        let file = self.file().await?;
        self.blocking(move || {
            let length = file.metadata()?.len();
            if length < range.end {
                file.set_len(range.end)?;
            }
            punch(&file, range)
        })
        .await
    }

    /// Gives the space of a range back.
    pub(crate) async fn punch(&self, range: Range<u64>) -> io::Result<()> {
        let Place::File(file) = &*self.place() else { return Ok(()) };
        punch(file, range)
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes where that needs no file; else gives the data back.
    fn write_in_memory(&self, offset: u64, data: Bytes) -> Option<Bytes> {
        let end = offset + data.len() as u64;
        match &mut *self.place() {
            Place::Memory(bytes) if end <= MEMORY_LIMIT => {
                let (offset, end) = (offset as usize, end as usize);
                bytes.resize(bytes.len().max(end), 0);
                bytes[offset..end].copy_from_slice(&data);
                None
            }
            Place::Memory(_) | Place::File(_) => Some(data),
        }
    }

    async fn file(&self) -> io::Result<Arc<File>> {
        let bytes = match &*self.place() {
            Place::File(file) => return Ok(Arc::clone(file)),
            Place::Memory(bytes) => bytes.clone(),
        };
        let directory = self.directory.clone();
        let file = self
            .blocking(move || {
                let file = tempfile::tempfile_in(directory)?;
                file.write_all_at(&bytes, 0)?;
                Ok(Arc::new(file))
            })
            .await?;
        *self.place() = Place::File(Arc::clone(&file));
        Ok(file)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.runtime.spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

fn punch(file: &File, range: Range<u64>) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, range.start, range.end - range.start)?)
}

fn slice(bytes: &[u8], range: &Range<u64>) -> Bytes {
    Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize])
}
