//! One file or directory as this mount knows it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sandkeep_objects::ETag;
use sandkeep_vfs::{Errno, FileKind, Inode, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::ahead::Following;
use crate::errno::Result;
use crate::listing::{Child, Listing};
use crate::metadata::Stored;
use crate::read::Reader;
use crate::write::{Draft, Streaming};

/// A version of an object in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Its tag.
    pub(crate) etag: ETag,
    /// Its bytes.
    pub(crate) size: u64,
    /// When the server says it was written; none for our own writes, whose answers do not tell.
    pub(crate) last_modified: Option<SystemTime>,
}

/// A file or directory.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its number.
    pub(crate) inode: Inode,
    /// Tells apart files that had the same number.
    pub(crate) generation: u64,
    /// Its type, for good: another type is another node.
    pub(crate) kind: FileKind,
    /// One permit: whoever has it may change the content or publish it.
    turn: Semaphore,
    state: Mutex<State>,
}

/// What changes about a node. Locked for moments only.
#[derive(Debug)]
pub(crate) struct State {
    /// Attributes.
    pub(crate) stored: Stored,
    /// When the bucket was last asked, on the monotonic clock; none if that is not believed any more.
    pub(crate) checked: Option<Duration>,
    /// When this mount last changed it: answers to what was asked before are not believed.
    pub(crate) changed_here: Duration,
    /// Open descriptors.
    pub(crate) opens: u32,
    /// What directories have.
    pub(crate) directory: DirectoryState,
    /// What everything else has.
    pub(crate) file: FileState,
}

/// What only directories have.
#[derive(Debug, Default)]
pub(crate) struct DirectoryState {
    /// A `dir/` object stands for it in the bucket.
    pub(crate) marker: bool,
    /// When this mount last changed its names, which moves its mtime.
    pub(crate) touched: Option<Timestamp>,
    /// Its names, if read not long ago.
    pub(crate) listing: Option<Arc<Listing>>,
    /// Listings on their way.
    pub(crate) fetching: u32,
    /// Names removed here while a listing was on its way.
    pub(crate) removed: HashSet<Vec<u8>>,
    /// Names made here while a listing was on its way.
    pub(crate) made: HashMap<Vec<u8>, Child>,
    /// Names that the kernel was told are absent.
    pub(crate) vacant: HashMap<Vec<u8>, Vacancy>,
    /// It is being asked for in the background.
    pub(crate) renewing: bool,
    /// Its files, while somebody reads them in order.
    pub(crate) following: Option<Box<Following>>,
}

/// A name that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vacancy {
    /// When the bucket was asked.
    pub(crate) asked: Duration,
    /// Asked for this very name since it was looked up; else a listing told that was young enough.
    pub(crate) proven: bool,
}

/// A file made where none was known: what to do if the bucket has one after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collision {
    /// O_TRUNC: ours replaces it.
    Replace,
    /// What was written goes over it.
    Overlay,
    /// O_APPEND: what was written goes behind it.
    Append,
}

/// An upload that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// While it was written: close and fsync must say so too, and not publish what came before.
    Writing(Errno),
    /// At close or fsync, which have told.
    Reported(Errno),
}

/// What files, symbolic links and special files have.
#[derive(Debug, Default)]
pub(crate) struct FileState {
    /// What the bucket has; none before the first upload.
    pub(crate) version: Option<Version>,
    /// Descriptors open for writing.
    pub(crate) writers: u32,
    /// Content that is not, or not only, in the bucket.
    pub(crate) draft: Option<Arc<Draft>>,
    /// An upload that runs while the file is written.
    pub(crate) streaming: Option<Streaming>,
    /// Attributes changed that wait for the next upload.
    pub(crate) metadata_dirty: bool,
    /// Has lost its name: nothing of it is to be uploaded.
    pub(crate) removed: bool,
    /// Created with O_EXCL and not yet uploaded.
    pub(crate) exclusive: bool,
    /// Created without the bucket having been asked, and not yet uploaded.
    pub(crate) presumed: Option<Collision>,
    /// Why what was written is not in the bucket.
    pub(crate) failure: Option<Failure>,
    /// Reads the current version.
    pub(crate) reader: Option<Arc<Reader>>,
    /// The version whose pages the kernel may have.
    pub(crate) served: Option<ETag>,
    /// Target of a symbolic link.
    pub(crate) target: Option<Arc<[u8]>>,
}

