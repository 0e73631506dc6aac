//! Body files: where they lie, how one is made, and how one that nobody needs any more goes away.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::buffers::Buffers;
use super::failure::io_failure;
use super::pins::Pins;
use crate::Result;

/// Names a body file: 63 random bits, of which the first eight choose the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// How long deletions wait for others to share their sync with, and how many do at most.
const SETTLE: Duration = Duration::from_millis(200);
const SETTLE_COUNT: usize = 1024;

/// Bits below those that choose the directory.
const NAME_BITS: u32 = 55;

impl FileId {
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// For SQLite, whose integers are signed; ids are positive.
    pub(super) fn to_sql(self) -> i64 {
        self.0.cast_signed()
    }

    pub(super) fn from_sql(id: i64) -> Self {
        Self(id.cast_unsigned())
    }

    /// `count` fresh ids in one directory, so that files written at the same time share its sync.
    pub(super) fn random(count: usize) -> Result<Vec<Self>> {
        let entropy = |error: getrandom::Error| io_failure(io::Error::other(error));
        let directory = (getrandom::u64().map_err(entropy)? & 0xff) << NAME_BITS;
        let name = || getrandom::u64().map_err(entropy).map(|random| random & ((1 << NAME_BITS) - 1));
        (0..count).map(|_| Ok(Self(directory | name()?))).collect()
    }

    fn directory(self) -> String {
        format!("{:02x}", self.0 >> NAME_BITS)
    }

    fn name(self) -> String {
        format!("{:014x}", self.0 & ((1 << NAME_BITS) - 1))
    }
}

/// All body files of a store.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Whether a directory was made in `root` since it was last synced.
    unsynced: AtomicBool,
    /// Ids that the index has registered as pending and no file uses yet.
    reserved: Mutex<Vec<FileId>>,
    /// Ids whose files are durably gone; the next commit forgets that they were pending.
    settled: Arc<Mutex<Vec<FileId>>>,
    /// Files to delete, for a thread of its own: deleting gigabytes takes time that commits do not have.
    unwanted: mpsc::Sender<FileId>,
    pub(super) pins: Pins,
    pub(super) buffers: Arc<Buffers>,
}

impl Files {
    /// The body files below `root`, which is created.
    pub(super) fn open(root: &Path) -> Result<Arc<Self>> {
        make_directory(root).map_err(io_failure)?;
        let (unwanted, requests) = mpsc::channel();
        let settled = Arc::default();
        let files = Self {
            root: root.to_owned(),
            unsynced: AtomicBool::new(true),
            reserved: Mutex::default(),
            settled: Arc::clone(&settled),
            unwanted,
            pins: Pins::default(),
            buffers: Arc::default(),
        };
        let root = root.to_owned();
        std::thread::Builder::new()
            .name("store-reclaim".to_owned())
            .spawn(move || reclaim(&root, &requests, &settled))
            .map_err(io_failure)?;
        Ok(Arc::new(files))
    }

