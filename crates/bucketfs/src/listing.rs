//! The names in a directory: read in pages, kept for a bounded time, own changes applied.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sandkeep_objects::{ListPage, ListRequest, ListedObject, ObjectInfo};
use sandkeep_vfs::{Errno, FileKind, Inode};
use tokio::sync::OnceCell;

use crate::core::Core;
use crate::errno::Result;
use crate::metadata::{Defaults, Stored};
use crate::names::{Listed, classify, join};
use crate::node::{DirectoryState, Node, Version};
use crate::remote::list_failed;

/// Names kept in memory for all directories of a mount together; a name takes about 200 bytes.
const MAX_CACHED_NAMES: usize = 200_000;

/// Larger directories are not listed again and again for those who change them.
const MAX_KEPT_YOUNG: usize = 5_000;

/// Servers tell whole seconds: what was read this soon after a write may have been followed by another write that
/// shows the same time.
const SETTLED: Duration = Duration::from_secs(5);

/// The names in a directory at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) children: BTreeMap<Vec<u8>, Child>,
    /// When reading began, on the monotonic clock.
    pub(crate) fetched: Duration,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Child {
    /// A directory, with or without a marker.
    Directory,
    /// An object.
    Object(Arc<ObjectChild>),
    /// Something this mount made or changed since: the listing does not describe it.
    Local(FileKind),
}

/// An object as a listing describes it.
#[derive(Debug)]
pub(crate) struct ObjectChild {
    pub(crate) version: Version,
    /// Its metadata, once known.
    pub(crate) known: OnceCell<Known>,
}

/// Metadata of a listed object.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) stored: Stored,
    /// When the bucket was asked for it; zero if the listing told.
    pub(crate) asked: Duration,
    /// No later change can hide behind the same tag and time.
    settled: bool,
}

/// What there is instead of a listed object.
#[derive(Debug)]
pub(crate) enum Unlike {
    /// Nothing.
    Absent,
    /// Another version, as of when it was asked for.
    Other(Box<ObjectInfo>, Duration),
    /// An error.
    Failed(Errno),
}

impl From<Errno> for Unlike {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

impl ObjectChild {
    fn listed(object: ListedObject, defaults: &Defaults) -> Self {
        let version =
            Version { etag: object.etag, size: object.size, last_modified: Some(object.last_modified) };
        let known = OnceCell::new();
        if let Some(metadata) = object.metadata {
            let stored = Stored::decode(metadata, object.last_modified, false, defaults);
            // Will be listed again next time.
            let _ = known.set(Known { stored, asked: Duration::ZERO, settled: false });
        }
        Self { version, known }
    }
}

impl DirectoryState {
    /// Applies a change of ours to what is cached.
    pub(crate) fn note_local(&mut self, name: &[u8], child: Child) {
        self.removed.remove(name);
        if self.fetching > 0 {
            self.made.insert(name.to_vec(), child.clone());
        }
        if let Some(listing) = &mut self.listing {
            Arc::make_mut(listing).children.insert(name.to_vec(), child);
        }
    }

    /// Applies a removal of ours to what is cached, and to a listing on its way.
    pub(crate) fn note_removed(&mut self, name: &[u8]) {
        if self.fetching > 0 {
            self.removed.insert(name.to_vec());
            self.made.remove(name);
        }
        if let Some(listing) = &mut self.listing {
            Arc::make_mut(listing).children.remove(name);
        }
    }
}

/// Counts a listing on its way, also if its future is dropped.
struct Fetching<'a>(&'a Node);

impl<'a> Fetching<'a> {
    fn begin(node: &'a Node) -> Self {
        node.state().directory.fetching += 1;
        Self(node)
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.directory.fetching -= 1;
        if state.directory.fetching == 0 {
            state.directory.removed.clear();
            state.directory.made.clear();
        }
    }
}

