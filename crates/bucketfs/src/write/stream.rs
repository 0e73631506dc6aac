//! Parts that leave for the bucket while their file is still being written.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{Body, CompletedPart, CreateUpload, ETag, Error, ObjectKey, ObjectStore, Upload};
use sandkeep_vfs::Errno;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::core::{Core, memory_units};
use crate::errno::{Result, failed};
use crate::metadata::Stored;
use crate::node::Node;
use crate::write::assemble::{Base, joined};
use crate::write::draft::Draft;
use crate::write::journal::UploadJournal;
use crate::write::parts::{Grid, MAX_PARTS};

/// Larger parts are read from the spool while they are sent.
const MAX_BUFFERED_PART: u64 = 16 << 20;

/// Step in which they are read.
const STREAM_STEP: u64 = 1 << 20;

/// What one of them claims: the step being sent, the next, and what the connection holds.
const STREAM_MEMORY: u64 = 4 << 20;

/// How often one of them is sent before its failure is final.
const STREAM_ATTEMPTS: u32 = 4;

/// Pause after the first failure; grows with each.
const STREAM_PAUSE: Duration = Duration::from_millis(250);

/// A multipart upload that is aborted unless it is completed.
pub(crate) struct PendingUpload {
    pub(crate) upload: Upload,
    store: Arc<dyn ObjectStore>,
    journal: Option<Arc<UploadJournal>>,
    runtime: Handle,
    completed: bool,
}

impl fmt::Debug for PendingUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PendingUpload").field(&self.upload).finish()
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        if self.completed {
            return;
        }
        let (store, upload, journal) = (Arc::clone(&self.store), self.upload.clone(), self.journal.clone());
        self.runtime.spawn(async move {
            match store.abort_upload(&upload).await {
                Ok(()) => journal.iter().for_each(|journal| journal.ended(&upload)),
                Err(error) => {
                    tracing::warn!(key = %upload.key.display(), %error, "an upload could not be aborted");
                }
            }
        });
    }
}

impl PendingUpload {
    /// Nothing is left to abort.
    pub(crate) fn completed(&mut self) {
        self.completed = true;
        self.journal.iter().for_each(|journal| journal.ended(&self.upload));
    }
}

/// An upload under way, with what it has sent.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) pending: PendingUpload,
    /// What the object will carry: fixed when the upload began.
    pub(crate) stored: Stored,
    parts: Vec<StreamPart>,
}

#[derive(Debug)]
struct StreamPart {
    range: Range<u64>,
    task: Option<JoinHandle<Result<ETag>>>,
    etag: Option<ETag>,
    /// Written again since it was sent.
    stale: bool,
}

impl Core {
    /// How this mount cuts files.
    pub(crate) fn grid(&self) -> Grid {
        match self.settings.equal_parts || self.store.wants_equal_parts() {
            true => Grid::equal(self.settings.part_size),
            false => Grid::growing(self.settings.part_size),
        }
    }

    /// Begins a multipart upload.
    pub(crate) async fn begin_upload(&self, key: &ObjectKey, stored: &Stored) -> Result<PendingUpload> {
        self.begin_upload_with(CreateUpload { key: key.clone(), metadata: stored.encode() }).await
    }

    /// Begins a multipart upload with these headers.
    pub(crate) async fn begin_upload_with(&self, request: CreateUpload) -> Result<PendingUpload> {
        let key = request.key.clone();
        let upload =
            self.store.create_upload(request).await.map_err(|error| failed("create_upload", &key, &error))?;
        self.journal.iter().for_each(|journal| journal.begun(&upload));
        Ok(PendingUpload {
            upload,
            store: Arc::clone(&self.store),
            journal: self.journal.clone(),
            runtime: self.runtime.clone(),
            completed: false,
        })
    }

    /// Sends one part of a draft; waits for memory and for its turn among the transfers.
    pub(crate) async fn send_part(
        self: &Arc<Self>,
        upload: &Upload,
        number: u32,
        draft: &Arc<Draft>,
        base: Option<&Base>,
        range: Range<u64>,
    ) -> Result<ETag> {
        let _transfer = self.transfers.acquire().await.map_err(|_| Errno::EIO)?;
        let length = range.end - range.start;
        let sent = if length <= MAX_BUFFERED_PART {
            let _memory = self.claim_upload_memory(length).await?;
            let bytes = joined(self.draft_bytes(draft, base, range).await?);
            self.store.upload_part(upload, number, Body::Bytes(bytes)).await
        } else {
            let _memory = self.claim_upload_memory(STREAM_MEMORY).await?;
            self.stream_part(upload, number, draft, base, range).await
        };
        sent.map_err(|error| failed("upload_part", &upload.key, &error))
    }