    pub(super) fn take_reserved(&self) -> Option<FileId> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn add_reserved(&self, ids: Vec<FileId>) {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    pub(super) fn take_settled(&self) -> Vec<FileId> {
        std::mem::take(&mut self.settled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add_settled(&self, ids: &[FileId]) {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Makes the file of a reserved id.
    pub(super) fn create(self: &Arc<Self>, id: FileId) -> Result<NewFile> {
        let path = self.path(id);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_fan_out(id).and_then(|()| options.open(&path))
            }
            opened => opened,
        };
        let file = file.map_err(io_failure)?;
        Ok(NewFile { id, file, size: 0, md5: [0; 16], files: Arc::clone(self), published: false })
    }

    /// Opens the file of a published id for reading.
    pub(super) fn open_body(&self, id: FileId) -> Result<File> {
        File::open(self.path(id)).map_err(io_failure)
    }

    /// As [`Self::open_body`], for who wants to know what the system says.
    pub(super) fn open_for_check(&self, id: FileId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Makes the names of these files durable, with one sync for each directory.
    pub(super) fn sync_directories(&self, ids: impl Iterator<Item = FileId>) -> Result<()> {
        let mut directories: Vec<String> = ids.map(FileId::directory).collect();
        directories.sort_unstable();
        directories.dedup();
        if !directories.is_empty() && self.unsynced.swap(false, Ordering::SeqCst) {
            sync_directory(&self.root)
                .map_err(io_failure)
                .inspect_err(|_| self.unsynced.store(true, Ordering::SeqCst))?;
        }
        directories.iter().try_for_each(|name| sync_directory(&self.root.join(name))).map_err(io_failure)
    }

    /// Deletes files that the index no longer names, those being read when their last reader is done.
    pub(super) fn release(&self, ids: Vec<FileId>) {
        for id in self.pins.doom(ids) {
            self.delete_later(id);
        }
    }

    pub(super) fn delete_later(&self, id: FileId) {
        // Fails only when the thread is gone; then the next start deletes the file, whose id is still pending.
        let _ = self.unwanted.send(id);
    }

    /// Deletes the files of pending ids after a crash, those that there are, so that they do not come back.
    pub(super) fn delete_orphans(&self, ids: &[FileId]) -> Result<()> {
        ids.iter().try_for_each(|id| remove_if_there(&self.path(*id))).map_err(io_failure)?;
        sync_deletions(&self.root, ids).map_err(io_failure)
    }

    fn path(&self, id: FileId) -> PathBuf {
        body_path(&self.root, id)
    }

    fn make_fan_out(&self, id: FileId) -> io::Result<()> {
        // Before the directory can be seen: whoever commits a file in it finds the mark.
        self.unsynced.store(true, Ordering::SeqCst);
        make_directory(&self.root.join(id.directory()))
    }
}

/// A body file that no commit has published; deleted when dropped.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) id: FileId,
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    files: Arc<Files>,
    published: bool,
}

impl NewFile {
    /// The commit is done: the file stays.
    pub(super) fn keep(mut self) {
        self.published = true;
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            self.files.delete_later(self.id);
        }
    }
}

/// Makes a directory and its parents, for the owner alone.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn body_path(root: &Path, id: FileId) -> PathBuf {
    root.join(id.directory()).join(id.name())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Deletes files, and passes their ids on when that is durable: an id that is forgotten earlier would be a file that
/// comes back with a power cut and that nobody knows.
fn reclaim(root: &Path, requests: &mpsc::Receiver<FileId>, settled: &Mutex<Vec<FileId>>) {
    let mut deleted = Vec::new();
    loop {
        let wanted = match deleted.is_empty() {
            true => requests.recv().map_err(RecvTimeoutError::from),
            false => requests.recv_timeout(SETTLE),
        };
        match wanted.map(|id| (id, remove_if_there(&body_path(root, id)))) {
            Ok((id, Ok(()))) => deleted.push(id),
            Ok((id, Err(error))) => {
                tracing::warn!(%error, file = ?id, "cannot delete a body file, the next start will try again");
            }
            Err(_) if deleted.is_empty() => return,
            Err(_) => settle(root, &mut deleted, settled),
        }
        if deleted.len() >= SETTLE_COUNT {
            settle(root, &mut deleted, settled);
        }
    }
}

fn settle(root: &Path, deleted: &mut Vec<FileId>, settled: &Mutex<Vec<FileId>>) {
    match sync_deletions(root, deleted) {
        Ok(()) => settled.lock().unwrap_or_else(PoisonError::into_inner).append(deleted),
        Err(error) => tracing::warn!(%error, "cannot sync deletions, the next start will do them again"),
    }
    deleted.clear();
}

/// Makes it durable that files are gone, with one sync for each directory.
fn sync_deletions(root: &Path, ids: &[FileId]) -> io::Result<()> {
    let directories: BTreeSet<String> = ids.iter().map(|id| id.directory()).collect();
    directories.iter().try_for_each(|name| match sync_directory(&root.join(name)) {
        // Nothing was ever written there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
}
