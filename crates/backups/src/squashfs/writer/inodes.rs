//! Inodes: numbering, building from the tree, encoding.

use super::directories::Listing;
use super::ids::Ids;
use super::tree::{Content, InodeIndex, Kind, ROOT, Tree};
use crate::CreateError;
use crate::squashfs::format::{
    DIRECTORY_SIZE_BIAS, DirectoryBody, EXTENDED, FileBody, Inode, InodeBody, InodeHeader, InodeType,
    NO_XATTR,
};

/// Inode numbers and link counts of what is archived.
pub(super) struct Numbers {
    numbers: Vec<u32>,
    links: Vec<u32>,
    count: u32,
}

impl Numbers {
    /// Numbers inodes in the order in which they are written: neighbours in a directory have neighbouring numbers.
    pub(super) fn assign(tree: &Tree) -> Self {
        let all = tree.inodes.len();
        let mut assigned = Self { numbers: vec![0; all], links: vec![0; all], count: 0 };
        for directory in tree.directories_upwards() {
            for entry in tree.children(directory) {
                assigned.add(entry.inode);
                // A directory's own names, and `..` of each directory in it.
                if matches!(tree.inode(entry.inode).kind, Kind::Directory(_)) {
                    assigned.links[directory as usize] += 1;
                    assigned.links[entry.inode as usize] += 1;
                }
            }
        }
        assigned.add(ROOT);
        assigned.links[ROOT as usize] += 1;
        assigned
    }

    fn add(&mut self, inode: InodeIndex) {
        self.links[inode as usize] += 1;
        if self.numbers[inode as usize] == 0 {
            self.count += 1;
            self.numbers[inode as usize] = self.count;
        }
    }

