//! Putting a whole version of a file into the bucket: at once, or not at all.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{
    Body, CompletedPart, CopySource, ETag, Error, MetadataDirective, ObjectKey, PutRequest, PutResponse,
    Upload, WriteConditions,
};
use sandkeep_vfs::{Errno, FileKind};

use crate::core::{Core, pinned};
use crate::errno::{Result, failed, unsupported};
use crate::listing::Child;
use crate::metadata::Stored;
use crate::node::{Collision, Node, Version};
use crate::write::assemble::{Base, joined};
use crate::write::draft::Draft;
use crate::write::parts::PlannedPart;
use crate::write::stream::{PendingUpload, Streaming};

impl Core {
    /// Uploads what a node has that the bucket has not. Called with the node's turn.
    pub(crate) async fn publish(self: &Arc<Self>, node: &Arc<Node>) -> Result<()> {
        let (content, metadata) = {
            let state = node.state();
            (
                state.file.dirty() && state.file.content_dirty(),
                state.file.dirty() && state.file.metadata_dirty,
            )
        };
        if !content && !metadata {
            return Ok(());
        }
        let key = self.key(node)?.ok_or(Errno::ESTALE)?;
        if content {
            self.publish_content(node, &key).await?;
        }
        // A streamed upload has the attributes of its beginning.
        let metadata_left = node.state().file.metadata_dirty;
        if metadata_left {
            self.publish_metadata(node, &key).await?;
        }
        if let Some((parent, name)) = self.table.place(node.inode) {
            self.note_content(parent, &name, node.kind);
        }
        Ok(())
    }

    async fn publish_content(self: &Arc<Self>, node: &Arc<Node>, key: &ObjectKey) -> Result<()> {
        let draft = self.draft(node);
        let size = draft.size();
        let (stored, exclusive, presumed) = {
            let state = node.state();
            (state.stored.clone(), state.file.exclusive, state.file.presumed)
        };
        // Of large files the last close wins, as of all that two write at once.
        let presumed = presumed.filter(|_| size <= self.settings.part_size);
        let absent = exclusive || presumed.is_some();
        let conditions = if absent { WriteConditions::IfAbsent } else { WriteConditions::None };
        let streaming = self.streaming_to(node, key, size);
        let result = match streaming {
            _ if size <= self.settings.part_size => {
                self.put_draft(node, key, &draft, &stored, conditions).await
            }
            Some(streaming) => self.complete_streaming(node, &draft, streaming, conditions).await,
            None => self.put_parts(node, key, &draft, &stored, conditions).await,
        };
        match result {
            Err(Errno::ESTALE) if absent => self.collided(node, key, &draft, &stored, presumed).await,
            result => {
                self.published(node, &draft, result?, size);
                Ok(())
            }
        }
    }

    /// The bucket has an object where a new file was to be put: by our own request whose answer was lost, or by others.
    async fn collided(
        self: &Arc<Self>,
        node: &Arc<Node>,
        key: &ObjectKey,
        draft: &Arc<Draft>,
        stored: &Stored,
        presumed: Option<Collision>,
    ) -> Result<()> {
        let there = self.head(key).await?;
        if let Some(info) =
            there.as_ref().filter(|info| info.size == draft.size() && info.metadata == stored.encode())
        {
            let response = PutResponse { etag: info.etag.clone(), last_modified: Some(info.last_modified) };
            self.published(node, draft, response, info.size);
            node.state().file.metadata_dirty = false;
            return Ok(());
        }
        if node.state().file.exclusive {
            return Err(Errno::EEXIST);
        }
        node.state().file.presumed = None;
        if let (Some(info), Some(Collision::Overlay | Collision::Append)) = (there, presumed) {
            let shift = if presumed == Some(Collision::Append) { info.size } else { 0 };
            draft.rebase(info.size, shift).await?;
            node.state().file.set_version(crate::lookup::version(&info));
        }
        Box::pin(self.publish_content(node, key)).await
    }

    /// The upload that was begun while writing, if it still is for this key and worth completing.
    fn streaming_to(&self, node: &Node, key: &ObjectKey, size: u64) -> Option<Streaming> {
        let streaming = node.state().file.streaming.take();
        streaming.filter(|streaming| streaming.pending.upload.key == *key && size > self.settings.part_size)
    }

    fn published(&self, node: &Node, draft: &Draft, response: PutResponse, size: u64) {
        draft.shape().published();
        let mut state = node.state();
        let version = Version { etag: response.etag, size, last_modified: response.last_modified };
        state.file.served = Some(version.etag.clone());
        state.file.set_version(version);
        state.file.exclusive = false;
        state.file.presumed = None;
        if state.file.writers == 0 {
            state.file.draft = None;
        }
        state.changed_by_us(self.clock.monotonic());
    }

    /// One PUT.
    async fn put_draft(
        self: &Arc<Self>,
        node: &Node,
        key: &ObjectKey,
        draft: &Draft,
        stored: &Stored,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let _memory = self.claim_upload_memory(draft.size()).await?;
        let base = self.base(node)?;
        let bytes = joined(self.draft_bytes(draft, base.as_ref(), 0..draft.size()).await?);
        let response = self.put_object(key, stored, bytes, conditions).await?;
        node.state().file.metadata_dirty = false;
        Ok(response)
    }