impl Core {
    /// The listing of a directory if it is known and young enough.
    pub(crate) fn fresh_listing(&self, node: &Node) -> Option<Arc<Listing>> {
        let listing = node.state().directory.listing.clone()?;
        let age = self.clock.monotonic().saturating_sub(listing.fetched);
        (age < self.settings.metadata_age).then_some(listing)
    }

    /// Reads the listing of a directory whose names are being changed anew before it gets too old, in the background.
    pub(crate) fn keep_listed(self: &Arc<Self>, node: &Arc<Node>) {
        let young = self.settings.metadata_age / 2;
        {
            let state = node.state();
            let listing = state.directory.listing.as_ref();
            let age = listing.map(|listing| self.clock.monotonic().saturating_sub(listing.fetched));
            let large = listing.is_some_and(|listing| listing.children.len() > MAX_KEPT_YOUNG);
            if state.directory.fetching > 0 || large || age.is_some_and(|age| age < young) {
                return;
            }
        }
        let (core, node) = (Arc::clone(self), Arc::clone(node));
        self.runtime.spawn(async move {
            if let Some(path) = core.table.path(node.inode) {
                // Whoever needs it asks again, and learns why it failed.
                let _ = core.list(&node, &path).await;
            }
        });
    }

    /// Reads the listing of a directory for somebody who goes through its names: alone, or with those that come next.
    pub(crate) async fn list_along(self: &Arc<Self>, node: &Arc<Node>, path: &[u8]) -> Result<Arc<Listing>> {
        self.step(path);
        let fetching = Fetching::begin(node);
        if let Some(mut listing) = self.walked(path).await {
            self.add_local(node, &mut listing);
            return Ok(self.keep(node, listing));
        }
        drop(fetching);
        self.list(node, path).await
    }

    /// What a walk has listed of a directory is not true any more.
    pub(crate) fn outdate_walk(&self, directory: Inode) {
        if let Some(path) = self.table.path(directory) {
            self.walks.changed(&path);
        }
    }

    /// Reads the listing of a directory.
    pub(crate) async fn list(&self, node: &Arc<Node>, path: &[u8]) -> Result<Arc<Listing>> {
        let fetching = Fetching::begin(node);
        let former = node.state().directory.listing.clone();
        let mut listing = Listing { fetched: self.clock.monotonic(), ..Listing::default() };
        self.fetch_pages(path, &mut listing, former.as_deref()).await?;
        self.add_local(node, &mut listing);
        let listing = self.keep(node, listing);
        drop(fetching);
        Ok(listing)
    }

    async fn fetch_pages(&self, path: &[u8], listing: &mut Listing, former: Option<&Listing>) -> Result<()> {
        let prefix = self.names.below(path);
        let mut continuation = None;
        loop {
            let _request = self.request().await?;
            let request = ListRequest {
                prefix: prefix.clone(),
                delimiter: b"/".to_vec(),
                continuation,
                ..ListRequest::default()
            };
            let page = self.store.list(request).await.map_err(|error| list_failed(&prefix, &error))?;
            continuation = page.next.clone();
            listing.add(page, &prefix, former, &self.defaults);
            if continuation.is_none() {
                return Ok(());
            }
        }
    }

    /// Adds what is not yet in the bucket, or got there while the pages were read.
    fn add_local(&self, node: &Node, listing: &mut Listing) {
        for (name, child) in self.table.children(node.inode) {
            let newer = child.unpublished() || child.state().changed_here > listing.fetched;
            if newer && !child.is_directory() {
                listing.children.insert(name, Child::Local(child.kind));
            } else if newer {
                listing.children.insert(name, Child::Directory);
            }
        }
    }

    fn keep(&self, node: &Arc<Node>, mut listing: Listing) -> Arc<Listing> {
        let mut state = node.state();
        for name in &state.directory.removed {
            listing.children.remove(name);
        }
        for (name, child) in &state.directory.made {
            listing.children.insert(name.clone(), child.clone());
        }
        let listing = Arc::new(listing);
        state.directory.listing = Some(Arc::clone(&listing));
        drop(state);
        self.listings.note(node, listing.children.len());
        listing
    }

