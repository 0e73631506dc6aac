//! From what the kernel says of a file to what is archived of it.

use rustix::fs::{FileType, Statx};

use crate::squashfs::writer::Attributes;

/// Ids of one sandbox.
const BLOCK_IDS: u32 = 65_536;
/// Who owns what belongs to nobody of the sandbox.
const NOBODY: u32 = 65_534;

/// Translates owners from the host's ids to those that the sandbox sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners {
    base: u32,
}

impl Owners {
    pub(super) fn new(base: u32) -> Self {
        Self { base }
    }

    /// The id inside; none if it is not the sandbox's. On the host every id stands for itself.
    pub(super) fn inside(self, id: u32) -> Option<u32> {
        match self.base {
            0 => Some(id),
            base => id.checked_sub(base).filter(|inside| *inside < BLOCK_IDS),
        }
    }

    /// Whether owner or group had to become nobody.
    pub(super) fn are_foreign(self, stat: &Statx) -> bool {
        self.inside(stat.stx_uid).is_none() || self.inside(stat.stx_gid).is_none()
    }

    pub(super) fn attributes(self, stat: &Statx) -> Attributes {
        Attributes {
            mode: stat.stx_mode & 0o7777,
            uid: self.inside(stat.stx_uid).unwrap_or(NOBODY),
            gid: self.inside(stat.stx_gid).unwrap_or(NOBODY),
            mtime: seconds(stat),
        }
    }

    /// A capability as the sandbox's root would read it. The kernel stores one that was set in a user namespace with
    /// that namespace's root (version 3); the archive keeps it as an ordinary one (version 2).
    pub(super) fn capability(self, value: Vec<u8>) -> Vec<u8> {
        const VERSION_3: u32 = 0x0300_0000;
        const VERSION_2: u32 = 0x0200_0000;
        const VERSION_MASK: u32 = 0xff00_0000;
        const VERSION_3_BYTES: usize = 24;
        if self.base == 0 || value.len() != VERSION_3_BYTES {
            return value;
        }
        let number = |at: usize| u32::from_le_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
        let (magic, root) = (number(0), number(VERSION_3_BYTES - 4));
        if magic & VERSION_MASK != VERSION_3 || root != self.base {
            return value;
        }
        let mut ordinary = (magic & !VERSION_MASK | VERSION_2).to_le_bytes().to_vec();
        ordinary.extend_from_slice(&value[4..VERSION_3_BYTES - 4]);
        ordinary
    }
}

/// squashfs has unsigned seconds of 32 bits: times before 1970 and after 2106 are clamped.
fn seconds(stat: &Statx) -> u32 {
    stat.stx_mtime.tv_sec.clamp(0, i64::from(u32::MAX)) as u32
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(stat.stx_mode))
}

/// What tells that a file was written to: the same before and after reading means that it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    number: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Signature {
    /// The host's number of the inode.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Seconds since 1970 of the last change of anything about it.
    pub(super) fn changed_at(&self) -> i64 {
        self.changed.0
    }

    /// As recorded on this host.
    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (modified, changed) = (self.modified, self.changed);
        let words = [self.number, self.size, modified.0 as u64, changed.0 as u64];
        let small = u64::from(modified.1) << 32 | u64::from(changed.1);
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words.into_iter().chain([small])) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From what was recorded.
    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| crate::squashfs::format::read_u64(bytes, at * 8);
        Self {
            number: word(0),
            size: word(1),
            modified: (word(2).cast_signed(), (word(4) >> 32) as u32),
            changed: (word(3).cast_signed(), word(4) as u32),
        }
    }

    /// Bytes of [`Self::encode`].
    pub(super) const BYTES: usize = 40;

    pub(super) fn of(stat: &Statx) -> Self {
        Self {
            number: stat.stx_ino,
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }
}