    /// One PUT of given bytes; where the provider has no conditions, after looking.
    pub(crate) async fn put_object(
        &self,
        key: &ObjectKey,
        stored: &Stored,
        bytes: bytes::Bytes,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let request = PutRequest { key: key.clone(), metadata: stored.encode(), conditions };
        let conditional = request.conditions != WriteConditions::None;
        match self.store.put(request.clone(), Body::Bytes(bytes.clone())).await {
            Err(error) if conditional && unsupported(&error) => {
                self.unconditional.store(true, Ordering::Relaxed);
                self.expect_absent(key).await?;
                let request = PutRequest { conditions: WriteConditions::None, ..request };
                self.store.put(request, Body::Bytes(bytes)).await.map_err(|error| failed("put", key, &error))
            }
            result => result.map_err(|error| failed("put", key, &error)),
        }
    }

    async fn expect_absent(&self, key: &ObjectKey) -> Result<()> {
        match self.head(key).await? {
            Some(_) => Err(Errno::ESTALE),
            None => Ok(()),
        }
    }

    /// Completes the upload that ran while the file was written; after a failure its parts are kept for the next try.
    async fn complete_streaming(
        self: &Arc<Self>,
        node: &Node,
        draft: &Arc<Draft>,
        mut streaming: Streaming,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let ranges = self.grid().parts(draft.size())?;
        let parts = match streaming.finish(self, draft, &ranges).await {
            Ok(parts) => parts,
            Err(errno) => {
                node.state().file.streaming = Some(streaming);
                return Err(errno);
            }
        };
        let response = self.complete(&mut streaming.pending, &parts, conditions).await?;
        let mut state = node.state();
        if !state.file.metadata_dirty {
            // The times that the bucket has now: those of the beginning of the upload.
            state.stored = streaming.stored.clone();
        }
        Ok(response)
    }

    /// A multipart upload made now: what is unchanged is copied on the server, the rest is sent.
    async fn put_parts(
        self: &Arc<Self>,
        node: &Node,
        key: &ObjectKey,
        draft: &Arc<Draft>,
        stored: &Stored,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let plan = self.grid().plan(&draft.shape().clone())?;
        let base = self.base(node)?;
        let mut pending = self.begin_upload(key, stored).await?;
        let upload = pending.upload.clone();
        let numbered =
            (1..).zip(plan).map(|(number, part)| self.put_part(&upload, number, part, draft, base.as_ref()));
        let mut parts: Vec<CompletedPart> =
            stream::iter(numbered).buffer_unordered(self.settings.transfers.max(1)).try_collect().await?;
        parts.sort_by_key(|part| part.number);
        let response = self.complete(&mut pending, &parts, conditions).await?;
        node.state().file.metadata_dirty = false;
        Ok(response)
    }

    async fn put_part(
        self: &Arc<Self>,
        upload: &Upload,
        number: u32,
        part: PlannedPart,
        draft: &Arc<Draft>,
        base: Option<&Base>,
    ) -> Result<CompletedPart> {
        if let Some(base) = base.filter(|_| part.copy)
            && let Some(etag) = self.copy_part(upload, number, base, &part).await?
        {
            return Ok(CompletedPart { number, etag });
        }
        let etag = self.send_part(upload, number, draft, base, part.range).await?;
        Ok(CompletedPart { number, etag })
    }

    /// Copies a part on the server; none if it cannot.
    async fn copy_part(
        &self,
        upload: &Upload,
        number: u32,
        base: &Base,
        part: &PlannedPart,
    ) -> Result<Option<ETag>> {
        let conditions = pinned(&base.reader.version.etag);
        let source = CopySource { bucket: None, key: base.key.clone(), conditions };
        match self.store.upload_part_copy(upload, number, source, part.range.clone()).await {
            Ok(etag) => Ok(Some(etag)),
            Err(error) if unsupported(&error) => Ok(None),
            Err(error) => Err(failed("upload_part_copy", &base.key, &error)),
        }
    }

    /// Publishes an upload.
    pub(crate) async fn complete(
        &self,
        pending: &mut PendingUpload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let upload = pending.upload.clone();
        let conditional = conditions != WriteConditions::None;
        let mut result = self.store.complete_upload(&upload, parts, conditions).await;
        if conditional && result.as_ref().is_err_and(unsupported) {
            self.expect_absent(&upload.key).await?;
            result = self.store.complete_upload(&upload, parts, WriteConditions::None).await;
        }
        // An upload that the store no longer has needs no abort.
        if matches!(result, Ok(_) | Err(Error::NoSuchUpload { .. })) {
            pending.completed();
        }
        result.map_err(|error| failed("complete_upload", &upload.key, &error))
    }

    /// Replaces the metadata of a node's object by a copy onto itself.
    pub(crate) async fn publish_metadata(&self, node: &Node, key: &ObjectKey) -> Result<()> {
        let (stored, version) = {
            let state = node.state();
            (state.stored.clone(), state.file.version.clone())
        };
        let Some(version) = version else { return Ok(()) };
        let response = self
            .copy_object(
                key,
                key,
                &version,
                MetadataDirective::Replace(stored.encode()),
                WriteConditions::None,
            )
            .await?;
        self.copied(node, &version, response);
        node.state().file.metadata_dirty = false;
        Ok(())
    }

    /// Notes that a node's object was copied, which may have given the same bytes another tag.
    pub(crate) fn copied(&self, node: &Node, version: &Version, response: PutResponse) {
        let mut state = node.state();
        if state.file.served.as_ref() == Some(&version.etag) {
            state.file.served = Some(response.etag.clone());
        }
        let version =
            Version { etag: response.etag, size: version.size, last_modified: response.last_modified };
        state.file.set_version(version);
        state.changed_by_us(self.clock.monotonic());
    }

    /// Notes in the directory's listing that a name has content of ours.
    fn note_content(&self, parent: sandkeep_vfs::Inode, name: &[u8], kind: FileKind) {
        if let Some(parent) = self.table.get(parent) {
            self.outdate_walk(parent.inode);
            parent.state().directory.note_local(name, Child::Local(kind));
        }
    }
}
