//! Inodes: the fourteen kinds, seven basic ones and seven with more fields.

use super::cursor::Cursor;
use super::failure::{Result, check, damaged};
use crate::squashfs::format::{DIRECTORY_SIZE_BIAS, InodeType, MetadataRef, NO_FRAGMENT, NO_XATTR};

/// Bytes of the smallest inode (a pipe or socket).
pub(crate) const MIN_INODE: u64 = 20;
/// Linux refuses longer targets (PATH_MAX counts the NUL).
const MAX_TARGET: u32 = 4095;

/// A file as the archive describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    /// Its number.
    pub(crate) number: u32,
    /// Mode without the type (07777).
    pub(crate) permissions: u32,
    /// Index of the owner in the id table.
    pub(crate) uid: u16,
    /// Index of the group in the id table.
    pub(crate) gid: u16,
    /// Seconds since 1970.
    pub(crate) modified: u32,
    /// Hard links.
    pub(crate) links: u32,
    /// Index in the xattr table.
    pub(crate) xattrs: Option<u32>,
    /// What depends on the kind.
    pub(crate) content: Content,
}

/// What an inode stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A directory.
    Directory(Directory),
    /// A regular file.
    File(File),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A block device with its packed number.
    BlockDevice(u32),
    /// A character device with its packed number.
    CharacterDevice(u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// Where a directory's names are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Reference into the directory table; meaningless for an empty listing.
    pub(crate) listing: MetadataRef,
    /// Bytes of the listing.
    pub(crate) size: u32,
    /// Inode number of the parent directory.
    pub(crate) parent: u32,
    /// Address of the index in the inode table.
    pub(crate) index: u64,
    /// Entries of the index.
    pub(crate) index_entries: u16,
}

/// Where a file's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Offset of the first data block in the archive.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// How many of them are holes.
    pub(crate) sparse: u64,
    /// The tail: entry of the fragment table and offset in the unpacked fragment.
    pub(crate) fragment: Option<(u32, u32)>,
    /// Address of the block list in the inode table.
    pub(crate) list: u64,
    /// Entries of the block list.
    pub(crate) blocks: u64,
}

impl Content {
    /// Its kind.
    pub(crate) fn kind(&self) -> InodeType {
        match self {
            Self::Directory(_) => InodeType::Directory,
            Self::File(_) => InodeType::File,
            Self::Symlink(_) => InodeType::Symlink,
            Self::BlockDevice(_) => InodeType::BlockDevice,
            Self::CharacterDevice(_) => InodeType::CharacterDevice,
            Self::Fifo => InodeType::Fifo,
            Self::Socket => InodeType::Socket,
        }
    }
}

impl Inode {
    /// Parses the inode at the cursor and leaves the cursor behind it.
    pub(crate) fn parse(cursor: &mut Cursor<'_>, block_size: u32) -> Result<Self> {
        let Some((kind, extended)) = InodeType::from_number(cursor.u16()?) else {
            return damaged("an inode is of an unknown kind");
        };
        let mut inode = Self {
            permissions: u32::from(cursor.u16()?) & 0o7777,
            uid: cursor.u16()?,
            gid: cursor.u16()?,
            modified: cursor.u32()?,
            number: cursor.u32()?,
            links: 1,
            xattrs: None,
            content: Content::Fifo,
        };
        inode.content = match kind {
            InodeType::Directory if extended => inode.extended_directory(cursor)?,
            InodeType::Directory => inode.directory(cursor)?,
            InodeType::File => inode.file(cursor, extended, block_size)?,
            InodeType::Symlink => inode.symlink(cursor, extended)?,
            special => inode.special(cursor, special, extended)?,
        };
        Ok(inode)
    }

    fn directory(&mut self, cursor: &mut Cursor<'_>) -> Result<Content> {
        let block = cursor.u32()?;
        self.links = cursor.u32()?;
        let size = u32::from(cursor.u16()?);
        let listing = reference(block, cursor.u16()?);
        let parent = cursor.u32()?;
        let index = cursor.address();
        let size = size.saturating_sub(DIRECTORY_SIZE_BIAS);
        Ok(Content::Directory(Directory { listing, size, parent, index, index_entries: 0 }))
    }

