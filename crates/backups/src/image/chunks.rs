//! The bytes of an archive: fetched in chunks, kept in memory, pinned to one version of the object.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{ByteRange, ByteStream, Conditions, ETag, Error, GetRequest, ObjectKey, ObjectStore, Result};
use tokio::sync::{OnceCell, Semaphore};

use crate::lru::Lru;
use crate::squashfs::reader::{ReadError, Source};

/// Bytes of a chunk, aligned in the archive.
const CHUNK: u64 = 512 << 10;
/// Requests at once.
const CONNECTIONS: usize = 8;
/// Chunks fetched ahead of a sequential reader at most: 16 MiB.
const MAX_AHEAD: u64 = 32;
/// A store that fails is asked again for so long, as a hard NFS mount would; then reads fail until it is back.
const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Pending = Arc<OnceCell<Bytes>>;

#[derive(Debug)]
pub(super) struct Chunks {
    fetcher: Arc<Fetcher>,
    /// The last chunk that was asked for, and how many were asked for in order before it.
    sequence: Mutex<(u64, u64)>,
}

#[derive(Debug)]
struct Fetcher {
    store: Arc<dyn ObjectStore>,
    key: ObjectKey,
    etag: ETag,
    size: u64,
    cached: Mutex<Lru<u64>>,
    /// Chunks on their way, so that none is fetched twice.
    pending: Mutex<HashMap<u64, Pending>>,
    connections: Semaphore,
}

impl Chunks {
    pub(super) fn new(store: Arc<dyn ObjectStore>, key: ObjectKey, etag: ETag, size: u64, budget: u64) -> Self {
        let fetcher = Fetcher {
            store,
            key,
            etag,
            size,
            // Opening an archive needs a few chunks at a time, however small the budget.
            cached: Mutex::new(Lru::new(budget.max(8 * CHUNK))),
            pending: Mutex::default(),
            connections: Semaphore::new(CONNECTIONS),
        };
        Self { fetcher: Arc::new(fetcher), sequence: Mutex::new((u64::MAX, 0)) }
    }

    /// Makes sure that these bytes are at hand, as far as the budget allows.
    pub(super) async fn fetch(&self, range: Range<u64>) -> Result<()> {
        let numbers = range.start / CHUNK..range.end.min(self.fetcher.size).div_ceil(CHUNK);
        let fetches = stream::iter(numbers).map(|number| self.fetcher.chunk(number));
        fetches.buffer_unordered(CONNECTIONS).try_for_each(|_| futures::future::ready(Ok(()))).await
    }

    /// These bytes; what a sequential reader will want next is fetched behind its back.
    pub(super) async fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start + length as u64;
        if length == 0 || end > self.fetcher.size {
            return Err(Error::InvalidRange { size: Some(self.fetcher.size) });
        }
        self.read_ahead((end - 1) / CHUNK);
        let mut whole = BytesMut::new();
        for number in start / CHUNK..end.div_ceil(CHUNK) {
            let chunk = self.fetcher.chunk(number).await?;
            let piece = cut(&chunk, number, start, end);
            if piece.len() == length {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    fn read_ahead(&self, number: u64) {
        let ahead = {
            let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
            let (last, run) = *sequence;
            if number == last {
                return;
            }
            let run = if number == last.wrapping_add(1) { run + 1 } else { 0 };
            *sequence = (number, run);
            // Two chunks in a row are no accident; from then on the window doubles.
            if run < 2 { 0 } else { (1 << (run - 1).min(5)).min(MAX_AHEAD) }
        };
        let chunks = self.fetcher.size.div_ceil(CHUNK);
        for number in (number + 1..number + 1 + ahead).filter(|&number| number < chunks) {
            if self.fetcher.at_hand(number).is_none() {
                let fetcher = Arc::clone(&self.fetcher);
                // A failure here is met again by whoever needs the chunk.
                tokio::spawn(async move { drop(fetcher.chunk(number).await) });
            }
        }
    }
}

/// The part of `start..end` that lies in a chunk.
fn cut(chunk: &Bytes, number: u64, start: u64, end: u64) -> Bytes {
    let first = number * CHUNK;
    let from = start.saturating_sub(first) as usize;
    let to = (end - first).min(chunk.len() as u64) as usize;
    chunk.slice(from.min(to)..to)
}

impl Fetcher {
    fn at_hand(&self, number: u64) -> Option<Bytes> {
        Lru::lock(&self.cached).get(&number)
    }

    async fn chunk(&self, number: u64) -> Result<Bytes> {
        if let Some(chunk) = self.at_hand(number) {
            return Ok(chunk);
        }
        let pending = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pending.entry(number).or_default())
        };
        // Whoever comes first fetches; if that one is dropped, the next goes on.
        let chunk = pending.get_or_try_init(|| self.fetch_patiently(number)).await.cloned();
        if let Ok(chunk) = &chunk {
            Lru::lock(&self.cached).insert(number, chunk.clone());
        }
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        chunk
    }

    async fn fetch_patiently(&self, number: u64) -> Result<Bytes> {
        let start = tokio::time::Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.fetch(number).await {
                Ok(chunk) => return Ok(chunk),
                Err(error) => error,
            };
            if !passes(&error) || start.elapsed() > PATIENCE {
                tracing::error!(key = %self.key.display(), chunk = number, %error, "an archive cannot be read");
                return Err(error);
            }
            tracing::warn!(key = %self.key.display(), chunk = number, %error, "an archive cannot be read now");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn fetch(&self, number: u64) -> Result<Bytes> {
        let _connection = self.connections.acquire().await.expect("it is never closed");
        let (start, end) = (number * CHUNK, ((number + 1) * CHUNK).min(self.size));
        let conditions = Conditions { if_match: Some(self.etag.clone()), ..Conditions::default() };
        let range = Some(ByteRange::Bounded { start, end });
        let got = self.store.get(GetRequest { key: self.key.clone(), range, conditions }).await?;
        let bytes = collect(got.body).await?;
        if bytes.len() as u64 != end - start {
            return Err(Error::Corrupt { what: format!("{} bytes of {} came", bytes.len(), end - start) });
        }
        Ok(bytes)
    }
}

/// Whether waiting may help.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Corrupt { .. } => true,
        Error::Server { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}

impl Source for Chunks {
    fn bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ReadError> {
        let end = start.saturating_add(length as u64);
        if end > self.fetcher.size {
            return Err(ReadError::Damaged { what: "a table lies outside of the archive" });
        }
        let mut whole = BytesMut::new();
        for number in start / CHUNK..end.div_ceil(CHUNK) {
            let missing = ReadError::Missing { range: start..end };
            let piece = cut(&self.fetcher.at_hand(number).ok_or(missing)?, number, start, end);
            if piece.len() == length {
                return Ok(piece);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

/// The whole of a body of known, small length.
pub(super) async fn collect(mut body: ByteStream) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        whole.extend_from_slice(&piece?);
    }
    Ok(whole.freeze())
}
