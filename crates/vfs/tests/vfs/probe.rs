//! A filesystem that tells what reaches it, and whose reads can be held. The same in every process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sandkeep_vfs::{
    Attributes, AttributesReply, Caller, DirectoryEntry, Entry, Errno, FileHandle, FileKind, FileSystem,
    Inode, KernelCache, OpenFlags, Opened, StatFs, Timestamp,
};
use tokio::sync::Semaphore;

type Result<T> = std::result::Result<T, Errno>;

pub(crate) const DATA: &str = "data";
pub(crate) const DATA_LENGTH: u64 = 16 << 20;
/// Reads and fsync wait for permits of [`Probe::release`].
pub(crate) const SLOW: &str = "slow";
pub(crate) const PANICS: &str = "panics";
pub(crate) const PANICS_LATER: &str = "panics-later";
/// Kept by the kernel until invalidated.
pub(crate) const CACHED: &str = "cached";
const NAMES: [&str; 5] = [DATA, SLOW, PANICS, PANICS_LATER, CACHED];

pub(crate) fn pattern(offset: u64, size: usize) -> Vec<u8> {
    (0..size as u64).map(|index| ((offset + index) / 251 + offset + index) as u8).collect()
}

/// What has happened in the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    ReadStarted,
    ReadDropped,
    SyncStarted,
    SyncDropped,
    SyncFinished,
    Detached,
}

pub(crate) struct Probe {
    pub(crate) largest_read: AtomicU32,
    pub(crate) largest_write: AtomicUsize,
    pub(crate) version: AtomicU32,
    pub(crate) looked_up_in_reading_thread: AtomicBool,
    pub(crate) kernel: OnceLock<Arc<dyn KernelCache>>,
    gate: Semaphore,
    seen: Mutex<Sender<Seen>>,
}

impl Probe {
    pub(crate) fn new() -> (Arc<Self>, std::sync::mpsc::Receiver<Seen>) {
        let (seen, receiver) = channel();
        let probe = Self {
            largest_read: AtomicU32::new(0),
            largest_write: AtomicUsize::new(0),
            version: AtomicU32::new(1),
            looked_up_in_reading_thread: AtomicBool::new(false),
            kernel: OnceLock::new(),
            gate: Semaphore::new(0),
            seen: Mutex::new(seen),
        };
        (Arc::new(probe), receiver)
    }

    pub(crate) fn release(&self, count: usize) {
        self.gate.add_permits(count);
    }

    fn tell(&self, seen: Seen) {
        // Nobody listens any more when a test has ended.
        let _ = self.seen.lock().unwrap().send(seen);
    }

    fn attributes_of(&self, inode: Inode) -> Result<Attributes> {
        let index = (inode.0 as usize).checked_sub(2);
        if inode != Inode::ROOT && index.is_none_or(|index| index >= NAMES.len()) {
            return Err(Errno::ENOENT);
        }
        let (kind, permissions) =
            if inode == Inode::ROOT { (FileKind::Directory, 0o755) } else { (FileKind::File, 0o666) };
        Ok(Attributes {
            inode,
            kind,
            permissions,
            size: DATA_LENGTH,
            blocks: 0,
            block_size: 4096,
            links: 1,
            uid: 0,
            gid: 0,
            device: 0,
            accessed: Timestamp::default(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
        })
    }
}

fn is(inode: Inode, name: &str) -> bool {
    NAMES.get(inode.0 as usize - 2) == Some(&name)
}

/// Tells when it is dropped before its end.
struct Unless<'a>(&'a Probe, Option<Seen>);

impl Drop for Unless<'_> {
    fn drop(&mut self) {
        if let Some(seen) = self.1 {
            self.0.tell(seen);
        }
    }
}

#[async_trait]
impl FileSystem for Probe {
    fn attached(&self, kernel: Arc<dyn KernelCache>) {
        assert!(self.kernel.set(kernel).is_ok(), "attached twice");
    }

    async fn detached(&self) {
        self.tell(Seen::Detached);
    }

