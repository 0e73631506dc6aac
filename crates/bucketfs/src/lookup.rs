//! From names to nodes: what is known, what a listing says, what the bucket says.
//!
//! A directory hides an object of the same name; the object stays where it is.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandkeep_objects::{ListedObject, ObjectInfo};
use sandkeep_vfs::{Errno, Inode};

use crate::core::Core;
use crate::errno::Result;
use crate::listing::{Child, ObjectChild, Unlike};
use crate::metadata::Stored;
use crate::names::join;
use crate::node::{Node, Vacancy, Version};

/// Absent names that are remembered in a directory, for as many threads that make files in it.
const MAX_VACANT: usize = 256;

/// What to expect at a name.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Absent,
    Anything,
}

/// What the bucket has at a path.
enum Found {
    Nothing,
    /// With its marker's metadata, if there is a marker.
    Directory(Option<ObjectInfo>),
    Object(ObjectInfo),
}

impl Core {
    /// The node at a name; none if there is nothing.
    pub(crate) async fn child(&self, parent: &Node, name: &[u8]) -> Result<Option<Arc<Node>>> {
        if let Some(node) = self.table.child(parent.inode, name)
            && self.revalidate(&node).await?
        {
            return Ok(Some(node));
        }
        if let Some((fetched, info)) = self.fetched_ahead(parent, name).await {
            let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
            return self.place_object(parent.inode, name, stored, version(&info), fetched.asked).map(Some);
        }
        let listing = self.fresh_listing(parent);
        match listing.as_ref().and_then(|listing| listing.children.get(name).zip(Some(listing.fetched))) {
            Some((child, fetched)) => self.listed_child(parent.inode, name, child, fetched).await,
            // A name that no listing has may have come since, through another mount of this very host: what others
            // closed is there for whoever asks.
            None => self.find(parent.inode, name, self.guess(parent, name)).await,
        }
    }

    fn guess(&self, parent: &Node, name: &[u8]) -> Guess {
        let listed =
            parent.state().directory.listing.as_ref().map(|listing| listing.children.contains_key(name));
        if listed == Some(false) { Guess::Absent } else { Guess::Anything }
    }

    /// The node at a name that is to be made or replaced. The kernel looks such a name up the moment before, and is
    /// not made to wait twice.
    pub(crate) async fn occupant(&self, parent: &Node, name: &[u8]) -> Result<Option<Arc<Node>>> {
        let vacancy = self.vacancy(parent, name);
        match self.table.child(parent.inode, name) {
            None if vacancy.is_some() => Ok(None),
            _ => self.child(parent, name).await,
        }
    }

    /// Whether the kernel was told not long ago that a name is absent; said once.
    pub(crate) fn vacancy(&self, parent: &Node, name: &[u8]) -> Option<Vacancy> {
        let vacancy = parent.state().directory.vacant.remove(name)?;
        let age = self.clock.monotonic().saturating_sub(vacancy.asked);
        (age < self.settings.metadata_age).then_some(vacancy)
    }

    /// The node at a name that is to be removed or moved. The kernel has looked it up, not longer ago than it was told.
    pub(crate) async fn victim(&self, parent: &Node, name: &[u8]) -> Result<Option<Arc<Node>>> {
        match self.table.child(parent.inode, name) {
            Some(node) if node.state().checked.is_some() => Ok(Some(node)),
            _ => self.child(parent, name).await,
        }
    }

    /// Looks a name up for the kernel.
    pub(crate) async fn look_up(
        self: &Arc<Self>,
        thread: u32,
        parent: &Arc<Node>,
        name: &[u8],
    ) -> Result<Option<Arc<Node>>> {
        let now = self.clock.monotonic();
        let busy = self.habits.looks(thread, parent.inode, name, now);
        if busy {
            self.keep_listed(parent);
        }
        if let Some(node) = self.listed_node(parent, name) {
            self.renew(&node);
            self.habits.found(thread, parent.inode, name);
            return Ok(Some(node));
        }
        let presumed = if busy { self.presumed_vacant(parent, name) } else { None };
        let found = match presumed {
            Some(_) => None,
            None => self.child(parent, name).await?,
        };
        if let Some(node) = &found {
            self.renew(node);
            self.habits.found(thread, parent.inode, name);
        }
        let vacant = &mut parent.state().directory.vacant;
        if vacant.len() >= MAX_VACANT {
            vacant.clear();
        }
        match found {
            Some(_) => vacant.remove(name),
            None => vacant.insert(name.to_vec(), presumed.unwrap_or(Vacancy { asked: now, proven: true })),
        };
        Ok(found)
    }