impl FileState {
    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        match (&self.draft, &self.version) {
            (Some(draft), _) => draft.size(),
            (None, Some(version)) => version.size,
            (None, None) => 0,
        }
    }

    /// Whether something must be uploaded.
    pub(crate) fn dirty(&self) -> bool {
        !self.removed && (self.metadata_dirty || self.content_dirty())
    }

    /// Whether bytes must be uploaded.
    pub(crate) fn content_dirty(&self) -> bool {
        self.version.is_none() || self.draft.as_ref().is_some_and(|draft| draft.dirty())
    }

    /// Makes `version` the current one.
    pub(crate) fn set_version(&mut self, version: Version) {
        if self.version.as_ref().is_none_or(|old| old.etag != version.etag) {
            self.reader = None;
            self.target = None;
        }
        self.version = Some(version);
    }
}

impl Node {
    /// A directory.
    pub(crate) fn directory(
        inode: Inode,
        generation: u64,
        stored: Stored,
        marker: bool,
        checked: Duration,
    ) -> Self {
        let directory = DirectoryState { marker, ..DirectoryState::default() };
        Self::with(inode, generation, State { directory, ..State::new(stored, checked) })
    }

    /// Anything but a directory; without a version it is new.
    pub(crate) fn object(
        inode: Inode,
        generation: u64,
        stored: Stored,
        version: Option<Version>,
        checked: Duration,
    ) -> Self {
        let file = FileState { version, ..FileState::default() };
        Self::with(inode, generation, State { file, ..State::new(stored, checked) })
    }

    fn with(inode: Inode, generation: u64, state: State) -> Self {
        let kind = state.stored.kind;
        Self { inode, generation, kind, turn: Semaphore::new(1), state: Mutex::new(state) }
    }

    /// The state, for a moment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to change or publish the content.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turn.acquire().await.expect("turns are never closed")
    }

    /// Whether this is a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Refuses what is no directory.
    pub(crate) fn expect_directory(&self) -> Result<()> {
        if self.is_directory() { Ok(()) } else { Err(Errno::ENOTDIR) }
    }

    /// Whether what this mount knows is not older than `age`, or is newer than the bucket.
    pub(crate) fn current(&self, now: Duration, age: Duration) -> bool {
        let state = self.state();
        let ahead = !self.is_directory() && state.file.dirty();
        ahead || state.checked.is_some_and(|checked| now.saturating_sub(checked) < age)
    }

    /// Whether nothing would be lost if the node were forgotten.
    pub(crate) fn idle(&self) -> bool {
        let state = self.state();
        state.opens == 0 && (self.is_directory() || !state.file.dirty())
    }

    /// Whether it is in the bucket only once it is uploaded.
    pub(crate) fn unpublished(&self) -> bool {
        !self.is_directory() && self.state().file.version.is_none()
    }
}

impl State {
    fn new(stored: Stored, checked: Duration) -> Self {
        Self {
            stored,
            checked: Some(checked),
            changed_here: Duration::ZERO,
            opens: 0,
            directory: DirectoryState::default(),
            file: FileState::default(),
        }
    }

    /// Notes a change of our own, made `now` on the monotonic clock.
    pub(crate) fn changed_by_us(&mut self, now: Duration) {
        self.changed_here = now;
        self.checked = Some(now);
    }

    /// The attributes to show.
    pub(crate) fn shown(&self) -> Stored {
        let mut shown = self.stored.clone();
        if let Some(touched) = self.directory.touched {
            shown.modified = shown.modified.max(touched);
            shown.changed = shown.changed.max(touched);
        }
        shown
    }
}