    /// Notes that this mount changed the names of a directory.
    pub(crate) fn note_child(&self, parent: Inode, name: &[u8], child: Option<Child>) {
        let Some(parent) = self.table.get(parent) else { return };
        self.outdate_walk(parent.inode);
        let now = self.now();
        let mut state = parent.state();
        state.directory.touched = Some(now);
        state.changed_by_us(self.clock.monotonic());
        match child {
            Some(child) => state.directory.note_local(name, child),
            None => state.directory.note_removed(name),
        }
    }

    /// Asks for the metadata of a listed object, once for all who want to know it.
    pub(crate) async fn learn(
        &self,
        directory: &[u8],
        name: &[u8],
        child: &ObjectChild,
    ) -> std::result::Result<Known, Unlike> {
        let ask = || async {
            let key = self.names.object(&join(directory, name))?;
            let asked = self.clock.monotonic();
            let info = self.head(&key).await?.ok_or(Unlike::Absent)?;
            let listed = &child.version;
            if listed.etag != info.etag || listed.last_modified != Some(info.last_modified) {
                return Err(Unlike::Other(Box::new(info), asked));
            }
            let age = self.clock.now().duration_since(info.last_modified).unwrap_or_default();
            let stored = Stored::decode(info.metadata, info.last_modified, false, &self.defaults);
            Ok(Known { stored, asked, settled: age > SETTLED })
        };
        child.known.get_or_try_init(ask).await.cloned()
    }
}

impl Listing {
    fn add(&mut self, page: ListPage, below: &[u8], former: Option<&Self>, defaults: &Defaults) {
        for prefix in &page.common_prefixes {
            if let Listed::Child(name) = classify(below, prefix) {
                self.children.insert(name.to_vec(), Child::Directory);
            }
        }
        for object in page.objects {
            let key = object.key.clone();
            let Listed::Child(name) = classify(below, key.as_bytes()) else { continue };
            self.add_object(name, object, former, defaults);
        }
    }

    /// Adds an object, unless a directory hides it.
    pub(crate) fn add_object(
        &mut self,
        name: &[u8],
        object: ListedObject,
        former: Option<&Self>,
        defaults: &Defaults,
    ) {
        let entry = self.children.entry(name.to_vec());
        entry.or_insert_with(|| Child::Object(Self::carried(former, name, object, defaults)));
    }

    /// Metadata known from before, if the object is the same.
    fn carried(
        former: Option<&Self>,
        name: &[u8],
        object: ListedObject,
        defaults: &Defaults,
    ) -> Arc<ObjectChild> {
        let child = ObjectChild::listed(object, defaults);
        if let Some(Child::Object(old)) = former.and_then(|listing| listing.children.get(name)) {
            let settled = old.known.get().is_some_and(|known| known.settled);
            if settled && old.version == child.version {
                return Arc::clone(old);
            }
        }
        Arc::new(child)
    }
}

/// Bounds what is kept of listings.
#[derive(Debug, Default)]
pub(crate) struct ListingBudget {
    /// Oldest first.
    kept: Mutex<VecDeque<(Weak<Node>, usize)>>,
}

impl ListingBudget {
    /// Notes a listing; drops the oldest ones if there are too many names.
    fn note(&self, node: &Arc<Node>, names: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| other.strong_count() > 0 && other.as_ptr() != Arc::as_ptr(node));
        kept.push_back((Arc::downgrade(node), names));
        let mut total: usize = kept.iter().map(|(_, names)| names).sum();
        while total > MAX_CACHED_NAMES && kept.len() > 1 {
            let Some((oldest, names)) = kept.pop_front() else { return };
            total -= names;
            if let Some(oldest) = oldest.upgrade() {
                let mut state = oldest.state();
                state.directory.listing = None;
                state.directory.following = None;
            }
        }
    }
}
