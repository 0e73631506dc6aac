//! What all operations of a mount share.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandkeep_objects::{ETag, ObjectKey, ObjectStore};
use sandkeep_vfs::{Attributes, AttributesReply, Entry, Errno, Inode, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::{RwLock, Semaphore};

use crate::BucketFsSettings;
use crate::ahead::Followers;
use crate::attributes::attributes;
use crate::clock::Clock;
use crate::directories::DirectoryHandle;
use crate::errno::Result;
use crate::habits::Habits;
use crate::inodes::InodeTable;
use crate::listing::ListingBudget;
use crate::metadata::Defaults;
use crate::names::Names;
use crate::node::Node;
use crate::read::ReadBudget;
use crate::walk::Walks;
use crate::write::{Buffers, UploadJournal};

/// Unit of the memory budget's permits.
pub(crate) const MEMORY_UNIT: u64 = 1024;

/// The state of a mount.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) settings: BucketFsSettings,
    pub(crate) defaults: Defaults,
    pub(crate) names: Names,
    pub(crate) clock: Arc<dyn Clock>,
    /// When the mount began: the time of directories that have none of their own.
    pub(crate) opened: Timestamp,
    pub(crate) table: InodeTable,
    /// Everything that depends on where keys are enters shared; moving a whole directory enters alone. Entered only
    /// by [`crate::filesystem`], so that nobody enters twice.
    pub(crate) gate: RwLock<()>,
    /// Small requests at once: HEAD, LIST, COPY, DELETE.
    pub(crate) requests: Semaphore,
    /// Transfers in the background at once.
    pub(crate) transfers: Arc<Semaphore>,
    /// Memory for parts on their way to the bucket, in [`MEMORY_UNIT`]s.
    pub(crate) upload_memory: Arc<Semaphore>,
    /// What parts are read into.
    pub(crate) buffers: Arc<Buffers>,
    /// Notes uploads for whoever mounts after this process was killed.
    pub(crate) journal: Option<Arc<UploadJournal>>,
    /// Memory for what was read ahead.
    pub(crate) read_budget: ReadBudget,
    /// Memory for listings.
    pub(crate) listings: ListingBudget,
    /// Who makes and removes names.
    pub(crate) habits: Habits,
    /// Who reads the files of directories in order.
    pub(crate) followers: Followers,
    /// Who walks through trees.
    pub(crate) walks: Walks,
    /// The store does not know conditions of writes.
    pub(crate) unconditional: AtomicBool,
    /// Open directories.
    pub(crate) directories: Mutex<HashMap<u64, Arc<DirectoryHandle>>>,
    /// Runs what goes on in the background.
    pub(crate) runtime: Handle,
    handles: AtomicU64,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// An empty mount around `root`; to be called within a runtime.
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        settings: BucketFsSettings,
        clock: Arc<dyn Clock>,
        root: Node,
    ) -> Self {
        // Half for each direction, so that readers who went away cannot keep writers waiting.
        let half = settings.memory_budget / 2;
        let journal =
            settings.uploads_directory.clone().map(|path| UploadJournal::new(path, store.location()));
        Self {
            store,
            journal,
            buffers: Arc::default(),
            defaults: settings.defaults(),
            opened: clock.now().into(),
            names: Names::new(&settings.prefix),
            clock,
            table: InodeTable::new(root),
            gate: RwLock::new(()),
            requests: Semaphore::new(settings.metadata_requests.max(1)),
            transfers: Arc::new(Semaphore::new(settings.transfers.max(1))),
            upload_memory: Arc::new(Semaphore::new(memory_units(half) as usize)),
            read_budget: ReadBudget::new(half),
            listings: ListingBudget::default(),
            habits: Habits::default(),
            followers: Followers::default(),
            walks: Walks::default(),
            unconditional: AtomicBool::new(false),
            directories: Mutex::default(),
            runtime: Handle::current(),
            handles: AtomicU64::new(1),
            settings,
        }
    }

    /// The time for timestamps.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().into()
    }

    /// A number that was not given before.
    pub(crate) fn next_handle(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }

    /// The node of a number that the kernel has.
    pub(crate) fn node(&self, inode: Inode) -> Result<Arc<Node>> {
        self.table.get(inode).ok_or(Errno::ESTALE)
    }

    /// A directory that has a place, with its path.
    pub(crate) fn directory(&self, inode: Inode) -> Result<(Arc<Node>, Vec<u8>)> {
        let node = self.node(inode)?;
        node.expect_directory()?;
        let path = self.table.path(inode).ok_or(Errno::ENOENT)?;
        Ok((node, path))
    }

    /// The key of an object that has a place.
    pub(crate) fn key(&self, node: &Node) -> Result<Option<ObjectKey>> {
        self.table.path(node.inode).map(|path| self.names.object(&path)).transpose()
    }

    /// Refuses changes of a read-only mount.
    pub(crate) fn expect_writable(&self) -> Result<()> {
        if self.settings.read_only { Err(Errno::EROFS) } else { Ok(()) }
    }

    /// How much longer what is known of a node holds.
    pub(crate) fn valid(&self, node: &Node) -> Duration {
        let state = node.state();
        if !node.is_directory() && state.file.dirty() {
            return self.settings.metadata_age;
        }
        // The kernel asks again for directories while the answer is still known, and it is renewed before it is needed.
        let age = self.settings.metadata_age / if node.is_directory() { 2 } else { 1 };
        let left = |checked| age.saturating_sub(self.clock.monotonic().saturating_sub(checked));
        state.checked.map_or(Duration::ZERO, left)
    }

    /// What stat(2) tells of a node.
    pub(crate) fn attributes_of(&self, node: &Node) -> Attributes {
        let named = node.inode == Inode::ROOT || self.table.place(node.inode).is_some();
        let state = node.state();
        let size = if node.is_directory() { 0 } else { state.file.size() };
        // One link also for directories: programs take it as "subdirectories not counted".
        attributes(node.inode, &state.shown(), size, u32::from(named), self.settings.owner)
    }

    /// The same with its age.
    pub(crate) fn attributes_reply(&self, node: &Node) -> AttributesReply {
        AttributesReply { attributes: self.attributes_of(node), valid: self.valid(node) }
    }

    /// Hands a node to the kernel, which will forget it once.
    pub(crate) fn entry(&self, node: &Node) -> Entry {
        self.table.remember(node.inode);
        let valid = self.valid(node);
        let attributes = self.attributes_of(node);
        Entry { attributes, generation: node.generation, name_valid: valid, attributes_valid: valid }
    }

    /// Forgets that anything is known of a node's place in the bucket. Pages that the kernel has may be of a version
    /// that never got there.
    pub(crate) fn distrust(&self, node: &Node) {
        let mut state = node.state();
        state.checked = None;
        state.file.served = None;
    }
}

/// A size in units of the memory budget, at least one and at most what one request for permits can take.
pub(crate) fn memory_units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX).max(1)
}

/// Conditions of reading exactly one version.
pub(crate) fn pinned(etag: &ETag) -> sandkeep_objects::Conditions {
    sandkeep_objects::Conditions { if_match: Some(etag.clone()), ..sandkeep_objects::Conditions::default() }
}
