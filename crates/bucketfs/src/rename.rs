//! Renaming: copies on the server, then deletions. Between them both names exist; nothing is ever missing.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{
    ListRequest, ListedObject, MetadataDirective, ObjectKey, PutResponse, WriteConditions,
};
use sandkeep_vfs::{Caller, Errno, Inode, RenameFlags};

use crate::core::Core;
use crate::errno::{Result, failed, unsupported};
use crate::listing::Child;
use crate::names;
use crate::node::{Node, Version};
use crate::remote::list_failed;

/// DeleteObjects takes so many keys.
const DELETE_BATCH: usize = 1000;

/// A name: the directory, its path, the name in it.
struct Place<'a> {
    directory: Arc<Node>,
    path: Vec<u8>,
    name: &'a [u8],
}

impl Place<'_> {
    fn full_path(&self) -> Vec<u8> {
        names::join(&self.path, self.name)
    }
}

/// A key to be moved.
struct Move {
    object: ListedObject,
    to: ObjectKey,
}

impl Core {
    /// Whether a rename may move many keys, and must be alone.
    pub(crate) async fn renames_directory(&self, from: (Inode, &[u8])) -> Result<bool> {
        let (directory, _) = self.directory(from.0)?;
        Ok(self.victim(&directory, from.1).await?.is_some_and(|node| node.is_directory()))
    }

    pub(crate) async fn rename(
        self: &Arc<Self>,
        caller: Caller,
        from: (Inode, &[u8]),
        to: (Inode, &[u8]),
        flags: RenameFlags,
    ) -> Result<()> {
        self.expect_writable()?;
        names::check(to.1)?;
        if flags.exchange || flags.whiteout {
            return Err(Errno::EINVAL);
        }
        let (from, to) = (self.place_of(from)?, self.place_of(to)?);
        let source = self.victim(&from.directory, from.name).await?.ok_or(Errno::ENOENT)?;
        let target = match source.is_directory() {
            // A directory that came since must not be merged with the one that is moved.
            true => self.child(&to.directory, to.name).await?,
            false => self.occupant(&to.directory, to.name).await?,
        };
        if target.as_ref().is_some_and(|target| target.inode == source.inode) {
            return Ok(());
        }
        let target = target.map(|target| replaceable(&source, target, flags)).transpose()?;
        match source.is_directory() {
            true => self.rename_directory(&from, &to, &source, target.as_ref()).await?,
            false => self.rename_file(&from, &to, &source, target.as_ref(), flags).await?,
        }
        self.habits.made(caller.pid, to.directory.inode, to.name);
        Ok(())
    }

