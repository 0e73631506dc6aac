//! Making and removing names.

use std::sync::Arc;

use bytes::Bytes;
use sandkeep_objects::WriteConditions;
use sandkeep_vfs::{Caller, Entry, Errno, FileKind, Inode};

use crate::core::Core;
use crate::errno::Result;
use crate::listing::{Child, Listing};
use crate::metadata::Stored;
use crate::names;
use crate::node::{Node, Version};

/// PATH_MAX without its NUL.
const MAX_TARGET: usize = 4095;

impl Core {
    /// Makes a directory: its marker.
    pub(crate) async fn make_directory(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
    ) -> Result<Entry> {
        let (directory, path) = self.vacant(parent, name).await?;
        let stored = self.new_stored(caller, &directory, name, FileKind::Directory, permissions);
        let key = self.names.marker(&names::join(&path, name))?.ok_or(Errno::EEXIST)?;
        let put = self.put_object(&key, &stored, Bytes::new(), WriteConditions::IfAbsent).await;
        put.map_err(occupied)?;
        let now = self.clock.monotonic();
        let make = |inode, generation| Node::directory(inode, generation, stored, true, now);
        let node = self.table.get_or_insert(parent, name, make).ok_or(Errno::ENOENT)?;
        {
            let mut state = node.state();
            state.directory.listing = Some(Arc::new(Listing { fetched: now, ..Listing::default() }));
            state.changed_by_us(now);
        }
        self.note_child(parent, name, Some(Child::Directory));
        self.habits.made(caller.pid, parent, name);
        Ok(self.entry(&node))
    }

    /// Makes a symbolic link: an object whose content is the target.
    pub(crate) async fn symlink(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        target: &[u8],
    ) -> Result<Entry> {
        match target.len() {
            0 => return Err(Errno::ENOENT),
            1..=MAX_TARGET => {}
            _ => return Err(Errno::ENAMETOOLONG),
        }
        let (directory, path) = self.vacant(parent, name).await?;
        let stored = self.new_stored(caller, &directory, name, FileKind::Symlink, 0o777);
        let content = Bytes::copy_from_slice(target);
        let node = self.make_object(parent, name, &path, stored, content).await?;
        node.state().file.target = Some(target.into());
        self.habits.made(caller.pid, parent, name);
        Ok(self.entry(&node))
    }

    /// Makes an empty file, a fifo or a socket.
    pub(crate) async fn make_node(
        &self,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        mode: u32,
    ) -> Result<Entry> {
        let kind = match FileKind::from_mode(mode) {
            None if mode & !0o7777 == 0 => FileKind::File,
            Some(kind @ (FileKind::File | FileKind::Fifo | FileKind::Socket)) => kind,
            // s3fs has no place for a device's number.
            _ => return Err(Errno::EPERM),
        };
        let (directory, path) = self.vacant(parent, name).await?;
        let stored = self.new_stored(caller, &directory, name, kind, mode);
        let node = self.make_object(parent, name, &path, stored, Bytes::new()).await?;
        self.habits.made(caller.pid, parent, name);
        Ok(self.entry(&node))
    }

    /// Removes a file's name. Whoever has the file open keeps its content.
    pub(crate) async fn unlink(self: &Arc<Self>, caller: Caller, parent: Inode, name: &[u8]) -> Result<()> {
        self.expect_writable()?;
        let (directory, path) = self.directory(parent)?;
        let node = self.victim(&directory, name).await?.ok_or(Errno::ENOENT)?;
        if node.is_directory() {
            return Err(Errno::EISDIR);
        }
        let _turn = node.turn().await;
        self.keep_if_open(&node).await?;
        self.keep_directory(&directory, &path, name).await?;
        let stored = node.state().file.version.is_some();
        if stored {
            self.delete(&self.names.object(&names::join(&path, name))?).await?;
        }
        self.remove_node(&node);
        self.note_child(parent, name, None);
        self.habits.removed(caller.pid, self.clock.monotonic());
        Ok(())
    }

    /// Removes an empty directory.
    pub(crate) async fn remove_directory(&self, parent: Inode, name: &[u8]) -> Result<()> {
        self.expect_writable()?;
        let (directory, path) = self.directory(parent)?;
        let node = self.victim(&directory, name).await?.ok_or(Errno::ENOENT)?;
        node.expect_directory()?;
        let removed = names::join(&path, name);
        self.expect_empty(&node, &removed).await?;
        self.keep_directory(&directory, &path, name).await?;
        if let Some(key) = self.names.marker(&removed)? {
            self.delete(&key).await?;
        }
        self.table.detach(node.inode);
        self.note_child(parent, name, None);
        Ok(())
    }

