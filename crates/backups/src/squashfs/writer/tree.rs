//! What is archived, in memory: about 200 bytes per name.

use std::ops::Range;
use std::sync::Arc;

use crate::squashfs::format::{BlockSize, NO_FRAGMENT, NO_XATTR};

/// Index of an inode in [`Tree::inodes`].
pub(crate) type InodeIndex = u32;
/// Index of a name in [`Tree::entries`].
pub(crate) type EntryIndex = u32;

/// The root directory's inode.
pub(crate) const ROOT: InodeIndex = 0;

/// Inodes and their names. A directory stands before everything below it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) inodes: Vec<TreeInode>,
    pub(crate) entries: Vec<Entry>,
}

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Box<[u8]>,
    pub(crate) directory: InodeIndex,
    pub(crate) inode: InodeIndex,
}

#[derive(Debug)]
pub(crate) struct TreeInode {
    pub(crate) attributes: Attributes,
    /// Row in the archive's xattrs, or [`NO_XATTR`].
    pub(crate) xattr: u32,
    /// One of its names: the one that is read. Meaningless for the root.
    pub(crate) entry: EntryIndex,
    /// It vanished before it was read: neither it nor its names are archived.
    pub(crate) gone: bool,
    pub(crate) kind: Kind,
}

/// Owners as they are archived: with the sandbox's base subtracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u32,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// The names in it, sorted: a range of [`Tree::entries`].
    Directory(Range<EntryIndex>),
    File(Content),
    Symlink(Box<[u8]>),
    BlockDevice(u32),
    CharacterDevice(u32),
    Fifo,
    Socket,
}

/// A file's size, and where its bytes are once they are written.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) size: u64,
    pub(crate) start: u64,
    pub(crate) sparse: u64,
    pub(crate) fragment: u32,
    pub(crate) fragment_offset: u32,
    /// Shared by duplicates.
    pub(crate) blocks: Option<Arc<[BlockSize]>>,
    /// It is where an earlier archive has it, and need not be read.
    pub(crate) kept: bool,
}

impl Content {
    /// A file of that size whose bytes are nowhere yet.
    pub(crate) fn unwritten(size: u64) -> Self {
        Self {
            size,
            start: 0,
            sparse: 0,
            fragment: NO_FRAGMENT,
            fragment_offset: 0,
            blocks: None,
            kept: false,
        }
    }
}

impl TreeInode {
    pub(crate) fn new(attributes: Attributes, entry: EntryIndex, kind: Kind) -> Self {
        Self { attributes, xattr: NO_XATTR, entry, gone: false, kind }
    }

    /// What a file holds; none for others.
    pub(crate) fn content(&self) -> Option<&Content> {
        match &self.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }
}

impl Tree {
    pub(crate) fn inode(&self, index: InodeIndex) -> &TreeInode {
        &self.inodes[index as usize]
    }

    pub(crate) fn inode_mut(&mut self, index: InodeIndex) -> &mut TreeInode {
        &mut self.inodes[index as usize]
    }

    /// Adds an inode, whose index is the answer.
    pub(crate) fn push_inode(&mut self, inode: TreeInode) -> InodeIndex {
        self.inodes.push(inode);
        (self.inodes.len() - 1) as InodeIndex
    }

    /// Names from an inode upwards; empty for the root.
    pub(crate) fn names_upwards(&self, index: InodeIndex) -> impl Iterator<Item = &[u8]> + Clone {
        let entry = move |index: InodeIndex| {
            let inode = self.inode(index);
            (index != ROOT).then(|| &self.entries[inode.entry as usize])
        };
        std::iter::successors(entry(index), move |lower| entry(lower.directory)).map(|entry| &*entry.name)
    }

    /// The path below the root directory; empty for the root.
    pub(crate) fn path(&self, index: InodeIndex) -> Vec<u8> {
        let mut names: Vec<&[u8]> = self.names_upwards(index).collect();
        names.reverse();
        names.join(&b'/')
    }

    /// The names in a directory that are archived.
    pub(crate) fn children(&self, directory: InodeIndex) -> impl Iterator<Item = &Entry> {
        let range = match &self.inode(directory).kind {
            Kind::Directory(range) => range.start as usize..range.end as usize,
            _ => 0..0,
        };
        self.entries[range].iter().filter(|entry| !self.inode(entry.inode).gone)
    }

    /// Directories from the last to the root: each after all below it.
    pub(crate) fn directories_upwards(&self) -> impl Iterator<Item = InodeIndex> {
        (0..self.inodes.len() as InodeIndex)
            .rev()
            .filter(|index| matches!(self.inode(*index).kind, Kind::Directory(_)))
    }
}
