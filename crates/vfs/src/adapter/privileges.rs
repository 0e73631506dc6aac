//! Dropping set-user-id and set-group-id bits: with HANDLE_KILLPRIV_V2 the kernel leaves it to the server.

use sandkeep_fuse::Notifier;

use super::run::Subject;
use crate::{Attributes, Errno, FileHandle, FileKind, SetAttributes};

const SET_USER_ID: u32 = libc::S_ISUID;
const SET_GROUP_ID: u32 = libc::S_ISGID;
const GROUP_EXECUTE: u32 = libc::S_IXGRP;

/// The permissions after the drop; none if nothing changes.
pub(super) fn dropped(attributes: &Attributes) -> Option<u32> {
    let before = attributes.permissions;
    let mut after = before & !SET_USER_ID;
    // Without group execution the bit once meant mandatory locking, and stays.
    if before & GROUP_EXECUTE != 0 {
        after &= !SET_GROUP_ID;
    }
    (attributes.kind == FileKind::File && after != before).then_some(after)
}

impl Subject {
    /// Drops the bits from a file that is about to be written by someone who is not its administrator.
    pub(super) async fn drop_set_id(
        &self,
        handle: Option<FileHandle>,
        notifier: &Notifier,
    ) -> Result<(), Errno> {
        let before = self.filesystem.attributes(self.inode, handle).await?;
        let Some(permissions) = dropped(&before.attributes) else { return Ok(()) };
        let changes = SetAttributes { permissions: Some(permissions), ..SetAttributes::default() };
        self.filesystem.set_attributes(self.caller, self.inode, handle, changes).await?;
        notifier.invalidate_attributes(self.inode.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Attributes, FileKind, Inode, Timestamp};

    fn check(kind: FileKind, permissions: u32, expected: Option<u32>) {
        let time = Timestamp::default();
        let attributes = Attributes {
            inode: Inode(2),
            kind,
            permissions,
            size: 0,
            blocks: 0,
            block_size: 4096,
            links: 1,
            uid: 0,
            gid: 0,
            device: 0,
            accessed: time,
            modified: time,
            changed: time,
        };
        assert_eq!(super::dropped(&attributes), expected, "{permissions:o}");
    }

    #[test]
    fn set_id_bits_are_dropped_from_programs_only() {
        check(FileKind::File, 0o6755, Some(0o755));
        check(FileKind::File, 0o2745, None);
        check(FileKind::File, 0o4644, Some(0o644));
        check(FileKind::File, 0o1755, None);
        check(FileKind::Directory, 0o2775, None);
    }
}
