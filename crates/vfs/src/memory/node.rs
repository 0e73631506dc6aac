//! Files and directories, without their place in the tree.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::content::Content;
use crate::{Attributes, Caller, Entry, Errno, FileKind, Inode, SetAttributes, SetTime, Timestamp};

const BLOCK_SIZE: u32 = 4096;
/// How long the kernel may keep what it was told; nobody else changes anything, so it could be for ever.
pub(super) const VALID: Duration = Duration::from_secs(1);
/// Offsets 1 and 2 stand behind `.` and `..`.
const FIRST_PLACE: u64 = 3;

/// What a node holds.
#[derive(Debug)]
pub(super) enum Body {
    File(Content),
    Directory(Directory),
    Symlink(Vec<u8>),
    Special(FileKind, u32),
}

impl Body {
    pub(super) fn kind(&self) -> FileKind {
        match self {
            Self::File(_) => FileKind::File,
            Self::Directory(_) => FileKind::Directory,
            Self::Symlink(_) => FileKind::Symlink,
            Self::Special(kind, _) => *kind,
        }
    }
}

/// Names in the order of their creation, so that offsets stay right while names come and go.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: Inode,
    by_name: BTreeMap<Vec<u8>, (u64, Inode)>,
    by_place: BTreeMap<u64, Vec<u8>>,
    next_place: u64,
}

impl Directory {
    pub(super) fn new(parent: Inode) -> Self {
        Self { parent, by_name: BTreeMap::new(), by_place: BTreeMap::new(), next_place: FIRST_PLACE }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Inode> {
        self.by_name.get(name).map(|(_, inode)| *inode)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(super) fn insert(&mut self, name: &[u8], inode: Inode) {
        self.remove(name);
        self.by_name.insert(name.to_vec(), (self.next_place, inode));
        self.by_place.insert(self.next_place, name.to_vec());
        self.next_place += 1;
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        if let Some((place, _)) = self.by_name.remove(name) {
            self.by_place.remove(&place);
        }
    }

    /// Place, name and inode from `place` on.
    pub(super) fn starting_at(&self, place: u64) -> impl Iterator<Item = (u64, &[u8], Inode)> {
        self.by_place
            .range(place.max(FIRST_PLACE)..)
            .filter_map(|(place, name)| self.get(name).map(|inode| (*place, &name[..], inode)))
    }
}

/// A file or directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    pub(super) permissions: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) links: u32,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// References of the kernel and open handles; an unlinked node stays until both are gone.
    pub(super) lookups: u64,
    pub(super) opens: u64,
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

impl Node {
    pub(super) fn new(body: Body, permissions: u32, caller: Caller) -> Self {
        let time = now();
        let links = if body.kind() == FileKind::Directory { 2 } else { 1 };
        Self {
            body,
            permissions,
            uid: caller.uid,
            gid: caller.gid,
            links,
            accessed: time,
            modified: time,
            changed: time,
            xattrs: BTreeMap::new(),
            lookups: 0,
            opens: 0,
        }
    }

    pub(super) fn attributes(&self, inode: Inode) -> Attributes {
        let (size, blocks, device) = match &self.body {
            Body::File(content) => (content.length(), content.blocks(), 0),
            Body::Directory(_) => (0, 0, 0),
            Body::Symlink(target) => (target.len() as u64, 0, 0),
            Body::Special(_, device) => (0, 0, *device),
        };
        Attributes {
            inode,
            kind: self.body.kind(),
            permissions: self.permissions,
            size,
            blocks,
            block_size: BLOCK_SIZE,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
        }
    }

    pub(super) fn entry(&self, inode: Inode) -> Entry {
        Entry {
            attributes: self.attributes(inode),
            generation: 0,
            name_valid: VALID,
            attributes_valid: VALID,
        }
    }

    pub(super) fn directory(&self) -> Result<&Directory, Errno> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn directory_mut(&mut self) -> Result<&mut Directory, Errno> {
        match &mut self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn content(&self) -> Result<&Content, Errno> {
        match &self.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// For changing the content: times follow, and capabilities end, see capabilities(7).
    pub(super) fn content_mut(&mut self) -> Result<&mut Content, Errno> {
        let time = now();
        (self.modified, self.changed) = (time, time);
        self.xattrs.remove(&b"security.capability"[..]);
        match &mut self.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Marks names as changed.
    pub(super) fn touch(&mut self) {
        let time = now();
        (self.modified, self.changed) = (time, time);
    }

    pub(super) fn apply(&mut self, changes: SetAttributes) -> Result<(), Errno> {
        let time = |set| match set {
            SetTime::Now => now(),
            SetTime::To(time) => time,
        };
        if let Some(size) = changes.size {
            self.content_mut()?.set_length(size);
        }
        self.permissions = changes.permissions.unwrap_or(self.permissions);
        self.uid = changes.uid.unwrap_or(self.uid);
        self.gid = changes.gid.unwrap_or(self.gid);
        self.accessed = changes.accessed.map_or(self.accessed, time);
        self.modified = changes.modified.map_or(self.modified, time);
        self.changed = changes.changed.unwrap_or_else(now);
        Ok(())
    }
}
