//! Open directories: a snapshot of the names, handed out in pieces with stable offsets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_vfs::{DirectoryEntry, FileHandle, FileKind, Inode, Opened};

use crate::core::Core;
use crate::errno::Result;
use crate::listing::{Child, Listing};
use crate::node::Node;

/// Objects up to this size may be symbolic links (PATH_MAX), fifos or sockets: only their metadata tells.
const MAX_SPECIAL_SIZE: u64 = 4096;

/// `.` and `..` come first.
const DOTS: u64 = 2;

/// An open directory.
#[derive(Debug, Default)]
pub(crate) struct DirectoryHandle {
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

/// Names as they were when reading began.
#[derive(Debug)]
struct Snapshot {
    names: Vec<(Vec<u8>, Child)>,
    fetched: Duration,
}

impl From<&Listing> for Snapshot {
    fn from(listing: &Listing) -> Self {
        let names = listing.children.iter().map(|(name, child)| (name.clone(), child.clone())).collect();
        Self { names, fetched: listing.fetched }
    }
}

impl Core {
    pub(crate) fn open_directory(&self, inode: Inode) -> Result<Opened> {
        self.node(inode)?.expect_directory()?;
        let handle = self.next_handle();
        self.handle(FileHandle(handle));
        Ok(Opened { handle: FileHandle(handle), keep_cache: false, direct_io: false })
    }

    pub(crate) fn release_directory(&self, handle: FileHandle) {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }

    /// The open directory of a handle; one that a predecessor gave out begins anew.
    fn handle(&self, handle: FileHandle) -> Arc<DirectoryHandle> {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(directories.entry(handle.0).or_default())
    }

    pub(crate) async fn read_directory(
        self: &Arc<Self>,
        inode: Inode,
        handle: FileHandle,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let node = self.node(inode)?;
        node.expect_directory()?;
        let snapshot = self.snapshot(&node, &self.handle(handle), offset).await?;
        let mut entries: Vec<DirectoryEntry> = self.dots(inode).into_iter().skip(offset as usize).collect();
        let first = offset.saturating_sub(DOTS) as usize;
        let names = snapshot.names.iter().enumerate().skip(first).take(limit.saturating_sub(entries.len()));
        let described: Vec<_> = names
            .map(|(index, (name, child))| {
                self.describe(&node, name, child, snapshot.fetched, index as u64 + DOTS + 1, plus)
            })
            .collect();
        let described = stream::iter(described).buffered(self.settings.metadata_requests.max(1));
        let described: Vec<Option<DirectoryEntry>> = described.try_collect().await?;
        let last = first + described.len();
        entries.extend(described.into_iter().flatten());
        if entries.is_empty() && last < snapshot.names.len() {
            // All of these have gone meanwhile, which must not look like the end.
            return Box::pin(self.read_directory(inode, handle, last as u64 + DOTS, limit, plus)).await;
        }
        Ok(entries)
    }

    async fn snapshot(
        self: &Arc<Self>,
        node: &Arc<Node>,
        handle: &DirectoryHandle,
        offset: u64,
    ) -> Result<Arc<Snapshot>> {
        let known = handle.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Reading from the start again shows what has come since, see rewinddir(3).
        if let Some(snapshot) = known.filter(|_| offset > 0) {
            return Ok(snapshot);
        }
        let listing = match self.table.path(node.inode) {
            Some(path) => self.list_along(node, &path).await?,
            None => Arc::default(),
        };
        let snapshot = Arc::new(Snapshot::from(&*listing));
        *handle.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    fn dots(&self, inode: Inode) -> [DirectoryEntry; 2] {
        let parent = self.table.place(inode).map_or(Inode::ROOT, |(parent, _)| parent);
        let dot = |name: &[u8], inode, next_offset| DirectoryEntry {
            name: name.to_vec(),
            inode,
            kind: FileKind::Directory,
            next_offset,
            entry: None,
        };
        [dot(b".", inode, 1), dot(b"..", parent, 2)]
    }

    /// What to say of a name in a snapshot; none if it has gone by our own doing.
    async fn describe(
        &self,
        parent: &Node,
        name: &[u8],
        child: &Child,
        fetched: Duration,
        next_offset: u64,
        plus: bool,
    ) -> Result<Option<DirectoryEntry>> {
        let now = parent.state().directory.listing.clone();
        if now.is_some_and(|listing| !listing.children.contains_key(name)) {
            return Ok(None);
        }
        let entry =
            |inode, kind, entry| DirectoryEntry { name: name.to_vec(), inode, kind, next_offset, entry };
        if !plus && let Some(kind) = self.kind(parent, name, child) {
            return Ok(Some(entry(self.table.number(parent.inode, name), kind, None)));
        }
        let Some(node) = self.snapshot_child(parent, name, child, fetched).await? else { return Ok(None) };
        let described = if plus { Some(self.entry(&node)) } else { None };
        let described = entry(node.inode, node.kind, described);
        self.table.prune(node.inode);
        Ok(Some(described))
    }

    /// The type of a name, if it can be known without asking.
    fn kind(&self, parent: &Node, name: &[u8], child: &Child) -> Option<FileKind> {
        if let Some(node) = self.table.child(parent.inode, name) {
            return Some(node.kind);
        }
        match child {
            Child::Directory => Some(FileKind::Directory),
            Child::Local(kind) => Some(*kind),
            Child::Object(object) => match object.known.get() {
                Some(known) => Some(known.stored.kind),
                None => (object.version.size > MAX_SPECIAL_SIZE).then_some(FileKind::File),
            },
        }
    }

    async fn snapshot_child(
        &self,
        parent: &Node,
        name: &[u8],
        child: &Child,
        fetched: Duration,
    ) -> Result<Option<Arc<Node>>> {
        if let Some(node) = self.table.child(parent.inode, name)
            && node.current(self.clock.monotonic(), self.settings.metadata_age)
        {
            return Ok(Some(node));
        }
        self.listed_child(parent.inode, name, child, fetched).await
    }
}
