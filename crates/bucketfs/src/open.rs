//! Open files: creating, opening, reading, writing, closing.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sandkeep_vfs::{Caller, Entry, Errno, FileHandle, FileKind, Inode, OpenFlags, Opened};

use crate::content_types::content_type;
use crate::core::Core;
use crate::errno::Result;
use crate::listing::Child;
use crate::metadata::Stored;
use crate::names;
use crate::node::{Collision, Failure, Node, Version};
use crate::write::Draft;

/// Set-group-id bit of a directory: what is made in it has its group, see inode(7).
const SET_GROUP_ID: u32 = 0o2000;

/// Bits of a handle below its number, so that it says by itself how the file was opened.
const HANDLE_WRITE: u64 = 1;
const HANDLE_APPEND: u64 = 2;
const HANDLE_BITS: u32 = 2;

impl Core {
    /// Attributes of something new in a directory.
    pub(crate) fn new_stored(
        &self,
        caller: Caller,
        parent: &Node,
        name: &[u8],
        kind: FileKind,
        mode: u32,
    ) -> Stored {
        let owner = self.settings.owner;
        let (inherited, parent_group) = {
            let state = parent.state();
            (state.stored.permissions & SET_GROUP_ID != 0, state.stored.gid)
        };
        let gid = if inherited { parent_group } else { owner.inward(caller.gid) };
        let mode = if inherited && kind == FileKind::Directory { mode | SET_GROUP_ID } else { mode };
        let mut stored = Stored::new(kind, mode, (owner.inward(caller.uid), gid), self.now());
        if kind == FileKind::File {
            stored.foreign.content_type = Some(content_type(name).to_owned());
        }
        stored
    }

    /// Creates and opens a file. It reaches the bucket when it is first closed.
    pub(crate) async fn create(
        self: &Arc<Self>,
        caller: Caller,
        parent: Inode,
        name: &[u8],
        permissions: u32,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        self.expect_writable()?;
        names::check(name)?;
        let (directory, path) = self.directory(parent)?;
        // Keys have a limit of their own, best met before anything is written.
        self.names.object(&names::join(&path, name))?;
        let vacancy = self.vacancy(&directory, name);
        let there = match self.table.child(parent, name) {
            None if vacancy.is_some() => None,
            _ => self.child(&directory, name).await?,
        };
        if let Some(node) = there {
            return self.open_existing(caller, &node, flags).await;
        }
        let stored = self.new_stored(caller, &directory, name, FileKind::File, permissions);
        let now = self.clock.monotonic();
        let make = |inode, generation| Node::object(inode, generation, stored, None, now);
        let node = self.table.get_or_insert(parent, name, make).ok_or(Errno::ENOENT)?;
        {
            let mut state = node.state();
            state.file.exclusive = flags.exclusive();
            state.file.presumed = vacancy.filter(|vacancy| !vacancy.proven).map(|_| collision(flags));
            state.changed_by_us(now);
        }
        self.note_child(parent, name, Some(Child::Local(FileKind::File)));
        self.habits.made(caller.pid, parent, name);
        let opened = self.opened(&node, flags)?;
        Ok((self.entry(&node), opened))
    }

    async fn open_existing(
        self: &Arc<Self>,
        caller: Caller,
        node: &Arc<Node>,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        if flags.exclusive() {
            return Err(Errno::EEXIST);
        }
        let opened = self.open(caller, node.inode, flags).await?;
        Ok((self.entry(node), opened))
    }

    /// Opens a file.
    pub(crate) async fn open(
        self: &Arc<Self>,
        caller: Caller,
        inode: Inode,
        flags: OpenFlags,
    ) -> Result<Opened> {
        let node = self.node(inode)?;
        if node.is_directory() {
            return Err(Errno::EISDIR);
        }
        if flags.write() || flags.truncate() {
            self.expect_writable()?;
        }
        // ESTALE makes the kernel look the name up again.
        if !self.revalidate(&node).await? {
            return Err(Errno::ESTALE);
        }
        if !flags.write() {
            self.read_along(caller.pid, &node);
            self.take_fetched(&node).await;
            self.prove(&node).await?;
        }
        let opened = self.opened(&node, flags)?;
        if flags.truncate() {
            let _turn = node.turn().await;
            self.resize(&node, 0).await?;
        }
        Ok(opened)
    }

