//! Looking things up in an archive. Nothing here waits: what is missing is an error that names it.

use bytes::Bytes;

use super::archive::Archive;
use super::cursor::{Blocks, Cursor};
use super::directory::{self, Listing, Name, Place};
use super::failure::{Result, check, damaged};
use super::inode::{Content, Directory, Inode};
use super::opening::Numbers;
use super::source::Source;
use super::table::Table;
use crate::squashfs::format::MetadataRef;

/// An archive together with the bytes of it that are at hand.
pub(crate) struct Reader<'a> {
    archive: &'a Archive,
    source: &'a dyn Source,
}

impl Blocks for Reader<'_> {
    fn block(&self, table: &Table, number: usize) -> Result<Bytes> {
        self.archive.block(table, number, self.source)
    }
}

impl<'a> Reader<'a> {
    /// Reads `archive` from `source`.
    pub(crate) fn new(archive: &'a Archive, source: &'a dyn Source) -> Self {
        Self { archive, source }
    }

    /// The archive.
    pub(crate) fn archive(&self) -> &'a Archive {
        self.archive
    }

    /// The root directory.
    pub(crate) fn root(&self) -> Result<Inode> {
        let root = self.inode_at(self.archive.superblock.root)?;
        check(matches!(root.content, Content::Directory(_)), "its root is not a directory")?;
        Ok(root)
    }

    /// The inode of a number; none if no inode has it.
    pub(crate) fn inode(&self, number: u32) -> Result<Option<Inode>> {
        if number == 0 || number > self.archive.superblock.inode_count {
            return Ok(None);
        }
        let inode = match &self.archive.numbers {
            Numbers::Exported(table) => {
                let reference = Cursor::new(self, table, u64::from(number - 1) * 8).u64()?;
                self.inode_at(MetadataRef::from_raw(reference))?
            }
            Numbers::Scanned(addresses) => match addresses.get(number as usize - 1) {
                None | Some(&u64::MAX) => return Ok(None),
                Some(&address) => self.parse(address)?,
            },
        };
        check(inode.number == number, "its export table leads to other inodes")?;
        Ok(Some(inode))
    }

    /// The inode that a name stands for.
    pub(crate) fn named(&self, parent: &Inode, name: &Name) -> Result<Inode> {
        let inode = self.inode_at(name.reference)?;
        check(inode.number == name.number, "a name leads to another inode")?;
        check(inode.content.kind() == name.kind, "a name leads to an inode of another kind")?;
        if let Content::Directory(directory) = &inode.content {
            // Each directory has one parent and the root has none, so there can be no cycle.
            check(directory.parent == parent.number, "a directory is in two places")?;
            check(name.reference != self.archive.superblock.root, "a directory contains the root")?;
        }
        Ok(inode)
    }

    /// Finds a name in a directory.
    pub(crate) fn lookup(&self, parent: &Inode, name: &[u8]) -> Result<Option<Inode>> {
        let Content::Directory(directory) = &parent.content else { return damaged("not a directory") };
        match directory::find(self, directory, name)? {
            Some(found) => self.named(parent, &found).map(Some),
            None => Ok(None),
        }
    }

    /// Up to `limit` names of a directory from `place` on.
    pub(crate) fn names(&self, directory: &Directory, place: Place, limit: usize) -> Result<Vec<Name>> {
        let mut listing = Listing::new(self, directory, place)?;
        let mut names = Vec::new();
        while names.len() < limit {
            let Some(name) = listing.next()? else { break };
            names.push(name);
        }
        Ok(names)
    }

    /// The owner that an inode's index stands for.
    pub(crate) fn id(&self, index: u16) -> Result<u32> {
        match self.archive.ids.get(usize::from(index)) {
            Some(id) => Ok(*id),
            None => damaged("an owner does not exist"),
        }
    }

    fn inode_at(&self, reference: MetadataRef) -> Result<Inode> {
        self.parse(self.archive.inodes.address(reference)?)
    }

    fn parse(&self, address: u64) -> Result<Inode> {
        Inode::parse(
            &mut Cursor::new(self, &self.archive.inodes, address),
            self.archive.superblock.block_bytes,
        )
    }
}
