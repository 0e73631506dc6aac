//! Reads one version of one object, and no other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sandkeep_objects::{ByteRange, ETag, GetRequest, GetResponse, ObjectInfo, ObjectKey};
use sandkeep_vfs::Errno;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use crate::core::{Core, pinned};
use crate::errno::{Result, failed};
use crate::node::Version;
use crate::read::piece::{Piece, collect};
use crate::read::window::Windows;

/// Largest piece: more of them side by side are faster than larger ones.
const MAX_PIECE: u64 = 8 << 20;

/// What is fetched when a file is opened: the first request of a program that reads it whole.
const FIRST_BYTES: u64 = 128 << 10;

/// Smallest piece of a larger window.
const MIN_PIECE: u64 = 1 << 20;

/// Reads a version.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Which.
    pub(crate) version: Version,
    state: Mutex<ReaderState>,
}

#[derive(Debug, Default)]
struct ReaderState {
    windows: Windows,
    /// By first byte; they do not overlap.
    pieces: BTreeMap<u64, Fetch>,
}

/// A piece with what ends when it is no longer wanted: its request, its claim on memory.
#[derive(Debug)]
struct Fetch {
    piece: Arc<Piece>,
    _task: AbortOnDropHandle<()>,
    _memory: OwnedSemaphorePermit,
}

impl Reader {
    /// Reads `version`.
    pub(crate) fn new(version: Version) -> Arc<Self> {
        Arc::new(Self { version, state: Mutex::default() })
    }