    /// A known node that a young listing has too, the same version of it. What else there is to know is asked for when
    /// somebody wants to know it: its attributes are handed out with their age.
    fn listed_node(&self, parent: &Node, name: &[u8]) -> Option<Arc<Node>> {
        let listing = self.fresh_listing(parent)?;
        let node = self.table.child(parent.inode, name)?;
        let same = match listing.children.get(name)? {
            Child::Directory => node.is_directory(),
            Child::Local(kind) => node.kind == *kind,
            Child::Object(object) => {
                let state = node.state();
                state.file.version.as_ref().is_some_and(|version| version.etag == object.version.etag)
            }
        };
        same.then_some(node)
    }

    /// Absence of a name that a young listing does not have, for those who are busy making names. Only where the store
    /// knows conditions, which find out whether it holds.
    fn presumed_vacant(&self, parent: &Node, name: &[u8]) -> Option<Vacancy> {
        let listing = self.fresh_listing(parent)?;
        let known = listing.children.contains_key(name) || self.table.child(parent.inode, name).is_some();
        let conditional = !self.unconditional.load(Ordering::Relaxed);
        (!known && conditional).then_some(Vacancy { asked: listing.fetched, proven: false })
    }

    /// Asks for a directory again in the background before what is known of it is too old.
    pub(crate) fn renew(self: &Arc<Self>, node: &Arc<Node>) {
        let age = self.settings.metadata_age;
        let now = self.clock.monotonic();
        if !node.is_directory()
            || node.inode == Inode::ROOT
            || !node.current(now, age)
            || node.current(now, age / 2)
        {
            return;
        }
        if std::mem::replace(&mut node.state().directory.renewing, true) {
            return;
        }
        let (core, node) = (Arc::clone(self), Arc::clone(node));
        self.runtime.spawn(async move {
            if let Some(path) = core.table.path(node.inode) {
                // Whoever needs it asks again, and learns why it failed.
                if let Ok(false) = core.revalidate_directory(&node, &path).await {
                    core.distrust(&node);
                }
            }
            node.state().directory.renewing = false;
        });
    }

    /// The node of a listed name.
    pub(crate) async fn listed_child(
        &self,
        parent: Inode,
        name: &[u8],
        child: &Child,
        fetched: Duration,
    ) -> Result<Option<Arc<Node>>> {
        match child {
            Child::Object(object) => self.listed_object(parent, name, object, fetched).await,
            Child::Directory => {
                let path = self.child_path(parent, name)?;
                let asked = self.clock.monotonic();
                let marker = match self.names.marker(&path)? {
                    Some(key) => self.head(&key).await?,
                    None => None,
                };
                self.place_directory(parent, name, marker, asked).map(Some)
            }
            Child::Local(_) => self.find(parent, name, Guess::Anything).await,
        }
    }

    async fn listed_object(
        &self,
        parent: Inode,
        name: &[u8],
        object: &ObjectChild,
        fetched: Duration,
    ) -> Result<Option<Arc<Node>>> {
        let directory = self.table.path(parent).ok_or(Errno::ENOENT)?;
        match self.learn(&directory, name, object).await {
            Ok(known) => {
                let asked = known.asked.max(fetched);
                self.place_object(parent, name, known.stored, object.version.clone(), asked).map(Some)
            }
            Err(Unlike::Other(info, asked)) => {
                let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
                self.place_object(parent, name, stored, version(&info), asked).map(Some)
            }
            Err(Unlike::Absent) => Ok(None),
            Err(Unlike::Failed(errno)) => Err(errno),
        }
    }

    /// Asks the bucket what is at a name.
    async fn find(&self, parent: Inode, name: &[u8], guess: Guess) -> Result<Option<Arc<Node>>> {
        let path = self.child_path(parent, name)?;
        let asked = self.clock.monotonic();
        let found = match guess {
            Guess::Absent => self.ask_whether_absent(&path).await?,
            Guess::Anything => self.ask(&path).await?,
        };
        match found {
            // The directory was moved while the bucket was asked.
            Found::Nothing if self.child_path(parent, name)? != path => {
                Box::pin(self.find(parent, name, guess)).await
            }
            Found::Nothing => Ok(None),
            Found::Directory(marker) => self.place_directory(parent, name, marker, asked).map(Some),
            Found::Object(info) => {
                let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
                self.place_object(parent, name, stored, version(&info), asked).map(Some)
            }
        }
    }