    fn extended_directory(&mut self, cursor: &mut Cursor<'_>) -> Result<Content> {
        self.links = cursor.u32()?;
        let size = cursor.u32()?.saturating_sub(DIRECTORY_SIZE_BIAS);
        let block = cursor.u32()?;
        let parent = cursor.u32()?;
        let index_entries = cursor.u16()?;
        let listing = reference(block, cursor.u16()?);
        self.xattrs = present(cursor.u32()?);
        let index = cursor.address();
        for _ in 0..index_entries {
            cursor.skip(8)?;
            let length = u64::from(cursor.u32()?) + 1;
            cursor.skip(length)?;
        }
        Ok(Content::Directory(Directory { listing, size, parent, index, index_entries }))
    }

    fn file(&mut self, cursor: &mut Cursor<'_>, extended: bool, block_size: u32) -> Result<Content> {
        let mut file = if extended { self.extended_file(cursor)? } else { basic_file(cursor)? };
        let (whole, rest) = (file.size / u64::from(block_size), file.size % u64::from(block_size));
        check(file.fragment.is_none() || rest > 0, "a file without a tail has one")?;
        file.list = cursor.address();
        file.blocks = whole + u64::from(rest > 0 && file.fragment.is_none());
        cursor.skip(file.blocks.saturating_mul(4))?;
        Ok(Content::File(file))
    }

    fn extended_file(&mut self, cursor: &mut Cursor<'_>) -> Result<File> {
        let (start, size, sparse) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        self.links = cursor.u32()?;
        let fragment = (cursor.u32()?, cursor.u32()?);
        self.xattrs = present(cursor.u32()?);
        check(size <= i64::MAX as u64, "a file is impossibly large")?;
        Ok(File { start, size, sparse, fragment: tail(fragment), list: 0, blocks: 0 })
    }

    fn symlink(&mut self, cursor: &mut Cursor<'_>, extended: bool) -> Result<Content> {
        self.links = cursor.u32()?;
        let length = cursor.u32()?;
        check((1..=MAX_TARGET).contains(&length), "the target of a symbolic link is empty or too long")?;
        let target = cursor.bytes(length as usize)?;
        check(!target.contains(&0), "the target of a symbolic link has a NUL byte")?;
        self.extended_xattrs(cursor, extended)?;
        Ok(Content::Symlink(target))
    }

    fn special(&mut self, cursor: &mut Cursor<'_>, kind: InodeType, extended: bool) -> Result<Content> {
        self.links = cursor.u32()?;
        let content = match kind {
            InodeType::BlockDevice => Content::BlockDevice(cursor.u32()?),
            InodeType::CharacterDevice => Content::CharacterDevice(cursor.u32()?),
            InodeType::Fifo => Content::Fifo,
            _ => Content::Socket,
        };
        self.extended_xattrs(cursor, extended)?;
        Ok(content)
    }

    fn extended_xattrs(&mut self, cursor: &mut Cursor<'_>, extended: bool) -> Result<()> {
        if extended {
            self.xattrs = present(cursor.u32()?);
        }
        Ok(())
    }
}

fn basic_file(cursor: &mut Cursor<'_>) -> Result<File> {
    let start = u64::from(cursor.u32()?);
    let fragment = (cursor.u32()?, cursor.u32()?);
    let size = u64::from(cursor.u32()?);
    Ok(File { start, size, sparse: 0, fragment: tail(fragment), list: 0, blocks: 0 })
}

fn reference(block: u32, offset: u16) -> MetadataRef {
    MetadataRef { block: block.into(), offset }
}

fn present(index: u32) -> Option<u32> {
    (index != NO_XATTR).then_some(index)
}

fn tail((fragment, offset): (u32, u32)) -> Option<(u32, u32)> {
    (fragment != NO_FRAGMENT).then_some((fragment, offset))
}