    /// The bytes of `range` as far as the object has them. ESTALE if the object has been replaced.
    pub(crate) async fn read(
        self: &Arc<Self>,
        core: &Arc<Core>,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Vec<Bytes>> {
        let range = range.start..range.end.min(self.version.size);
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        self.fetch_ahead(core, key, &range);
        let mut bytes = Vec::new();
        let mut position = range.start;
        while position < range.end {
            let (end, more) = self.next_bytes(core, key, position..range.end).await?;
            bytes.extend(more);
            position = end;
        }
        Ok(bytes)
    }

    /// Begins to fetch the first bytes; false if the version has none to give any more. An empty one has to be asked for.
    pub(crate) async fn fetch_first(self: &Arc<Self>, core: &Arc<Core>, key: &ObjectKey) -> bool {
        let range = 0..self.version.size.min(FIRST_BYTES);
        if range.is_empty() {
            return false;
        }
        // Without memory to spare the first read tells.
        let Some(memory) = core.read_budget.take(self, range.end) else { return true };
        self.fetch(core, key, range, memory);
        let Some(piece) = self.piece_at(0) else { return true };
        let there = piece.bytes(0..1).await.is_some();
        if !there {
            self.forget_piece(&piece);
        }
        there
    }

    /// Begins to fetch the first bytes for somebody who will open the file; false if there is no memory for that.
    pub(crate) fn begin_first(self: &Arc<Self>, core: &Arc<Core>, key: &ObjectKey) -> bool {
        let range = 0..self.version.size.min(FIRST_BYTES);
        let Some(memory) = core.read_budget.spare(range.end) else { return false };
        let (core_, key, etag) = (Arc::clone(core), key.clone(), self.version.etag.clone());
        let bounds = range.clone();
        let body = async move {
            let _request = core_.request().await?;
            get(&core_, &key, &etag, bounds).await
        };
        self.fetch_by(core, range, memory, body);
        true
    }

    /// What the answer to the request for the first bytes tells of the object; none if there is none, or it is another
    /// version.
    pub(crate) async fn first_info(&self) -> Option<ObjectInfo> {
        let piece = self.piece_at(0)?;
        piece.bytes(0..1).await?;
        piece.info().cloned()
    }

    /// Drops what was fetched ahead.
    pub(crate) fn let_go(&self) {
        let dropped = std::mem::take(&mut self.state().pieces);
        drop(dropped);
    }

    fn state(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes from the start of `range` on, from one source, with where they end.
    async fn next_bytes(&self, core: &Core, key: &ObjectKey, range: Range<u64>) -> Result<(u64, Vec<Bytes>)> {
        if let Some(piece) = self.piece_at(range.start) {
            let part = range.start..range.end.min(piece.range.end);
            if let Some(bytes) = piece.bytes(part.clone()).await {
                return Ok((part.end, bytes));
            }
            self.forget_piece(&piece);
        }
        let end = self.next_piece_start(range.start).map_or(range.end, |start| start.min(range.end));
        let part = range.start..end;
        let response = get(core, key, &self.version.etag, part.clone()).await?;
        Ok((end, collect(response.body, part.end - part.start).await?))
    }

    fn piece_at(&self, position: u64) -> Option<Arc<Piece>> {
        let state = self.state();
        let (_, fetch) = state.pieces.range(..=position).next_back()?;
        (position < fetch.piece.range.end).then(|| Arc::clone(&fetch.piece))
    }

    fn next_piece_start(&self, position: u64) -> Option<u64> {
        self.state().pieces.range(position + 1..).next().map(|(&start, _)| start)
    }

    fn forget_piece(&self, piece: &Arc<Piece>) {
        let mut state = self.state();
        let start = piece.range.start;
        if state.pieces.get(&start).is_some_and(|fetch| Arc::ptr_eq(&fetch.piece, piece)) {
            state.pieces.remove(&start);
        }
    }

    fn fetch_ahead(self: &Arc<Self>, core: &Arc<Core>, key: &ObjectKey, read: &Range<u64>) {
        let window = core.read_budget.window();
        let ahead = {
            let mut state = self.state();
            let ahead = state.windows.note(read, self.version.size, window);
            let ReaderState { windows, pieces } = &mut *state;
            pieces.retain(|_, fetch| windows.wants(&fetch.piece.range));
            ahead
        };
        for range in pieces_of(ahead) {
            let Some(memory) = core.read_budget.take(self, range.end - range.start) else { return };
            self.fetch(core, key, range, memory);
        }
    }

    fn fetch(&self, core: &Arc<Core>, key: &ObjectKey, range: Range<u64>, memory: OwnedSemaphorePermit) {
        let body = background_get(Arc::clone(core), key.clone(), self.version.etag.clone(), range.clone());
        self.fetch_by(core, range, memory, body);
    }

    fn fetch_by(
        &self,
        core: &Arc<Core>,
        range: Range<u64>,
        memory: OwnedSemaphorePermit,
        body: impl Future<Output = Result<GetResponse>> + Send + 'static,
    ) {
        let mut state = self.state();
        let before = state.pieces.range(..range.end).next_back();
        if before.is_some_and(|(_, fetch)| fetch.piece.range.end > range.start) {
            return;
        }
        let piece = Piece::new(range.clone());
        let task = AbortOnDropHandle::new(core.runtime.spawn(Arc::clone(&piece).fill(body)));
        state.pieces.insert(range.start, Fetch { piece, _task: task, _memory: memory });
    }
}

fn pieces_of(ahead: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let length = (ahead.end.saturating_sub(ahead.start) / 5).clamp(MIN_PIECE, MAX_PIECE);
    let starts = (ahead.start..ahead.end).step_by(length as usize);
    starts.map(move |start| start..ahead.end.min(start + length))
}

async fn background_get(
    core: Arc<Core>,
    key: ObjectKey,
    etag: ETag,
    range: Range<u64>,
) -> Result<GetResponse> {
    let _transfer = core.transfers.acquire().await.map_err(|_| Errno::EIO)?;
    get(&core, &key, &etag, range).await
}

/// Starts reading a range of exactly one version.
async fn get(core: &Core, key: &ObjectKey, etag: &ETag, range: Range<u64>) -> Result<GetResponse> {
    let range = ByteRange::Bounded { start: range.start, end: range.end };
    let request = GetRequest { key: key.clone(), range: Some(range), conditions: pinned(etag) };
    match core.store.get(request).await {
        // A server that does not know If-Match is found out here.
        Ok(response) if response.info.etag != *etag => Err(Errno::ESTALE),
        Ok(response) => Ok(response),
        Err(error) => match failed("get", key, &error) {
            Errno::ENOENT => Err(Errno::ESTALE),
            errno => Err(errno),
        },
    }
}