    /// One question where there probably is nothing: no key starts with the name. More where some does.
    async fn ask_whether_absent(&self, path: &[u8]) -> Result<Found> {
        let key = self.names.object(path)?;
        let below = self.names.below(path);
        match self.first_below(key.as_bytes(), 1).await?.into_iter().next() {
            None => Ok(Found::Nothing),
            Some(first) if first.key.as_bytes().starts_with(&below) => {
                Ok(Found::Directory(self.marker_of(&below, first).await?))
            }
            Some(_) => self.ask(path).await,
        }
    }

    async fn ask(&self, path: &[u8]) -> Result<Found> {
        let key = self.names.object(path)?;
        let below = self.names.below(path);
        let (object, listed) = futures::try_join!(self.head(&key), self.first_below(&below, 1))?;
        match listed.into_iter().next() {
            Some(first) => Ok(Found::Directory(self.marker_of(&below, first).await?)),
            None => Ok(object.map_or(Found::Nothing, Found::Object)),
        }
    }

    /// The marker's metadata if the first key below a directory is its marker.
    async fn marker_of(&self, below: &[u8], first: ListedObject) -> Result<Option<ObjectInfo>> {
        if first.key.as_bytes() != below {
            return Ok(None);
        }
        match first.metadata {
            Some(metadata) => Ok(Some(ObjectInfo {
                size: first.size,
                etag: first.etag,
                last_modified: first.last_modified,
                metadata,
                checksum: None,
            })),
            None => self.head(&first.key).await,
        }
    }

    fn child_path(&self, parent: Inode, name: &[u8]) -> Result<Vec<u8>> {
        let path = self.table.path(parent).ok_or(Errno::ENOENT)?;
        Ok(join(&path, name))
    }

    /// Makes or updates the node of an object, from an answer to a question `asked` then.
    pub(crate) fn place_object(
        &self,
        parent: Inode,
        name: &[u8],
        stored: Stored,
        version: Version,
        asked: Duration,
    ) -> Result<Arc<Node>> {
        if let Some(node) = self.table.child(parent, name) {
            if node.adopt_object(&stored, &version, asked) {
                return Ok(node);
            }
            self.table.detach(node.inode);
        }
        let make = |inode, generation| Node::object(inode, generation, stored, Some(version), asked);
        self.table.get_or_insert(parent, name, make).ok_or(Errno::ENOENT)
    }

    /// Makes or updates the node of a directory, likewise.
    fn place_directory(
        &self,
        parent: Inode,
        name: &[u8],
        marker: Option<ObjectInfo>,
        asked: Duration,
    ) -> Result<Arc<Node>> {
        let (stored, marker) = self.directory_stored(marker);
        if let Some(node) = self.table.child(parent, name) {
            if node.is_directory() {
                node.adopt_directory(stored, marker, asked);
                return Ok(node);
            }
            self.table.detach(node.inode);
        }
        let make = |inode, generation| Node::directory(inode, generation, stored, marker, asked);
        self.table.get_or_insert(parent, name, make).ok_or(Errno::ENOENT)
    }

    /// Attributes of a directory, and whether it has a marker.
    pub(crate) fn directory_stored(&self, marker: Option<ObjectInfo>) -> (Stored, bool) {
        match marker {
            Some(info) => (Stored::decode(info.metadata, info.last_modified, true, &self.defaults), true),
            None => (Stored::implied_directory(&self.defaults, self.opened), false),
        }
    }

    /// Brings a node up to date if it is too old; false if the bucket does not have it, or has another file there.
    pub(crate) async fn revalidate(&self, node: &Arc<Node>) -> Result<bool> {
        if node.inode == Inode::ROOT || node.current(self.clock.monotonic(), self.settings.metadata_age) {
            return Ok(true);
        }
        // What has no name any more belongs to those who have it open.
        let Some(path) = self.table.path(node.inode) else { return Ok(true) };
        let alive = match node.is_directory() {
            true => self.revalidate_directory(node, &path).await?,
            false => self.revalidate_object(node, &path).await?,
        };
        if !alive {
            self.table.detach(node.inode);
        }
        Ok(alive)
    }

