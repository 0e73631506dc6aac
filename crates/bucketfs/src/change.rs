//! chmod, chown, truncate, utimens and extended attributes.

use std::sync::Arc;

use bytes::Bytes;
use sandkeep_objects::WriteConditions;
use sandkeep_vfs::{AttributesReply, Errno, FileKind, Inode, SetAttributes, SetTime, SetXattrFlags};

use crate::core::Core;
use crate::errno::Result;
use crate::metadata::Stored;
use crate::node::Node;

/// The only namespace that programs may store in, see xattr(7).
const USER_NAMESPACE: &[u8] = b"user.";

/// Longest name of an extended attribute, see xattr(7).
const MAX_XATTR_NAME: usize = 255;

/// `FALLOC_FL_KEEP_SIZE` of fallocate(2).
const KEEP_SIZE: i32 = 1;

/// `FALLOC_FL_PUNCH_HOLE`, which comes only with KEEP_SIZE.
const PUNCH_HOLE: i32 = 2 | KEEP_SIZE;

/// `FALLOC_FL_ZERO_RANGE`.
const ZERO_RANGE: i32 = 0x10;

/// Both.
const ZERO_RANGE_KEEPING_SIZE: i32 = ZERO_RANGE | KEEP_SIZE;

impl Core {
    pub(crate) async fn set_attributes(
        self: &Arc<Self>,
        inode: Inode,
        changes: SetAttributes,
    ) -> Result<AttributesReply> {
        self.expect_writable()?;
        let node = self.node(inode)?;
        if changes.size.is_some() && node.is_directory() {
            return Err(Errno::EISDIR);
        }
        let turn = node.turn().await;
        if let Some(size) = changes.size {
            self.truncate(&node, size).await?;
        }
        let attributes = SetAttributes { size: None, ..changes };
        if attributes != SetAttributes::default() {
            self.change(&node, |stored| self.apply(stored, &attributes)).await?;
        }
        drop(turn);
        Ok(self.attributes_reply(&node))
    }

    /// Truncates; at once if nobody has the file open for writing, else with the writer's close.
    async fn truncate(self: &Arc<Self>, node: &Arc<Node>, size: u64) -> Result<()> {
        if !self.revalidate(node).await? {
            return Err(Errno::ESTALE);
        }
        self.resize(node, size).await?;
        if node.state().file.writers > 0 {
            return Ok(());
        }
        let published = self.publish(node).await;
        if published.is_err() {
            // Nobody will close it: the bucket's version stays.
            node.state().file.draft = None;
            self.distrust(node);
        }
        published
    }

    fn apply(&self, stored: &mut Stored, changes: &SetAttributes) -> Result<()> {
        let now = self.now();
        let owner = self.settings.owner;
        let time = |time: SetTime| match time {
            SetTime::Now => now,
            SetTime::To(time) => time,
        };
        stored.permissions =
            changes.permissions.map_or(stored.permissions, |permissions| permissions & 0o7777);
        stored.uid = changes.uid.map_or(stored.uid, |uid| owner.inward(uid));
        stored.gid = changes.gid.map_or(stored.gid, |gid| owner.inward(gid));
        stored.accessed = changes.accessed.map_or(stored.accessed, time);
        stored.modified = changes.modified.map_or(stored.modified, time);
        stored.changed = changes.changed.unwrap_or(now);
        Ok(())
    }

    /// Changes what is stored with a node: at once, or with the content that is to be uploaded anyway. Called with the
    /// node's turn.
    async fn change(
        self: &Arc<Self>,
        node: &Arc<Node>,
        apply: impl FnOnce(&mut Stored) -> Result<()>,
    ) -> Result<()> {
        let before = node.state().shown();
        let mut stored = before.clone();
        apply(&mut stored)?;
        if !stored.fits() {
            return Err(Errno::ENOSPC);
        }
        if node.is_directory() {
            return self.change_directory(node, stored).await;
        }
        let wait = {
            let mut state = node.state();
            state.stored = stored;
            let wait = state.file.removed || state.file.dirty();
            state.file.metadata_dirty = true;
            state.changed_by_us(self.clock.monotonic());
            wait
        };
        if wait {
            return Ok(());
        }
        let published = self.publish(node).await;
        if published.is_err() {
            let mut state = node.state();
            state.stored = before;
            state.file.metadata_dirty = false;
            drop(state);
            self.distrust(node);
        }
        published
    }

