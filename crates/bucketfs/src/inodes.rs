//! Which inode stands for which name, and for how long.
//!
//! Numbers follow from the parent's number and the name, so that readdir and stat agree without a table of
//! everything that was ever listed. A node lives while the kernel knows it, has it open or has something unsaved in it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandkeep_vfs::Inode;

use crate::names::join;
use crate::node::Node;

/// All known nodes.
#[derive(Debug)]
pub(crate) struct InodeTable {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    slots: HashMap<Inode, Slot>,
    generation: u64,
}

#[derive(Debug)]
struct Slot {
    node: Arc<Node>,
    /// Directory and name; none for the root and for what was removed.
    place: Option<(Inode, Vec<u8>)>,
    lookups: u64,
    children: BTreeMap<Vec<u8>, Inode>,
}

impl Slot {
    fn new(node: Arc<Node>, place: Option<(Inode, Vec<u8>)>) -> Self {
        Self { node, place, lookups: 0, children: BTreeMap::new() }
    }
}

impl InodeTable {
    /// Only the root, whose inode is [`Inode::ROOT`].
    pub(crate) fn new(root: Node) -> Self {
        let slots = HashMap::from([(Inode::ROOT, Slot::new(Arc::new(root), None))]);
        Self { inner: Mutex::new(Inner { slots, generation: 0 }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node of a number.
    pub(crate) fn get(&self, inode: Inode) -> Option<Arc<Node>> {
        self.inner().slots.get(&inode).map(|slot| Arc::clone(&slot.node))
    }

    /// The known node at a name.
    pub(crate) fn child(&self, parent: Inode, name: &[u8]) -> Option<Arc<Node>> {
        let inner = self.inner();
        let inode = inner.slots.get(&parent)?.children.get(name)?;
        inner.slots.get(inode).map(|slot| Arc::clone(&slot.node))
    }

    /// The known nodes in a directory.
    pub(crate) fn children(&self, parent: Inode) -> Vec<(Vec<u8>, Arc<Node>)> {
        let inner = self.inner();
        let Some(slot) = inner.slots.get(&parent) else { return Vec::new() };
        let node = |inode: &Inode| inner.slots.get(inode).map(|slot| Arc::clone(&slot.node));
        slot.children.iter().filter_map(|(name, inode)| Some((name.clone(), node(inode)?))).collect()
    }

    /// All nodes.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        self.inner().slots.values().map(|slot| Arc::clone(&slot.node)).collect()
    }

    /// The path of a node; none if it, or a directory above it, was removed.
    pub(crate) fn path(&self, inode: Inode) -> Option<Vec<u8>> {
        self.inner().path(inode)
    }

    /// Directory and name of a node.
    pub(crate) fn place(&self, inode: Inode) -> Option<(Inode, Vec<u8>)> {
        self.inner().slots.get(&inode)?.place.clone()
    }

    /// The known node at a path.
    pub(crate) fn at(&self, path: &[u8]) -> Option<Arc<Node>> {
        let inner = self.inner();
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let step = |inode: Inode, name: &[u8]| inner.slots.get(&inode)?.children.get(name).copied();
        let inode = names.into_iter().try_fold(Inode::ROOT, step)?;
        inner.slots.get(&inode).map(|slot| Arc::clone(&slot.node))
    }

    /// The number that a name has or would get.
    pub(crate) fn number(&self, parent: Inode, name: &[u8]) -> Inode {
        let inner = self.inner();
        let known = inner.slots.get(&parent).and_then(|slot| slot.children.get(name)).copied();
        known.unwrap_or_else(|| inner.free_number(parent, name))
    }

    /// The node at a name, made if there is none; none if the directory is gone.
    pub(crate) fn get_or_insert(
        &self,
        parent: Inode,
        name: &[u8],
        make: impl FnOnce(Inode, u64) -> Node,
    ) -> Option<Arc<Node>> {
        let mut inner = self.inner();
        if let Some(inode) = inner.slots.get(&parent)?.children.get(name) {
            return inner.slots.get(inode).map(|slot| Arc::clone(&slot.node));
        }
        let inode = inner.free_number(parent, name);
        inner.generation += 1;
        let node = Arc::new(make(inode, inner.generation));
        inner.slots.insert(inode, Slot::new(Arc::clone(&node), Some((parent, name.to_vec()))));
        inner.slots.get_mut(&parent)?.children.insert(name.to_vec(), inode);
        Some(node)
    }

    /// Counts a reference that the kernel was given.
    pub(crate) fn remember(&self, inode: Inode) {
        if let Some(slot) = self.inner().slots.get_mut(&inode) {
            slot.lookups += 1;
        }
    }

    /// The kernel drops references.
    pub(crate) fn forget(&self, inode: Inode, count: u64) {
        let mut inner = self.inner();
        if let Some(slot) = inner.slots.get_mut(&inode) {
            slot.lookups = slot.lookups.saturating_sub(count);
        }
        inner.prune(inode);
    }

    /// Drops a node that nobody needs any more.
    pub(crate) fn prune(&self, inode: Inode) {
        self.inner().prune(inode);
    }

    /// Takes a node's name away; the node lives on for those who have it open.
    pub(crate) fn detach(&self, inode: Inode) {
        let mut inner = self.inner();
        inner.detach(inode);
        inner.prune(inode);
    }

    /// Gives a node another name; what had that name loses it.
    pub(crate) fn relocate(&self, inode: Inode, parent: Inode, name: &[u8]) {
        let mut inner = self.inner();
        let occupant = inner.slots.get(&parent).and_then(|slot| slot.children.get(name)).copied();
        if occupant == Some(inode) {
            return;
        }
        if let Some(occupant) = occupant {
            inner.detach(occupant);
            inner.prune(occupant);
        }
        let former = inner.detach(inode);
        if let Some(directory) = inner.slots.get_mut(&parent) {
            directory.children.insert(name.to_vec(), inode);
        }
        if let Some(slot) = inner.slots.get_mut(&inode) {
            slot.place = Some((parent, name.to_vec()));
        }
        if let Some((former, _)) = former {
            inner.prune(former);
        }
    }
}

impl Inner {
    fn path(&self, inode: Inode) -> Option<Vec<u8>> {
        if inode == Inode::ROOT {
            return Some(Vec::new());
        }
        let (parent, name) = self.slots.get(&inode)?.place.as_ref()?;
        Some(join(&self.path(*parent)?, name))
    }

    fn detach(&mut self, inode: Inode) -> Option<(Inode, Vec<u8>)> {
        let place = self.slots.get_mut(&inode)?.place.take()?;
        if let Some(directory) = self.slots.get_mut(&place.0) {
            directory.children.remove(&place.1);
        }
        Some(place)
    }

    fn prune(&mut self, mut inode: Inode) {
        while let Some(slot) = self.slots.get(&inode) {
            let needed = slot.lookups > 0 || !slot.children.is_empty() || !slot.node.idle();
            if needed || inode == Inode::ROOT {
                return;
            }
            let place = self.detach(inode);
            self.slots.remove(&inode);
            match place {
                Some((parent, _)) => inode = parent,
                None => return,
            }
        }
    }

    fn free_number(&self, parent: Inode, name: &[u8]) -> Inode {
        let numbers = (0u64..).map(|salt| number(parent, name, salt));
        numbers.into_iter().find(|inode| !self.slots.contains_key(inode)).expect("numbers do not run out")
    }
}

/// A number from 2 on that fits into a signed 64-bit `ino_t`.
fn number(parent: Inode, name: &[u8], salt: u64) -> Inode {
    let mut hasher = DefaultHasher::new();
    (parent.0, name, salt).hash(&mut hasher);
    Inode((hasher.finish() >> 1).max(2))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sandkeep_vfs::{FileKind, Timestamp};

    use super::*;
    use crate::metadata::Stored;

    fn stored(kind: FileKind) -> Stored {
        Stored::new(kind, 0o755, (0, 0), Timestamp::default())
    }

    fn directory(inode: Inode, generation: u64) -> Node {
        Node::directory(inode, generation, stored(FileKind::Directory), true, Duration::ZERO)
    }

    fn table() -> InodeTable {
        InodeTable::new(directory(Inode::ROOT, 0))
    }

    #[test]
    fn a_moved_directory_takes_its_children_along() {
        let table = table();
        let from = table.get_or_insert(Inode::ROOT, b"from", directory).unwrap();
        let child = table.get_or_insert(from.inode, b"child", directory).unwrap();
        table.relocate(from.inode, Inode::ROOT, b"to");
        assert_eq!(table.path(child.inode).unwrap(), b"to/child");
        assert!(table.child(Inode::ROOT, b"from").is_none());
        assert_eq!(table.at(b"to/child").unwrap().inode, child.inode);
    }

    #[test]
    fn forgotten_nodes_go_with_their_empty_parents_and_keep_their_numbers() {
        let table = table();
        let parent = table.get_or_insert(Inode::ROOT, b"parent", directory).unwrap();
        let child = table.get_or_insert(parent.inode, b"child", directory).unwrap();
        table.remember(child.inode);
        table.forget(parent.inode, 1);
        assert!(table.get(parent.inode).is_some());
        table.forget(child.inode, 1);
        assert!(table.get(parent.inode).is_none());
        assert_eq!(table.number(Inode::ROOT, b"parent"), parent.inode);
    }

    #[test]
    fn a_name_used_again_gets_another_number_while_the_old_node_lives() {
        let table = table();
        let old = table.get_or_insert(Inode::ROOT, b"name", directory).unwrap();
        table.remember(old.inode);
        table.detach(old.inode);
        assert_eq!(table.path(old.inode), None);
        let new = table.get_or_insert(Inode::ROOT, b"name", directory).unwrap();
        assert_ne!(new.inode, old.inode);
    }
}