    /// Proves by its first bytes, which are about to be read, that a version is still the bucket's. ESTALE if not: the
    /// kernel, which would read only as many bytes as the old one had, looks the name up again.
    async fn prove(self: &Arc<Self>, node: &Arc<Node>) -> Result<()> {
        let known = {
            let file = &node.state().file;
            let tag = file.version.as_ref().map(|version| &version.etag);
            file.draft.is_some()
                || file.reader.is_some()
                || file.removed
                || tag.is_none()
                || file.served.as_ref() == tag
        };
        if known {
            return Ok(());
        }
        let Some(base) = self.base(node)? else { return Ok(()) };
        if base.reader.fetch_first(self, &base.key).await {
            return Ok(());
        }
        node.state().file.reader = None;
        self.distrust(node);
        let Some(path) = self.table.path(node.inode) else { return Err(Errno::ESTALE) };
        // Listings have told of the version that is gone.
        let alive = self.ask_object(node, &path).await?;
        if !alive {
            self.table.detach(node.inode);
        }
        let current = node.state().file.version.clone();
        let same = current.is_some_and(|current| current.etag == base.reader.version.etag);
        if alive && same { Ok(()) } else { Err(Errno::ESTALE) }
    }

    fn opened(&self, node: &Node, flags: OpenFlags) -> Result<Opened> {
        let mut state = node.state();
        // Its name has gone since it was looked up, and with it whatever would be written.
        if state.file.removed && state.opens == 0 {
            return Err(Errno::ESTALE);
        }
        state.opens += 1;
        state.file.writers += u32::from(flags.write());
        let tag = state.file.version.as_ref().map(|version| version.etag.clone());
        // Pages of a file under construction were written through this mount.
        let written_here = state.file.draft.is_some() && state.file.failure.is_none();
        let keep_cache = written_here || state.file.served == tag;
        state.file.served = tag;
        let bits = u64::from(flags.write()) * HANDLE_WRITE + u64::from(flags.append()) * HANDLE_APPEND;
        let handle = FileHandle(self.next_handle() << HANDLE_BITS | bits);
        Ok(Opened { handle, keep_cache, direct_io: false })
    }

    /// Reads from whatever the file now is: the bucket's version or the one under construction.
    pub(crate) async fn read(self: &Arc<Self>, inode: Inode, offset: u64, size: u32) -> Result<Vec<Bytes>> {
        let node = self.node(inode)?;
        let range = offset..offset.saturating_add(u64::from(size));
        let version = self.version(&node);
        match self.read_once(&node, range.clone()).await {
            // Published by ourselves, or moved, while it was read.
            Err(Errno::ESTALE) if self.version(&node) != version => self.read_once(&node, range).await,
            Err(Errno::ESTALE) => {
                self.distrust(&node);
                Err(Errno::ESTALE)
            }
            result => result,
        }
    }

    fn version(&self, node: &Node) -> (Option<Version>, Option<Vec<u8>>) {
        (node.state().file.version.clone(), self.table.path(node.inode))
    }

    async fn read_once(self: &Arc<Self>, node: &Node, range: Range<u64>) -> Result<Vec<Bytes>> {
        let draft = node.state().file.draft.clone();
        let base = self.base(node)?;
        match (draft, base) {
            (Some(draft), base) => self.draft_bytes(&draft, base.as_ref(), range).await,
            (None, Some(base)) => base.reader.read(self, &base.key, range).await,
            (None, None) if node.state().file.size() == 0 => Ok(Vec::new()),
            (None, None) => Err(Errno::ESTALE),
        }
    }

    /// Writes.
    pub(crate) async fn write(
        self: &Arc<Self>,
        inode: Inode,
        handle: FileHandle,
        offset: u64,
        data: Bytes,
    ) -> Result<()> {
        self.expect_writable()?;
        let node = self.node(inode)?;
        let _turn = node.turn().await;
        let draft = self.draft(&node);
        // The kernel's idea of the end may be older than another client's append.
        let offset = if handle.0 & HANDLE_APPEND != 0 { draft.size() } else { offset };
        let end = offset.checked_add(data.len() as u64).ok_or(Errno::EFBIG)?;
        self.grid().parts_fit(end)?;
        self.expect_changeable(&draft, &(offset..end))?;
        draft.write(offset, data).await?;
        self.written(&node, &draft, offset..end).await
    }

    /// Makes a range within a file zeros. Called with the node's turn.
    pub(crate) async fn zero(self: &Arc<Self>, node: &Node, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let draft = self.draft(node);
        self.expect_changeable(&draft, &range)?;
        draft.zero(range.clone()).await?;
        self.written(node, &draft, range).await
    }

