//! From what is stored to what stat(2) tells, and the ids in between.

use sandkeep_vfs::{Attributes, Inode};

use crate::metadata::{Defaults, Stored};
use crate::{BucketFsSettings, Owner};

/// Preferred size of I/O: what one FUSE request carries.
const BLOCK_SIZE: u32 = 1 << 20;

/// Unit of `st_blocks`, see inode(7).
const STAT_BLOCK: u64 = 512;

impl Owner {
    /// A stored id as the kernel is told.
    pub(crate) fn outward(self, id: u32) -> u32 {
        id.saturating_add(self.id_base)
    }

    /// An id of the kernel as it is stored; ids below the block are the host's, which acts as root.
    pub(crate) fn inward(self, id: u32) -> u32 {
        id.saturating_sub(self.id_base)
    }
}

impl BucketFsSettings {
    /// What objects without metadata are given.
    pub(crate) fn defaults(&self) -> Defaults {
        Defaults {
            file_mode: self.file_mode,
            directory_mode: self.directory_mode,
            uid: self.owner.default_uid,
            gid: self.owner.default_gid,
        }
    }
}

/// What stat(2) tells of a file of `size` bytes with `links` names.
pub(crate) fn attributes(inode: Inode, stored: &Stored, size: u64, links: u32, owner: Owner) -> Attributes {
    Attributes {
        inode,
        kind: stored.kind,
        permissions: stored.permissions,
        size,
        blocks: size.div_ceil(STAT_BLOCK),
        block_size: BLOCK_SIZE,
        links,
        uid: owner.outward(stored.uid),
        gid: owner.outward(stored.gid),
        device: 0,
        accessed: stored.accessed,
        modified: stored.modified,
        changed: stored.changed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_move_by_the_base_and_host_ids_become_root() {
        let owner = Owner { id_base: 100_000, ..Owner::default() };
        assert_eq!(owner.outward(5), 100_005);
        assert_eq!(owner.inward(100_005), 5);
        assert_eq!(owner.inward(0), 0);
        assert_eq!(owner.inward(99_999), 0);
    }
}