    /// Sends a part that is too large for memory. The store cannot send such a body again, so this does.
    async fn stream_part(
        self: &Arc<Self>,
        upload: &Upload,
        number: u32,
        draft: &Arc<Draft>,
        base: Option<&Base>,
        range: Range<u64>,
    ) -> sandkeep_objects::Result<ETag> {
        let mut attempt = 1;
        loop {
            let length = range.end - range.start;
            let stream = self.draft_stream(Arc::clone(draft), base.cloned(), range.clone());
            match self.store.upload_part(upload, number, Body::Stream { length, stream }).await {
                Err(error) if attempt < STREAM_ATTEMPTS && is_passing(&error) => {
                    tracing::debug!(%error, attempt, number, "a part is sent again");
                    tokio::time::sleep(STREAM_PAUSE * attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn draft_stream(
        self: &Arc<Self>,
        draft: Arc<Draft>,
        base: Option<Base>,
        range: Range<u64>,
    ) -> sandkeep_objects::ByteStream {
        let core = Arc::clone(self);
        let starts = (range.start..range.end).step_by(STREAM_STEP as usize);
        let steps = starts.map(move |start| start..range.end.min(start + STREAM_STEP));
        let bytes = stream::iter(steps).then(move |step| {
            let (core, draft, base) = (Arc::clone(&core), Arc::clone(&draft), base.clone());
            async move {
                let bytes = core.draft_bytes(&draft, base.as_ref(), step).await.map(joined);
                bytes.map_err(|errno| Error::Corrupt { what: format!("what was written is lost ({errno})") })
            }
        });
        bytes.boxed()
    }

    /// Waits for memory for an upload.
    pub(crate) async fn claim_upload_memory(&self, bytes: u64) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let units = memory_units(bytes).min(memory_units(self.settings.memory_budget / 2));
        self.upload_memory.acquire_many(units).await.map_err(|_| Errno::EIO)
    }

    /// Refuses to change what was sent and let go.
    pub(crate) fn expect_changeable(&self, draft: &Draft, range: &Range<u64>) -> Result<()> {
        let lost = draft.shape().gone.intersects(range);
        if lost { Err(Errno::ENOSPC) } else { Ok(()) }
    }

    /// Notes that a range of a node differs from what may have been sent.
    pub(crate) fn outdate_stream(&self, node: &Node, range: Range<u64>) {
        if let Some(streaming) = &mut node.state().file.streaming {
            streaming.outdate(&range);
        }
    }

    /// Sends what a write has completed. Called with the node's turn.
    pub(crate) async fn stream_on(
        self: &Arc<Self>,
        node: &Node,
        draft: &Arc<Draft>,
        written: &Range<u64>,
    ) -> Result<()> {
        let Some(mut streaming) = self.streaming(node, draft).await? else { return Ok(()) };
        streaming.outdate(written);
        let ready = draft.shape().ready();
        let started = streaming.start_parts(self, draft, ready);
        let held_up = streaming.hold_up(self.settings.transfers.max(1), self.settings.spool_limit / 2).await;
        streaming.let_go(draft, self.settings.spool_limit).await;
        node.state().file.streaming = Some(streaming);
        started.and(held_up)
    }

    /// The upload of a node that is written in order, begun when it has a full part and more.
    async fn streaming(&self, node: &Node, draft: &Draft) -> Result<Option<Streaming>> {
        if let Some(streaming) = node.state().file.streaming.take() {
            return Ok(Some(streaming));
        }
        let worthwhile = draft.shape().ready() > self.grid().part(0).end;
        let Some(key) = self.key(node)?.filter(|_| worthwhile) else { return Ok(None) };
        let stored = node.state().stored.clone();
        let pending = self.begin_upload(&key, &stored).await?;
        node.state().file.metadata_dirty = false;
        Ok(Some(Streaming { pending, stored, parts: Vec::new() }))
    }
}

impl crate::write::draft::Shape {
    /// Up to where a file without a base was written without a gap.
    fn ready(&self) -> u64 {
        if self.base > 0 {
            return 0;
        }
        let mut written = self.present.clone();
        self.gone
            .split(0..self.size)
            .into_iter()
            .filter(|(_, gone)| *gone)
            .for_each(|(range, _)| written.insert(range));
        written.prefix_end()
    }
}

impl Streaming {
    fn outdate(&mut self, written: &Range<u64>) {
        let touched =
            |part: &&mut StreamPart| part.range.start < written.end && written.start < part.range.end;
        self.parts.iter_mut().filter(touched).for_each(|part| part.stale = true);
    }

    fn start_parts(&mut self, core: &Arc<Core>, draft: &Arc<Draft>, ready: u64) -> Result<()> {
        loop {
            let range = core.grid().part(self.parts.len());
            if range.end > ready {
                return Ok(());
            }
            if self.parts.len() == MAX_PARTS {
                return Err(Errno::EFBIG);
            }
            let number = self.parts.len() as u32 + 1;
            let (core, draft) = (Arc::clone(core), Arc::clone(draft));
            let (upload, sent) = (self.pending.upload.clone(), range.clone());
            let runtime = core.runtime.clone();
            let send = async move { core.send_part(&upload, number, &draft, None, sent).await };
            let task = Some(runtime.spawn(send));
            self.parts.push(StreamPart { range, task, etag: None, stale: false });
        }
    }

    /// Waits while more than `limit` parts, or more than one and so many bytes, are on their way: a writer is not to be
    /// faster than the network.
    async fn hold_up(&mut self, limit: usize, bytes: u64) -> Result<()> {
        let too_much = |parts: &[StreamPart]| {
            let lengths =
                parts.iter().filter(|part| part.under_way()).map(|part| part.range.end - part.range.start);
            let (count, total) = lengths.fold((0, 0), |(count, total), length| (count + 1, total + length));
            count > limit || (count > 1 && total > bytes)
        };
        while too_much(&self.parts) {
            let Some(part) = self.parts.iter_mut().find(|part| part.task.is_some()) else { break };
            part.finish().await?;
        }
        Ok(())
    }

    /// Drops the oldest sent parts from a spool that is too large. The first stays: headers are written last.
    async fn let_go(&mut self, draft: &Draft, limit: u64) {
        let mut excess = draft.shape().present.total().saturating_sub(limit);
        for part in self.parts.iter_mut().skip(1).filter(|part| part.etag.is_some() && !part.stale) {
            if excess == 0 {
                return;
            }
            let length = part.range.end - part.range.start;
            if draft.let_go(part.range.clone()).await {
                excess = excess.saturating_sub(length);
            }
        }
    }

    /// Sends what is missing of a file of these parts, and names all of them.
    pub(crate) async fn finish(
        &mut self,
        core: &Arc<Core>,
        draft: &Arc<Draft>,
        ranges: &[Range<u64>],
    ) -> Result<Vec<CompletedPart>> {
        for part in self.parts.iter_mut() {
            // What failed is sent once more below, and reported then.
            let _ = part.finish().await;
        }
        self.parts.truncate(ranges.len());
        let missing: Vec<usize> =
            (0..ranges.len()).filter(|&index| !self.has(index, &ranges[index])).collect();
        let sent: Vec<(usize, ETag)> = stream::iter(missing)
            .map(|index| self.resend(core, draft, index, ranges[index].clone()))
            .buffer_unordered(core.settings.transfers.max(1))
            .try_collect()
            .await?;
        self.parts.extend(ranges[self.parts.len()..].iter().cloned().map(StreamPart::unsent));
        for (index, etag) in sent {
            self.parts[index] =
                StreamPart { range: ranges[index].clone(), task: None, etag: Some(etag), stale: false };
        }
        let etags = self.parts.iter().map(|part| part.etag.clone().ok_or(Errno::EIO));
        (1..).zip(etags).map(|(number, etag)| Ok(CompletedPart { number, etag: etag? })).collect()
    }

    fn has(&self, index: usize, range: &Range<u64>) -> bool {
        self.parts.get(index).is_some_and(|part| part.etag.is_some() && !part.stale && part.range == *range)
    }

    async fn resend(
        &self,
        core: &Arc<Core>,
        draft: &Arc<Draft>,
        index: usize,
        range: Range<u64>,
    ) -> Result<(usize, ETag)> {
        let number = index as u32 + 1;
        let etag = core.send_part(&self.pending.upload, number, draft, None, range).await?;
        Ok((index, etag))
    }
}

impl StreamPart {
    fn unsent(range: Range<u64>) -> Self {
        Self { range, task: None, etag: None, stale: false }
    }

    fn under_way(&self) -> bool {
        self.task.as_ref().is_some_and(|task| !task.is_finished())
    }

    async fn finish(&mut self) -> Result<()> {
        let Some(task) = self.task.take() else { return Ok(()) };
        self.etag = Some(task.await.map_err(|_| Errno::EIO)??);
        Ok(())
    }
}

impl Drop for StreamPart {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Draft {
    /// Gives the space of a sent range back; false if it had none.
    async fn let_go(&self, range: Range<u64>) -> bool {
        {
            let mut shape = self.shape();
            if !shape.present.intersects(&range) {
                return false;
            }
            shape.present.remove(range.clone());
            shape.gone.insert(range.clone());
        }
        if let Err(error) = self.spool.punch(range).await {
            tracing::debug!(%error, "the spool cannot be made smaller");
        }
        true
    }
}

/// Whether a failure may pass by itself.
fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Server { status: 500..=599, .. })
}
