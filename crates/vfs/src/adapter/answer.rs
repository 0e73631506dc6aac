//! From the nouns of a filesystem to the kernel's structures.

use std::time::Duration;

use bytes::Bytes;
use sandkeep_fuse::{Reply, abi};

use crate::{Attributes, AttributesReply, Entry, Opened, StatFs};

/// What a request is answered with.
pub(super) enum Answer {
    Nothing,
    Bytes(Vec<u8>),
    Pieces(Vec<Bytes>),
}

impl Answer {
    pub(super) fn send(self, reply: Reply) {
        match self {
            Self::Nothing => reply.data(&[]),
            Self::Bytes(bytes) => reply.data(&[&bytes]),
            Self::Pieces(pieces) => {
                let slices: Vec<&[u8]> = pieces.iter().map(Bytes::as_ref).collect();
                reply.data(&slices);
            }
        }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<Entry> for Answer {
    fn from(entry: Entry) -> Self {
        Self::Bytes(entry_out(&entry).to_bytes().to_vec())
    }
}

impl From<AttributesReply> for Answer {
    fn from(reply: AttributesReply) -> Self {
        let (attr_valid, attr_valid_nsec) = age(reply.valid);
        let out = abi::AttrOut { attr_valid, attr_valid_nsec, dummy: 0, attr: attr(&reply.attributes) };
        Self::Bytes(out.to_bytes().to_vec())
    }
}

impl From<(Entry, Opened)> for Answer {
    fn from((entry, opened): (Entry, Opened)) -> Self {
        Self::Bytes([&entry_out(&entry).to_bytes()[..], &file_out(&opened).to_bytes()].concat())
    }
}

impl From<StatFs> for Answer {
    fn from(statfs: StatFs) -> Self {
        let out = abi::Kstatfs {
            blocks: statfs.blocks,
            bfree: statfs.free_blocks,
            bavail: statfs.available_blocks,
            files: statfs.files,
            ffree: statfs.free_files,
            bsize: statfs.block_size,
            namelen: statfs.name_length,
            frsize: statfs.block_size,
            ..abi::Kstatfs::default()
        };
        Self::Bytes(out.to_bytes().to_vec())
    }
}

/// An open file.
pub(super) fn file(opened: &Opened) -> Answer {
    Answer::Bytes(file_out(opened).to_bytes().to_vec())
}

/// An open directory: `keep_cache` lets the kernel keep its names.
pub(super) fn directory(opened: &Opened) -> Answer {
    let keep = abi::flags::FOPEN_CACHE_DIR | abi::flags::FOPEN_KEEP_CACHE;
    let open_flags = if opened.keep_cache { keep } else { 0 };
    Answer::Bytes(abi::OpenOut { fh: opened.handle.0, open_flags, backing_id: 0 }.to_bytes().to_vec())
}

fn file_out(opened: &Opened) -> abi::OpenOut {
    let mut open_flags = 0;
    if opened.keep_cache {
        open_flags |= abi::flags::FOPEN_KEEP_CACHE;
    }
    if opened.direct_io {
        open_flags |= abi::flags::FOPEN_DIRECT_IO | abi::flags::FOPEN_PARALLEL_DIRECT_WRITES;
    }
    abi::OpenOut { fh: opened.handle.0, open_flags, backing_id: 0 }
}

pub(super) fn entry_out(entry: &Entry) -> abi::EntryOut {
    let (entry_valid, entry_valid_nsec) = age(entry.name_valid);
    let (attr_valid, attr_valid_nsec) = age(entry.attributes_valid);
    abi::EntryOut {
        nodeid: entry.attributes.inode.0,
        generation: entry.generation,
        entry_valid,
        attr_valid,
        entry_valid_nsec,
        attr_valid_nsec,
        attr: attr(&entry.attributes),
    }
}

fn age(valid: Duration) -> (u64, u32) {
    (valid.as_secs(), valid.subsec_nanos())
}

fn attr(attributes: &Attributes) -> abi::Attr {
    abi::Attr {
        ino: attributes.inode.0,
        size: attributes.size,
        blocks: attributes.blocks,
        // The kernel takes the 64 bits as signed.
        atime: attributes.accessed.seconds as u64,
        mtime: attributes.modified.seconds as u64,
        ctime: attributes.changed.seconds as u64,
        atimensec: attributes.accessed.nanoseconds,
        mtimensec: attributes.modified.nanoseconds,
        ctimensec: attributes.changed.nanoseconds,
        mode: attributes.kind.mode_bits() | attributes.permissions & 0o7777,
        nlink: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: attributes.device,
        blksize: attributes.block_size,
        flags: 0,
    }
}