    async fn revalidate_object(&self, node: &Node, path: &[u8]) -> Result<bool> {
        if let Some(alive) = self.revalidate_from_listing(node) {
            return Ok(alive);
        }
        if let Some((parent, name)) = self.table.place(node.inode)
            && let Some(parent) = self.table.get(parent)
            && let Some((fetched, info)) = self.fetched_ahead(&parent, &name).await
        {
            let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
            return Ok(node.adopt_object(&stored, &version(&info), fetched.asked));
        }
        self.ask_object(node, path).await
    }

    /// Brings an object's node up to date, whatever was heard of it before.
    pub(crate) async fn ask_object(&self, node: &Node, path: &[u8]) -> Result<bool> {
        let asked = self.clock.monotonic();
        let Some(info) = self.head(&self.names.object(path)?).await? else {
            let state = node.state();
            return Ok(state.file.writers > 0 || state.changed_here > asked);
        };
        let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
        Ok(node.adopt_object(&stored, &version(&info), asked))
    }

    /// What a young listing of the directory says; none if it does not say enough.
    fn revalidate_from_listing(&self, node: &Node) -> Option<bool> {
        let (parent, name) = self.table.place(node.inode)?;
        let listing = self.fresh_listing(&*self.table.get(parent)?)?;
        match listing.children.get(&name) {
            Some(Child::Directory) => Some(node.is_directory()),
            None | Some(Child::Local(_)) => None,
            Some(Child::Object(object)) => {
                let known = object.known.get()?;
                let asked = known.asked.max(listing.fetched);
                Some(node.adopt_object(&known.stored, &object.version, asked))
            }
        }
    }

    async fn revalidate_directory(&self, node: &Node, path: &[u8]) -> Result<bool> {
        let asked = self.clock.monotonic();
        let has_marker = node.state().directory.marker;
        if !has_marker && let Some(seen) = self.seen_without_marker(path) {
            let (stored, marker) = self.directory_stored(None);
            node.adopt_directory(stored, marker, seen);
            return Ok(true);
        }
        let marker = match self.names.marker(path)? {
            Some(key) if has_marker => self.head(&key).await?,
            _ => None,
        };
        let marker = match marker {
            Some(marker) => Some(marker),
            None => {
                let below = self.names.below(path);
                match self.first_below(&below, 1).await?.into_iter().next() {
                    Some(first) => self.marker_of(&below, first).await?,
                    None => return Ok(self.holds_unpublished(node) || node.state().changed_here > asked),
                }
            }
        };
        let (stored, marker) = self.directory_stored(marker);
        node.adopt_directory(stored, marker, asked);
        Ok(true)
    }

    /// Whether files wait in a directory for their first upload.
    pub(crate) fn holds_unpublished(&self, node: &Node) -> bool {
        let children = self.table.children(node.inode);
        children.iter().any(|(_, child)| match child.is_directory() {
            true => self.holds_unpublished(child),
            false => child.unpublished(),
        })
    }
}

/// The version that an answer describes.
pub(crate) fn version(info: &ObjectInfo) -> Version {
    Version { etag: info.etag.clone(), size: info.size, last_modified: Some(info.last_modified) }
}

impl Node {
    /// Takes an answer of the bucket in. False if it is about another file: of another type, or another version while
    /// this one is open, which must not change under its readers.
    pub(crate) fn adopt_object(&self, stored: &Stored, version: &Version, asked: Duration) -> bool {
        if stored.kind != self.kind {
            return false;
        }
        let mut state = self.state();
        if state.file.dirty() || state.changed_here > asked || state.checked > Some(asked) {
            return true;
        }
        let replaced = state.file.version.as_ref().is_some_and(|old| old.etag != version.etag);
        // What a writer publishes replaces whatever is there then.
        if replaced && state.opens > 0 {
            return state.file.writers > 0;
        }
        state.stored = stored.clone();
        state.file.set_version(version.clone());
        state.checked = state.checked.max(Some(asked));
        true
    }

    fn adopt_directory(&self, stored: Stored, marker: bool, asked: Duration) {
        let mut state = self.state();
        if state.changed_here > asked {
            return;
        }
        // A directory without a marker keeps what it was given here.
        if marker || state.directory.marker {
            state.stored = stored;
        }
        state.directory.marker = marker;
        state.checked = state.checked.max(Some(asked));
    }
}