    /// ENOTEMPTY if the bucket has any key below a directory, also one that no path leads to.
    pub(crate) async fn expect_empty(&self, node: &Node, path: &[u8]) -> Result<()> {
        let below = self.names.below(path);
        let keys = self.first_below(&below, 2).await?;
        let empty = keys.iter().all(|object| object.key.as_bytes() == below);
        if empty && !self.holds_unpublished(node) { Ok(()) } else { Err(Errno::ENOTEMPTY) }
    }

    /// Keeps the content of a node whose object is about to go.
    pub(crate) async fn keep_if_open(self: &Arc<Self>, node: &Node) -> Result<()> {
        let open = node.state().opens > 0;
        if open { self.keep_content(node).await } else { Ok(()) }
    }

    /// Takes a node's name away; it will not be uploaded any more.
    pub(crate) fn remove_node(&self, node: &Node) {
        let now = self.now();
        let mut state = node.state();
        state.file.removed = true;
        state.stored.changed = now;
        let streaming = state.file.streaming.take();
        drop(state);
        drop(streaming);
        self.table.detach(node.inode);
    }

    /// Gives a directory without a marker one before `name`, the last of its keys, goes: it would vanish.
    pub(crate) async fn keep_directory(&self, directory: &Node, path: &[u8], name: &[u8]) -> Result<()> {
        let (marker, others) = {
            let state = directory.state();
            let listing = state.directory.listing.as_ref();
            (
                state.directory.marker,
                listing.map(|listing| listing.children.keys().any(|other| other != name)),
            )
        };
        if marker || others == Some(true) || directory.inode == Inode::ROOT {
            return Ok(());
        }
        let going = self.names.object(&names::join(path, name))?;
        let inside = self.names.below(&names::join(path, name));
        let keys = self.first_below(&self.names.below(path), 3).await?;
        let stays = |key: &[u8]| key != going.as_bytes() && !key.starts_with(&inside);
        if keys.iter().any(|object| stays(object.key.as_bytes())) {
            return Ok(());
        }
        self.write_marker(directory, path).await
    }

    async fn write_marker(&self, directory: &Node, path: &[u8]) -> Result<()> {
        let Some(key) = self.names.marker(path)? else { return Ok(()) };
        let stored = directory.state().shown();
        match self.put_object(&key, &stored, Bytes::new(), WriteConditions::IfAbsent).await {
            Ok(_) | Err(Errno::ESTALE) => {}
            Err(errno) => return Err(errno),
        }
        directory.state().directory.marker = true;
        Ok(())
    }

    /// The directory in which a new name is to be made.
    async fn vacant(&self, parent: Inode, name: &[u8]) -> Result<(Arc<Node>, Vec<u8>)> {
        self.expect_writable()?;
        names::check(name)?;
        let (directory, path) = self.directory(parent)?;
        match self.occupant(&directory, name).await? {
            Some(_) => Err(Errno::EEXIST),
            None => Ok((directory, path)),
        }
    }

    async fn make_object(
        &self,
        parent: Inode,
        name: &[u8],
        path: &[u8],
        stored: Stored,
        content: Bytes,
    ) -> Result<Arc<Node>> {
        let key = self.names.object(&names::join(path, name))?;
        let size = content.len() as u64;
        let put =
            self.put_object(&key, &stored, content, WriteConditions::IfAbsent).await.map_err(occupied)?;
        let version = Version { etag: put.etag, size, last_modified: put.last_modified };
        let kind = stored.kind;
        let now = self.clock.monotonic();
        let make = |inode, generation| Node::object(inode, generation, stored, Some(version), now);
        let node = self.table.get_or_insert(parent, name, make).ok_or(Errno::ENOENT)?;
        node.state().changed_by_us(now);
        self.note_child(parent, name, Some(Child::Local(kind)));
        Ok(node)
    }
}

/// Somebody else made the name first.
fn occupied(errno: Errno) -> Errno {
    if errno == Errno::ESTALE { Errno::EEXIST } else { errno }
}
