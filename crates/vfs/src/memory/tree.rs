//! Nodes by number, and the names between them. Checks what the kernel cannot know; permissions are the kernel's.

use std::collections::HashMap;

use super::node::{Body, Directory, Node};
use crate::{Caller, DirectoryEntry, Entry, Errno, FileKind, Inode, RenameFlags};

const SET_GROUP_ID: u32 = libc::S_ISGID;

type Result<T> = std::result::Result<T, Errno>;

#[derive(Debug)]
pub(super) struct Tree {
    nodes: HashMap<Inode, Node>,
    next: u64,
}

impl Tree {
    pub(super) fn new(owner: Caller) -> Self {
        let root = Node::new(Body::Directory(Directory::new(Inode::ROOT)), 0o755, owner);
        Self { nodes: HashMap::from([(Inode::ROOT, root)]), next: Inode::ROOT.0 + 1 }
    }

    pub(super) fn node(&self, inode: Inode) -> Result<&Node> {
        self.nodes.get(&inode).ok_or(Errno::ESTALE)
    }

    pub(super) fn node_mut(&mut self, inode: Inode) -> Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(Errno::ESTALE)
    }

    fn child(&self, parent: Inode, name: &[u8]) -> Result<Option<Inode>> {
        Ok(self.node(parent)?.directory()?.get(name))
    }

    fn existing(&self, parent: Inode, name: &[u8]) -> Result<Inode> {
        self.child(parent, name)?.ok_or(Errno::ENOENT)
    }

    /// An entry for the kernel, which holds a reference from now on.
    pub(super) fn referenced(&mut self, inode: Inode) -> Result<Entry> {
        let node = self.node_mut(inode)?;
        node.lookups += 1;
        Ok(node.entry(inode))
    }

    pub(super) fn lookup(&mut self, parent: Inode, name: &[u8]) -> Result<Entry> {
        let inode = self.existing(parent, name)?;
        self.referenced(inode)
    }

    pub(super) fn forget(&mut self, inode: Inode, count: u64) {
        if let Ok(node) = self.node_mut(inode) {
            node.lookups = node.lookups.saturating_sub(count);
            self.collect(inode);
        }
    }

    /// Drops a node that nobody can reach any more.
    pub(super) fn collect(&mut self, inode: Inode) {
        let unreachable = self
            .nodes
            .get(&inode)
            .is_some_and(|node| node.links == 0 && node.lookups == 0 && node.opens == 0);
        if unreachable && inode != Inode::ROOT {
            self.nodes.remove(&inode);
        }
    }

    /// Creates a node under a new name.
    pub(super) fn create(
        &mut self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        body: Body,
    ) -> Result<Inode> {
        if self.child(parent, name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        if self.node(parent)?.links == 0 {
            return Err(Errno::ENOENT);
        }
        let inode = Inode(self.next);
        self.next += 1;
        let mut node = Node::new(body, permissions, caller);
        self.inherit_group(parent, &mut node)?;
        self.nodes.insert(inode, node);
        self.attach(parent, name, inode)?;
        Ok(inode)
    }

    /// A directory with set-group-id passes its group on, see inode(7).
    fn inherit_group(&self, parent: Inode, node: &mut Node) -> Result<()> {
        let parent = self.node(parent)?;
        if parent.permissions & SET_GROUP_ID != 0 {
            node.gid = parent.gid;
            if node.body.kind() == FileKind::Directory {
                node.permissions |= SET_GROUP_ID;
            }
        }
        Ok(())
    }

    /// Gives a node a name; a directory learns its parent, and the parent counts it.
    fn attach(&mut self, parent: Inode, name: &[u8], inode: Inode) -> Result<()> {
        let is_directory = match &mut self.node_mut(inode)?.body {
            Body::Directory(directory) => {
                directory.parent = parent;
                true
            }
            _ => false,
        };
        let above = self.node_mut(parent)?;
        above.directory_mut()?.insert(name, inode);
        above.links += u32::from(is_directory);
        above.touch();
        Ok(())
    }

    fn detach(&mut self, parent: Inode, name: &[u8], inode: Inode) -> Result<()> {
        let is_directory = self.node(inode)?.body.kind() == FileKind::Directory;
        let above = self.node_mut(parent)?;
        above.directory_mut()?.remove(name);
        above.links -= u32::from(is_directory);
        above.touch();
        Ok(())
    }

    /// Takes a name away for good.
    fn drop_name(&mut self, parent: Inode, name: &[u8], inode: Inode) -> Result<()> {
        self.detach(parent, name, inode)?;
        let node = self.node_mut(inode)?;
        node.changed = super::node::now();
        node.links = if node.body.kind() == FileKind::Directory { 0 } else { node.links - 1 };
        self.collect(inode);
        Ok(())
    }

    pub(super) fn unlink(&mut self, parent: Inode, name: &[u8]) -> Result<()> {
        let inode = self.existing(parent, name)?;
        if self.node(inode)?.body.kind() == FileKind::Directory {
            return Err(Errno::EISDIR);
        }
        self.drop_name(parent, name, inode)
    }

    pub(super) fn remove_directory(&mut self, parent: Inode, name: &[u8]) -> Result<()> {
        let inode = self.existing(parent, name)?;
        if !self.node(inode)?.directory()?.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.drop_name(parent, name, inode)
    }

    pub(super) fn link(&mut self, inode: Inode, parent: Inode, name: &[u8]) -> Result<()> {
        if self.child(parent, name)?.is_some() {
            return Err(Errno::EEXIST);
        }
        let node = self.node_mut(inode)?;
        if node.body.kind() == FileKind::Directory {
            return Err(Errno::EPERM);
        }
        node.links += 1;
        node.changed = super::node::now();
        self.attach(parent, name, inode)
    }

    /// That a directory does not move below itself is checked by the kernel, under the lock that makes it true.
    pub(super) fn rename(
        &mut self,
        caller: Caller,
        from: (Inode, &[u8]),
        to: (Inode, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        let source = self.existing(from.0, from.1)?;
        let target = self.child(to.0, to.1)?;
        match target {
            Some(_) if flags.no_replace => return Err(Errno::EEXIST),
            Some(target) if flags.exchange => return self.exchange(from, source, to, target),
            None if flags.exchange => return Err(Errno::ENOENT),
            Some(target) if target == source => return Ok(()),
            Some(target) => self.replace(source, to, target)?,
            None => {}
        }
        self.detach(from.0, from.1, source)?;
        self.attach(to.0, to.1, source)?;
        self.node_mut(source)?.changed = super::node::now();
        if flags.whiteout {
            self.create(caller, from.0, from.1, 0, Body::Special(FileKind::CharacterDevice, 0))?;
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        from: (Inode, &[u8]),
        source: Inode,
        to: (Inode, &[u8]),
        target: Inode,
    ) -> Result<()> {
        self.detach(from.0, from.1, source)?;
        self.detach(to.0, to.1, target)?;
        self.attach(to.0, to.1, source)?;
        self.attach(from.0, from.1, target)
    }

    /// Makes room where something is already.
    fn replace(&mut self, source: Inode, to: (Inode, &[u8]), target: Inode) -> Result<()> {
        let directory = |inode| Ok::<_, Errno>(self.node(inode)?.body.kind() == FileKind::Directory);
        match (directory(source)?, directory(target)?) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) => self.remove_directory(to.0, to.1),
            (false, false) => self.unlink(to.0, to.1),
        }
    }

    /// Entries from `offset` on; with `plus` the kernel holds a reference to each.
    pub(super) fn list(
        &mut self,
        inode: Inode,
        offset: u64,
        limit: usize,
        plus: bool,
    ) -> Result<Vec<DirectoryEntry>> {
        let directory = self.node(inode)?.directory()?;
        let dots = [(b".".to_vec(), inode, 1), (b"..".to_vec(), directory.parent, 2)];
        let names =
            directory.starting_at(offset).map(|(place, name, inode)| (name.to_vec(), inode, place + 1));
        let listed: Vec<_> =
            dots.into_iter().filter(|(_, _, next)| *next > offset).chain(names).take(limit).collect();
        listed.into_iter().map(|(name, inode, next)| self.listed(name, inode, next, plus)).collect()
    }

    fn listed(
        &mut self,
        name: Vec<u8>,
        inode: Inode,
        next_offset: u64,
        plus: bool,
    ) -> Result<DirectoryEntry> {
        let kind = self.node(inode)?.body.kind();
        let dot = name == b"." || name == b"..";
        let entry = if plus && !dot { Some(self.referenced(inode)?) } else { None };
        Ok(DirectoryEntry { name, inode, kind, next_offset, entry })
    }
}