    fn place_of<'a>(&self, (inode, name): (Inode, &'a [u8])) -> Result<Place<'a>> {
        let (directory, path) = self.directory(inode)?;
        Ok(Place { directory, path, name })
    }

    async fn rename_file(
        self: &Arc<Self>,
        from: &Place<'_>,
        to: &Place<'_>,
        source: &Arc<Node>,
        target: Option<&Arc<Node>>,
        flags: RenameFlags,
    ) -> Result<()> {
        // Turns are taken in the order of numbers, so that two renames cannot wait for each other.
        let mut nodes: Vec<&Arc<Node>> = std::iter::once(source).chain(target).collect();
        nodes.sort_by_key(|node| node.inode);
        let mut turns = Vec::new();
        for node in nodes {
            turns.push(node.turn().await);
        }
        self.expect_movable(source)?;
        if let Some(target) = target {
            self.keep_if_open(target).await?;
        }
        if from.directory.inode != to.directory.inode {
            self.keep_directory(&from.directory, &from.path, from.name).await?;
        }
        let (old, new) = (self.names.object(&from.full_path())?, self.names.object(&to.full_path())?);
        let uploaded = self.copy_file(source, &old, &new, flags).await?;
        if let Some(target) = target {
            self.remove_node(target);
        }
        self.moved(from, to, source, Child::Local(source.kind));
        let deleted = if uploaded { self.delete(&old).await } else { Ok(()) };
        if deleted.is_err() {
            self.moved_back(from, to, source, Child::Local(source.kind));
        }
        deleted
    }

    /// A failed rename: the kernel goes on with the old name, which the bucket still has, and so does the node. What
    /// is at the new name will be asked.
    fn moved_back(&self, from: &Place<'_>, to: &Place<'_>, source: &Arc<Node>, child: Child) {
        self.moved(to, from, source, child);
        for node in self.nodes_below(source) {
            node.state().directory.listing = None;
            self.distrust(&node);
        }
    }

    /// Copies what the bucket has of a file; false if it has nothing.
    async fn copy_file(
        &self,
        node: &Arc<Node>,
        old: &ObjectKey,
        new: &ObjectKey,
        flags: RenameFlags,
    ) -> Result<bool> {
        let conditions = if flags.no_replace { WriteConditions::IfAbsent } else { WriteConditions::None };
        let version = node.state().file.version.clone();
        let Some(version) = version else {
            node.state().file.exclusive = flags.no_replace;
            return Ok(false);
        };
        let copied = self.copy_object(old, new, &version, MetadataDirective::Copy, conditions).await;
        let (version, response) = match copied {
            Err(Errno::ESTALE) if !flags.no_replace => self.copy_current(node, old, new).await?,
            result => {
                (version, result.map_err(|errno| if errno == Errno::ESTALE { Errno::EEXIST } else { errno })?)
            }
        };
        self.copied(node, &version, response);
        Ok(true)
    }

    /// Copies whatever another client has put there meanwhile.
    async fn copy_current(
        &self,
        node: &Arc<Node>,
        old: &ObjectKey,
        new: &ObjectKey,
    ) -> Result<(Version, PutResponse)> {
        self.distrust(node);
        let info = self.head(old).await?.ok_or(Errno::ENOENT)?;
        let version = crate::lookup::version(&info);
        let response =
            self.copy_object(old, new, &version, MetadataDirective::Copy, WriteConditions::None).await?;
        Ok((version, response))
    }

    fn moved(&self, from: &Place<'_>, to: &Place<'_>, node: &Node, child: Child) {
        self.table.relocate(node.inode, to.directory.inode, to.name);
        self.note_child(from.directory.inode, from.name, None);
        self.note_child(to.directory.inode, to.name, Some(child));
    }

    /// EBUSY if parts of a file can neither be moved nor sent again.
    fn expect_movable(&self, node: &Node) -> Result<()> {
        let draft = node.state().file.draft.clone();
        let stuck = draft.is_some_and(|draft| draft.shape().gone.total() > 0);
        if stuck { Err(Errno::EBUSY) } else { Ok(()) }
    }

    async fn rename_directory(
        self: &Arc<Self>,
        from: &Place<'_>,
        to: &Place<'_>,
        source: &Arc<Node>,
        target: Option<&Arc<Node>>,
    ) -> Result<()> {
        let (old, new) = (self.names.below(&from.full_path()), self.names.below(&to.full_path()));
        if new.starts_with(&old) {
            return Err(Errno::EINVAL);
        }
        let below = self.nodes_below(source);
        below.iter().try_for_each(|node| self.expect_movable(node))?;
        if let Some(target) = target {
            self.expect_empty(target, &to.full_path()).await?;
        }
        self.walks.end();
        let moves = self.moves(&old, &new).await?;
        self.keep_directory(&from.directory, &from.path, from.name).await?;
        let copies = self.copy_all(&moves).await?;
        for (item, response) in moves.iter().zip(copies) {
            self.note_copy(item, response, &old, &from.full_path());
        }
        for node in below.iter().filter(|node| node.is_directory()) {
            node.state().directory.listing = None;
        }
        if let Some(target) = target {
            self.table.detach(target.inode);
        }
        self.moved(from, to, source, Child::Directory);
        source.state().changed_by_us(self.clock.monotonic());
        let deleted = self.delete_all(moves.into_iter().map(|item| item.object.key).collect()).await;
        if deleted.is_err() {
            self.moved_back(from, to, source, Child::Directory);
        }
        deleted
    }

    /// A directory and all known nodes below it.
    fn nodes_below(&self, node: &Arc<Node>) -> Vec<Arc<Node>> {
        let mut nodes = vec![Arc::clone(node)];
        let mut next = 0;
        while next < nodes.len() {
            nodes.extend(self.table.children(nodes[next].inode).into_iter().map(|(_, child)| child));
            next += 1;
        }
        nodes
    }

    /// Every key below a directory, also those that no path leads to, with its new name.
    async fn moves(&self, old: &[u8], new: &[u8]) -> Result<Vec<Move>> {
        let mut moves = Vec::new();
        let mut continuation = None;
        loop {
            let request = ListRequest { prefix: old.to_vec(), continuation, ..ListRequest::default() };
            let page = {
                let _request = self.request().await?;
                self.store.list(request).await.map_err(|error| list_failed(old, &error))?
            };
            for object in page.objects {
                let to = ObjectKey::new([new, &object.key.as_bytes()[old.len()..]].concat());
                moves.push(Move { object, to: to.map_err(|_| Errno::ENAMETOOLONG)? });
            }
            continuation = page.next;
            if continuation.is_none() {
                return Ok(moves);
            }
        }
    }

    /// Copies all or, after a failure, takes back what was copied.
    async fn copy_all(&self, moves: &[Move]) -> Result<Vec<PutResponse>> {
        let copies: Vec<_> = (0..moves.len()).map(|index| self.copy_one(&moves[index])).collect();
        let copies = stream::iter(copies).buffered(self.settings.metadata_requests.max(1));
        let failure = match copies.try_collect().await {
            Ok(responses) => return Ok(responses),
            Err(errno) => errno,
        };
        let copies = moves.iter().map(|item| item.to.clone()).collect();
        if let Err(errno) = self.delete_all(copies).await {
            tracing::error!(
                ?errno,
                "copies of a directory that could not be renamed are left under the new name"
            );
        }
        Err(failure)
    }

    async fn copy_one(&self, item: &Move) -> Result<PutResponse> {
        let object = &item.object;
        let version = listed_version(object);
        self.copy_object(&object.key, &item.to, &version, MetadataDirective::Copy, WriteConditions::None)
            .await
    }

    fn note_copy(&self, item: &Move, response: PutResponse, old: &[u8], path: &[u8]) {
        let name = &item.object.key.as_bytes()[old.len()..];
        let Some(node) = self.table.at(&names::join(path, name)).filter(|node| !node.is_directory()) else {
            return;
        };
        let version = node.state().file.version.clone();
        match version {
            Some(version) if version.etag == item.object.etag => self.copied(&node, &version, response),
            _ => self.distrust(&node),
        }
    }

    /// Deletes many keys.
    async fn delete_all(&self, keys: Vec<ObjectKey>) -> Result<()> {
        for batch in keys.chunks(DELETE_BATCH) {
            let outcomes = {
                let _request = self.request().await?;
                self.store.delete_many(batch).await
            };
            match outcomes {
                Ok(outcomes) => {
                    let failure =
                        batch.iter().zip(outcomes).find_map(|(key, outcome)| Some((key, outcome.err()?)));
                    if let Some((key, error)) = failure {
                        return Err(failed("delete_many", key, &error));
                    }
                }
                Err(error) if unsupported(&error) => self.delete_each(batch).await?,
                Err(error) => return Err(failed("delete_many", &batch[0], &error)),
            }
        }
        Ok(())
    }

    async fn delete_each(&self, keys: &[ObjectKey]) -> Result<()> {
        let deletions: Vec<_> = keys.iter().map(|key| self.delete(key)).collect();
        stream::iter(deletions).buffer_unordered(self.settings.metadata_requests.max(1)).try_collect().await
    }
}

fn listed_version(object: &ListedObject) -> Version {
    Version { etag: object.etag.clone(), size: object.size, last_modified: Some(object.last_modified) }
}

/// Whether one may take the other's name, see rename(2).
fn replaceable(source: &Node, target: Arc<Node>, flags: RenameFlags) -> Result<Arc<Node>> {
    match (source.is_directory(), target.is_directory()) {
        _ if flags.no_replace => Err(Errno::EEXIST),
        (true, false) => Err(Errno::ENOTDIR),
        (false, true) => Err(Errno::EISDIR),
        _ => Ok(target),
    }
}