    async fn written(self: &Arc<Self>, node: &Node, draft: &Arc<Draft>, range: Range<u64>) -> Result<()> {
        self.modified(node);
        let sent = self.stream_on(node, draft, &range).await;
        if let Err(errno) = sent {
            node.state().file.failure = Some(Failure::Writing(errno));
        }
        sent
    }

    /// Changes the size. Called with the node's turn.
    pub(crate) async fn resize(self: &Arc<Self>, node: &Node, size: u64) -> Result<()> {
        self.grid().parts_fit(size)?;
        let draft = self.draft(node);
        let old = draft.size();
        self.expect_changeable(&draft, &(size.min(old)..size.max(old)))?;
        draft.shape().resize(size);
        self.outdate_stream(node, size.min(old)..size.max(old));
        self.modified(node);
        Ok(())
    }

    fn modified(&self, node: &Node) {
        let now = self.now();
        let mut state = node.state();
        state.stored.modified = now;
        state.stored.changed = now;
        state.changed_by_us(self.clock.monotonic());
    }

    /// close(2), fsync(2): what was written is in the bucket when this returns Ok.
    pub(crate) async fn flush(self: &Arc<Self>, inode: Inode) -> Result<()> {
        let node = self.node(inode)?;
        if node.is_directory() || !node.state().file.dirty() {
            return Ok(());
        }
        let _turn = node.turn().await;
        let earlier = node.state().file.failure;
        let published = match earlier {
            Some(Failure::Writing(errno)) => Err(errno),
            Some(Failure::Reported(_)) | None => self.publish(&node).await,
        };
        node.state().file.failure = published.err().map(Failure::Reported);
        published
    }

    /// The last descriptor, or the last for writing, is gone: uploads what came after close, such as pages of a mapping.
    pub(crate) async fn release(self: &Arc<Self>, inode: Inode, handle: FileHandle) -> Result<()> {
        let Ok(node) = self.node(inode) else { return Ok(()) };
        let turn = node.turn().await;
        let last = {
            let mut state = node.state();
            state.opens = state.opens.saturating_sub(1);
            let writer = u32::from(handle.0 & HANDLE_WRITE != 0);
            state.file.writers = state.file.writers.saturating_sub(writer);
            // Readers that stay see what the bucket has once the last writer has gone.
            state.opens == 0 || (writer == 1 && state.file.writers == 0)
        };
        let result = match node.state().file.failure.take_if(|_| last) {
            // Publishing now what close() said is lost would surprise: it may be only a part.
            Some(Failure::Writing(errno) | Failure::Reported(errno)) => Err(errno),
            None => Ok(()),
        };
        let result = match result {
            Ok(()) if last => self.publish(&node).await,
            result => result,
        };
        if last {
            self.let_go(&node, result);
        }
        drop(turn);
        self.table.prune(inode);
        result
    }

    /// Nobody has the file open for writing: what could not be uploaded was reported and is given up.
    fn let_go(&self, node: &Node, result: Result<()>) {
        let path = self.table.path(node.inode);
        let mut state = node.state();
        // What has lost its name lives in its draft.
        let draft = if state.file.removed && state.opens > 0 { None } else { state.file.draft.take() };
        let streaming = state.file.streaming.take();
        if state.opens == 0 {
            state.file.reader = None;
        }
        state.file.metadata_dirty = false;
        let never_stored = state.file.version.is_none();
        drop(state);
        drop((draft, streaming));
        if let Err(errno) = result {
            let path = path.map(|path| String::from_utf8_lossy(&path).into_owned());
            tracing::error!(?path, ?errno, "a file was closed without being uploaded; its changes are lost");
            self.distrust(node);
            if never_stored {
                self.discard(node);
            }
        }
    }

    /// Removes a name that never got into the bucket.
    fn discard(&self, node: &Node) {
        {
            let mut state = node.state();
            // Somebody has opened it meanwhile, and will publish what is written then.
            if state.opens > 0 {
                return;
            }
            state.file.removed = true;
        }
        if let Some((parent, name)) = self.table.place(node.inode) {
            self.table.detach(node.inode);
            self.note_child(parent, &name, None);
        }
    }
}

/// What happens to a file that turns out to be there already.
fn collision(flags: OpenFlags) -> Collision {
    match (flags.truncate(), flags.append()) {
        (true, _) => Collision::Replace,
        (false, true) => Collision::Append,
        (false, false) => Collision::Overlay,
    }
}
