//! The names in a directory: read in pages, kept for a bounded time, own changes applied.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use sandkeep_objects::{ListPage, ListRequest, ListedObject, ObjectInfo};
use sandkeep_vfs::{FileKind, Inode};

use crate::core::Core;
use crate::errno::Result;
use crate::metadata::{Defaults, Stored};
use crate::names::{Listed, classify};
use crate::node::{DirectoryState, Node, Version};
use crate::remote::list_failed;

/// Names kept in memory for all directories of a mount together; a name takes about 200 bytes.
const MAX_CACHED_NAMES: usize = 200_000;

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
    pub(crate) known: OnceLock<Known>,
}

/// Metadata of a listed object.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) stored: Stored,
    /// No later change can hide behind the same tag and time.
    settled: bool,
}

impl ObjectChild {
    fn listed(object: ListedObject, defaults: &Defaults) -> Self {
        let version =
            Version { etag: object.etag, size: object.size, last_modified: Some(object.last_modified) };
        let known = OnceLock::new();
        if let Some(metadata) = object.metadata {
            let stored = Stored::decode(metadata, object.last_modified, false, defaults);
            // Will be listed again next time.
            let _ = known.set(Known { stored, settled: false });
        }
        Self { version, known }
    }
}

impl DirectoryState {
    /// Applies a change of ours to what is cached.
    pub(crate) fn note_local(&mut self, name: &[u8], child: Child) {
        self.removed.remove(name);
        if let Some(listing) = &mut self.listing {
            Arc::make_mut(listing).children.insert(name.to_vec(), child);
        }
    }

    /// Applies a removal of ours to what is cached, and to a listing on its way.
    pub(crate) fn note_removed(&mut self, name: &[u8]) {
        if self.fetching > 0 {
            self.removed.insert(name.to_vec());
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
        let listing = Arc::new(listing);
        state.directory.listing = Some(Arc::clone(&listing));
        drop(state);
        self.listings.note(node, listing.children.len());
        listing
    }

    /// Notes that this mount changed the names of a directory.
    pub(crate) fn note_child(&self, parent: Inode, name: &[u8], child: Option<Child>) {
        let Some(parent) = self.table.get(parent) else { return };
        let now = self.now();
        let mut state = parent.state();
        state.directory.touched = Some(now);
        state.changed_by_us(self.clock.monotonic());
        match child {
            Some(child) => state.directory.note_local(name, child),
            None => state.directory.note_removed(name),
        }
    }

    /// Notes metadata that was asked for one by one.
    pub(crate) fn note_known(&self, child: &ObjectChild, info: &ObjectInfo, stored: &Stored) {
        let listed = &child.version;
        if listed.etag != info.etag || listed.last_modified != Some(info.last_modified) {
            return;
        }
        let age = self.clock.now().duration_since(info.last_modified).unwrap_or_default();
        // The first answer stays.
        let _ = child.known.set(Known { stored: stored.clone(), settled: age > SETTLED });
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
            // A directory hides the object of its name.
            let entry = self.children.entry(name.to_vec());
            entry.or_insert_with(|| Child::Object(Self::carried(former, name, object, defaults)));
        }
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
                oldest.state().directory.listing = None;
            }
        }
    }
}