    async fn lookup(&self, _caller: Caller, _parent: Inode, name: &[u8]) -> Result<Entry> {
        let in_reader = std::thread::current().name().is_some_and(|name| name.starts_with("fuse-"));
        self.looked_up_in_reading_thread.fetch_or(in_reader, Ordering::Relaxed);
        let index = NAMES.iter().position(|known| known.as_bytes() == name).ok_or(Errno::ENOENT)?;
        let attributes = self.attributes_of(Inode(index as u64 + 2))?;
        // No age: every path is asked for again, so that an outage is met at every step.
        Ok(Entry { attributes, generation: 0, name_valid: Duration::ZERO, attributes_valid: Duration::ZERO })
    }

    async fn attributes(&self, inode: Inode, _handle: Option<FileHandle>) -> Result<AttributesReply> {
        Ok(AttributesReply { attributes: self.attributes_of(inode)?, valid: Duration::ZERO })
    }

    async fn open(&self, _caller: Caller, inode: Inode, _flags: OpenFlags) -> Result<Opened> {
        let cached = is(inode, CACHED);
        Ok(Opened { handle: FileHandle(inode.0), keep_cache: cached, direct_io: !cached })
    }

    async fn read(&self, inode: Inode, _handle: FileHandle, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        if is(inode, PANICS) {
            panic!("a test of panics");
        }
        if is(inode, PANICS_LATER) {
            tokio::task::yield_now().await;
            panic!("a test of panics");
        }
        if is(inode, CACHED) {
            return Ok(vec![vec![self.version.load(Ordering::Relaxed) as u8; size as usize].into()]);
        }
        if is(inode, SLOW) {
            self.tell(Seen::ReadStarted);
            let mut unless = Unless(self, Some(Seen::ReadDropped));
            self.gate.acquire().await.map_err(|_| Errno::EIO)?.forget();
            unless.1 = None;
        }
        self.largest_read.fetch_max(size, Ordering::Relaxed);
        let size = DATA_LENGTH.saturating_sub(offset).min(u64::from(size)) as usize;
        // Many pieces, as a filesystem with blocks of its own gives them.
        Ok(pattern(offset, size).chunks(100_000).map(Bytes::copy_from_slice).collect())
    }

    async fn write(&self, _inode: Inode, _handle: FileHandle, offset: u64, data: Bytes) -> Result<()> {
        self.largest_write.fetch_max(data.len(), Ordering::Relaxed);
        if data == pattern(offset, data.len()) { Ok(()) } else { Err(Errno::EIO) }
    }

    async fn fsync(&self, inode: Inode, _handle: FileHandle, _data_only: bool) -> Result<()> {
        if is(inode, SLOW) {
            self.tell(Seen::SyncStarted);
            let mut unless = Unless(self, Some(Seen::SyncDropped));
            self.gate.acquire().await.map_err(|_| Errno::EIO)?.forget();
            unless.1 = Some(Seen::SyncFinished);
        }
        Ok(())
    }

    async fn open_directory(&self, _caller: Caller, inode: Inode) -> Result<Opened> {
        Ok(Opened { handle: FileHandle(inode.0), keep_cache: false, direct_io: false })
    }

    async fn read_directory(
        &self,
        _inode: Inode,
        _handle: FileHandle,
        offset: u64,
        limit: usize,
        _plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let dots = [(".", 1, FileKind::Directory), ("..", 1, FileKind::Directory)];
        let files = NAMES.iter().enumerate().map(|(index, name)| (*name, index as u64 + 2, FileKind::File));
        let all = dots.into_iter().chain(files).enumerate().skip(offset as usize).take(limit);
        let entry = |(index, (name, inode, kind)): (usize, (&str, u64, FileKind))| DirectoryEntry {
            name: name.into(),
            inode: Inode(inode),
            kind,
            next_offset: index as u64 + 1,
            entry: None,
        };
        Ok(all.map(entry).collect())
    }

    async fn statfs(&self) -> Result<StatFs> {
        Err(Errno::EREMOTEIO)
    }
}