    /// From 1; 0 for what is not archived.
    pub(super) fn of(&self, inode: InodeIndex) -> u32 {
        self.numbers[inode as usize]
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// The type of an inode as directory entries name it.
pub(super) fn type_of(kind: &Kind) -> InodeType {
    match kind {
        Kind::Directory(_) => InodeType::Directory,
        Kind::File(_) => InodeType::File,
        Kind::Symlink(_) => InodeType::Symlink,
        Kind::BlockDevice(_) => InodeType::BlockDevice,
        Kind::CharacterDevice(_) => InodeType::CharacterDevice,
        Kind::Fifo => InodeType::Fifo,
        Kind::Socket => InodeType::Socket,
    }
}

/// `listing` is given for directories.
pub(super) fn build(
    tree: &Tree,
    index: InodeIndex,
    numbers: &Numbers,
    listing: Option<Listing>,
    ids: &mut Ids,
) -> Result<Inode, CreateError> {
    let node = tree.inode(index);
    let body = match &node.kind {
        Kind::Directory(_) => {
            InodeBody::Directory(directory_body(listing.unwrap_or_default(), parent(tree, index, numbers)))
        }
        Kind::File(content) => InodeBody::File(file_body(content)),
        Kind::Symlink(target) => InodeBody::Symlink(target.to_vec()),
        Kind::BlockDevice(number) => InodeBody::BlockDevice(*number),
        Kind::CharacterDevice(number) => InodeBody::CharacterDevice(*number),
        Kind::Fifo => InodeBody::Fifo,
        Kind::Socket => InodeBody::Socket,
    };
    let header = InodeHeader {
        mode: node.attributes.mode,
        uid_row: ids.row(node.attributes.uid)?,
        gid_row: ids.row(node.attributes.gid)?,
        mtime: node.attributes.mtime,
        number: numbers.of(index),
    };
    Ok(Inode { header, xattr: node.xattr, links: numbers.links[index as usize], body })
}

/// The root's parent is one more than there are inodes, by convention.
fn parent(tree: &Tree, index: InodeIndex, numbers: &Numbers) -> u32 {
    if index == ROOT {
        return numbers.count() + 1;
    }
    numbers.of(tree.entries[tree.inode(index).entry as usize].directory)
}

fn directory_body(listing: Listing, parent: u32) -> DirectoryBody {
    DirectoryBody {
        listing: listing.place,
        size: listing.bytes + DIRECTORY_SIZE_BIAS,
        parent,
        index: listing.index,
    }
}

fn file_body(content: &Content) -> FileBody {
    // A file of holes only would have no blocks in stat, and programs that look there would take it for empty;
    // mksquashfs makes the same exception.
    let sparse =
        if content.sparse == content.size { content.sparse.saturating_sub(1) } else { content.sparse };
    FileBody {
        start: content.start,
        size: content.size,
        sparse,
        fragment: content.fragment,
        fragment_offset: content.fragment_offset,
        blocks: content.blocks.as_deref().unwrap_or_default().to_vec(),
    }
}

/// An inode as stored, in the extended form only where the basic one cannot hold it.
pub(super) fn encode(inode: &Inode) -> Vec<u8> {
    let xattr = (inode.xattr != NO_XATTR).then_some(inode.xattr);
    match &inode.body {
        InodeBody::Directory(body) => encode_directory(inode, body),
        InodeBody::File(body) => encode_file(inode, body),
        InodeBody::Symlink(target) => {
            let mut bytes = header(inode, InodeType::Symlink, xattr.is_some());
            extend(&mut bytes, &[inode.links, target.len() as u32]);
            bytes.extend_from_slice(target);
            extend(&mut bytes, xattr.as_slice());
            bytes
        }
        InodeBody::BlockDevice(number) => encode_device(inode, InodeType::BlockDevice, *number),
        InodeBody::CharacterDevice(number) => encode_device(inode, InodeType::CharacterDevice, *number),
        InodeBody::Fifo => encode_ipc(inode, InodeType::Fifo),
        InodeBody::Socket => encode_ipc(inode, InodeType::Socket),
    }
}

fn encode_directory(inode: &Inode, body: &DirectoryBody) -> Vec<u8> {
    let block = body.listing.block as u32;
    let basic = u16::try_from(body.size).ok().filter(|_| inode.xattr == NO_XATTR && body.index.is_empty());
    let mut bytes = header(inode, InodeType::Directory, basic.is_none());
    if let Some(size) = basic {
        extend(&mut bytes, &[block, inode.links]);
        bytes.extend(size.to_le_bytes());
        bytes.extend(body.listing.offset.to_le_bytes());
        extend(&mut bytes, &[body.parent]);
        return bytes;
    }
    extend(&mut bytes, &[inode.links, body.size, block, body.parent]);
    bytes.extend((body.index.len() as u16).to_le_bytes());
    bytes.extend(body.listing.offset.to_le_bytes());
    extend(&mut bytes, &[inode.xattr]);
    for index in &body.index {
        extend(&mut bytes, &[index.listing_offset, index.block, index.name.len() as u32 - 1]);
        bytes.extend_from_slice(&index.name);
    }
    bytes
}

fn encode_file(inode: &Inode, body: &FileBody) -> Vec<u8> {
    let plain = inode.xattr == NO_XATTR && inode.links == 1 && body.sparse == 0;
    let small = u32::try_from(body.start).ok().zip(u32::try_from(body.size).ok()).filter(|_| plain);
    let mut bytes = header(inode, InodeType::File, small.is_none());
    match small {
        Some((start, size)) => {
            extend(&mut bytes, &[start, body.fragment, body.fragment_offset, size]);
        }
        None => {
            for number in [body.start, body.size, body.sparse] {
                bytes.extend(number.to_le_bytes());
            }
            extend(&mut bytes, &[inode.links, body.fragment, body.fragment_offset, inode.xattr]);
        }
    }
    bytes.extend(body.blocks.iter().flat_map(|size| size.0.to_le_bytes()));
    bytes
}

fn encode_device(inode: &Inode, kind: InodeType, number: u32) -> Vec<u8> {
    let xattr = (inode.xattr != NO_XATTR).then_some(inode.xattr);
    let mut bytes = header(inode, kind, xattr.is_some());
    extend(&mut bytes, &[inode.links, number]);
    extend(&mut bytes, xattr.as_slice());
    bytes
}

fn encode_ipc(inode: &Inode, kind: InodeType) -> Vec<u8> {
    let xattr = (inode.xattr != NO_XATTR).then_some(inode.xattr);
    let mut bytes = header(inode, kind, xattr.is_some());
    extend(&mut bytes, &[inode.links]);
    extend(&mut bytes, xattr.as_slice());
    bytes
}

fn header(inode: &Inode, kind: InodeType, extended: bool) -> Vec<u8> {
    let number = kind as u16 + if extended { EXTENDED } else { 0 };
    let header = &inode.header;
    let mut bytes = Vec::with_capacity(64);
    for field in [number, header.mode, header.uid_row, header.gid_row] {
        bytes.extend(field.to_le_bytes());
    }
    extend(&mut bytes, &[header.mtime, header.number]);
    bytes
}

fn extend(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}
