//! Changing names and attributes.

use sandkeep_fuse::{Operation, TimeChange};

use super::privileges;
use super::{Call, name};
use crate::{Errno, FileHandle, Inode, OpenFlags, RenameFlags, SetAttributes, SetTime, Timestamp};

const PERMISSIONS: u32 = 0o7777;
const NO_REPLACE: u32 = libc::RENAME_NOREPLACE;
const EXCHANGE: u32 = libc::RENAME_EXCHANGE;
const WHITEOUT: u32 = libc::RENAME_WHITEOUT;

impl Call {
    pub(super) fn set_attributes(self, operation: Operation<'_>) {
        let Operation::SetAttributes { handle, drop_set_id, .. } = operation else { return };
        let handle = handle.map(FileHandle);
        let mut changes = changes(operation);
        self.changing(move |on| async move {
            if drop_set_id && changes.permissions.is_none() {
                let before = on.filesystem.attributes(on.inode, handle).await?;
                changes.permissions = privileges::dropped(&before.attributes);
            }
            Ok(on.filesystem.set_attributes(on.caller, on.inode, handle, changes).await?.into())
        });
    }

    pub(super) fn symlink(self, bytes: &[u8], target: &[u8]) {
        let name = name(bytes);
        let target = target.to_vec();
        self.changing(|on| async move {
            Ok(on.filesystem.symlink(on.caller, on.inode, &name?, &target).await?.into())
        });
    }

    pub(super) fn make_node(self, bytes: &[u8], mode: u32, device: u32) {
        let name = name(bytes);
        self.changing(move |on| async move {
            Ok(on.filesystem.make_node(on.caller, on.inode, &name?, mode, device).await?.into())
        });
    }

    pub(super) fn make_directory(self, bytes: &[u8], mode: u32) {
        let name = name(bytes);
        let permissions = mode & PERMISSIONS;
        self.changing(move |on| async move {
            Ok(on.filesystem.make_directory(on.caller, on.inode, &name?, permissions).await?.into())
        });
    }

    pub(super) fn create(self, bytes: &[u8], mode: u32, flags: u32) {
        let name = name(bytes);
        let (permissions, flags) = (mode & PERMISSIONS, OpenFlags(flags as i32));
        self.changing(move |on| async move {
            Ok(on.filesystem.create(on.caller, on.inode, &name?, permissions, flags).await?.into())
        });
    }

    pub(super) fn unlink(self, bytes: &[u8]) {
        let name = name(bytes);
        self.changing(
            |on| async move { Ok(on.filesystem.unlink(on.caller, on.inode, &name?).await?.into()) },
        );
    }

    pub(super) fn remove_directory(self, bytes: &[u8]) {
        let name = name(bytes);
        self.changing(|on| async move {
            Ok(on.filesystem.remove_directory(on.caller, on.inode, &name?).await?.into())
        });
    }

    pub(super) fn rename(self, bytes: &[u8], new_parent: u64, new_bytes: &[u8], raw: u32) {
        let (from, to) = (name(bytes), name(new_bytes));
        let flags = rename_flags(raw);
        self.changing(move |on| async move {
            let (from, to) = (from?, to?);
            let target = (Inode(new_parent), &to[..]);
            Ok(on.filesystem.rename(on.caller, (on.inode, &from), target, flags?).await?.into())
        });
    }

    pub(super) fn link(self, node: u64, bytes: &[u8]) {
        let name = name(bytes);
        self.changing(move |on| async move {
            Ok(on.filesystem.link(on.caller, Inode(node), on.inode, &name?).await?.into())
        });
    }
}

fn rename_flags(raw: u32) -> Result<RenameFlags, Errno> {
    if raw & !(NO_REPLACE | EXCHANGE | WHITEOUT) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(RenameFlags {
        no_replace: raw & NO_REPLACE != 0,
        exchange: raw & EXCHANGE != 0,
        whiteout: raw & WHITEOUT != 0,
    })
}

fn changes(operation: Operation<'_>) -> SetAttributes {
    let Operation::SetAttributes { mode, uid, gid, size, accessed, modified, changed, .. } = operation else {
        return SetAttributes::default();
    };
    let time = |change: TimeChange| match change {
        TimeChange::Now => SetTime::Now,
        TimeChange::To(seconds, nanoseconds) => SetTime::To(Timestamp { seconds, nanoseconds }),
    };
    SetAttributes {
        permissions: mode.map(|mode| mode & PERMISSIONS),
        uid,
        gid,
        size,
        accessed: accessed.map(time),
        modified: modified.map(time),
        changed: changed.map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds }),
    }
}