    async fn change_directory(&self, node: &Node, stored: Stored) -> Result<()> {
        // The root of a whole bucket has no key: its attributes last as long as the mount.
        let marker = match self.table.path(node.inode) {
            Some(path) => self.names.marker(&path)?,
            None => None,
        };
        if let Some(key) = &marker {
            self.put_object(key, &stored, Bytes::new(), WriteConditions::None).await?;
        }
        let mut state = node.state();
        state.stored = stored;
        state.directory.touched = None;
        state.directory.marker = marker.is_some();
        state.changed_by_us(self.clock.monotonic());
        Ok(())
    }

    pub(crate) async fn get_xattr(&self, inode: Inode, name: &[u8]) -> Result<Vec<u8>> {
        let node = self.node(inode)?;
        self.revalidate(&node).await?;
        if !name.starts_with(USER_NAMESPACE) {
            return Err(Errno::ENODATA);
        }
        let name = std::str::from_utf8(name).map_err(|_| Errno::ENODATA)?;
        let state = node.state();
        state.stored.xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    pub(crate) async fn list_xattrs(&self, inode: Inode) -> Result<Vec<Vec<u8>>> {
        let node = self.node(inode)?;
        self.revalidate(&node).await?;
        let state = node.state();
        Ok(state.stored.xattrs.keys().map(|name| name.clone().into_bytes()).collect())
    }

    pub(crate) async fn set_xattr(
        self: &Arc<Self>,
        inode: Inode,
        name: &[u8],
        value: &[u8],
        flags: SetXattrFlags,
    ) -> Result<()> {
        self.expect_writable()?;
        let name = xattr_name(name)?;
        let node = self.node(inode)?;
        let _turn = node.turn().await;
        self.change(&node, |stored| {
            let there = stored.xattrs.contains_key(&name);
            match (there, flags) {
                (true, SetXattrFlags { create: true, .. }) => return Err(Errno::EEXIST),
                (false, SetXattrFlags { replace: true, .. }) => return Err(Errno::ENODATA),
                _ => {}
            }
            stored.xattrs.insert(name, value.to_vec());
            stored.changed = self.now();
            Ok(())
        })
        .await
    }

    pub(crate) async fn remove_xattr(self: &Arc<Self>, inode: Inode, name: &[u8]) -> Result<()> {
        self.expect_writable()?;
        let name = xattr_name(name)?;
        let node = self.node(inode)?;
        let _turn = node.turn().await;
        self.change(&node, |stored| {
            stored.xattrs.remove(&name).ok_or(Errno::ENODATA)?;
            stored.changed = self.now();
            Ok(())
        })
        .await
    }

    /// Makes room, of which S3 reserves none, so that only the size can change; or makes zeros.
    pub(crate) async fn allocate(
        self: &Arc<Self>,
        inode: Inode,
        offset: u64,
        length: u64,
        mode: i32,
    ) -> Result<()> {
        self.expect_writable()?;
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        let node = self.node(inode)?;
        let _turn = node.turn().await;
        let size = node.state().file.size();
        if matches!(mode, 0 | ZERO_RANGE) && end > size {
            self.resize(&node, end).await?;
        }
        match mode {
            0 | KEEP_SIZE => Ok(()),
            PUNCH_HOLE | ZERO_RANGE | ZERO_RANGE_KEEPING_SIZE => {
                self.zero(&node, offset..end.min(size)).await
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    /// Target of a symbolic link.
    pub(crate) async fn read_link(self: &Arc<Self>, inode: Inode) -> Result<Vec<u8>> {
        let node = self.node(inode)?;
        if node.kind != FileKind::Symlink {
            return Err(Errno::EINVAL);
        }
        if let Some(target) = node.state().file.target.clone() {
            return Ok(target.to_vec());
        }
        let target = self.read(inode, 0, u32::MAX).await?.concat();
        node.state().file.target = Some(target.clone().into());
        Ok(target)
    }

    /// Attributes, asked for again when they are too old.
    pub(crate) async fn attributes(self: &Arc<Self>, inode: Inode) -> Result<AttributesReply> {
        let node = self.node(inode)?;
        let open = node.state().opens > 0;
        self.renew(&node);
        match self.revalidate(&node).await? {
            true => Ok(self.attributes_reply(&node)),
            // Replaced or deleted by others while open: its holder goes on with what it has.
            false if open => Ok(self.attributes_reply(&node)),
            false => Err(Errno::ESTALE),
        }
    }
}

fn xattr_name(name: &[u8]) -> Result<String> {
    if name.len() > MAX_XATTR_NAME {
        return Err(Errno::ERANGE);
    }
    if !name.starts_with(USER_NAMESPACE) {
        return Err(Errno::EOPNOTSUPP);
    }
    String::from_utf8(name.to_vec()).map_err(|_| Errno::EINVAL)
}
