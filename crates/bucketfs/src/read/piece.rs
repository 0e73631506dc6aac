//! A range of an object on its way: its first bytes can be used before the last have come.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::StreamExt;
use sandkeep_objects::{ByteStream, GetResponse, ObjectInfo};
use sandkeep_vfs::Errno;
use tokio::sync::Notify;

use crate::errno::Result;

/// A range being fetched.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Which bytes.
    pub(crate) range: Range<u64>,
    progress: Mutex<Progress>,
    /// What the answer tells of the whole object.
    info: OnceLock<ObjectInfo>,
    news: Notify,
}

#[derive(Debug)]
struct Progress {
    chunks: Vec<(u64, Bytes)>,
    filled: u64,
    failed: bool,
}

impl Piece {
    /// Nothing of it has come.
    pub(crate) fn new(range: Range<u64>) -> Arc<Self> {
        let progress = Progress { chunks: Vec::new(), filled: range.start, failed: false };
        Arc::new(Self { range, progress: Mutex::new(progress), info: OnceLock::new(), news: Notify::new() })
    }

    /// Takes in what comes; whoever waits is woken also if this is dropped half-way.
    pub(crate) async fn fill(self: Arc<Self>, response: impl Future<Output = Result<GetResponse>>) {
        let guard = FailUnlessFull(self);
        let Ok(response) = response.await else { return };
        // Asked only once.
        let _ = guard.0.info.set(response.info);
        let mut body = response.body;
        while let Some(Ok(chunk)) = body.next().await {
            guard.0.append(chunk);
        }
    }

    /// The bytes of `range`, which lies within, once they are there; none if they never will be.
    pub(crate) async fn bytes(&self, range: Range<u64>) -> Option<Vec<Bytes>> {
        loop {
            let news = self.news.notified();
            {
                let progress = self.progress();
                if progress.filled >= range.end {
                    return Some(progress.slice(&range));
                }
                if progress.failed {
                    return None;
                }
            }
            news.await;
        }
    }

    /// What is told of the object with the first bytes.
    pub(crate) fn info(&self) -> Option<&ObjectInfo> {
        self.info.get()
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, chunk: Bytes) {
        let mut progress = self.progress();
        let start = progress.filled;
        progress.filled += chunk.len() as u64;
        progress.chunks.push((start, chunk));
        drop(progress);
        self.news.notify_waiters();
    }
}

impl Progress {
    fn slice(&self, range: &Range<u64>) -> Vec<Bytes> {
        let first = self.chunks.partition_point(|(start, chunk)| start + chunk.len() as u64 <= range.start);
        let touched = self.chunks[first..].iter().take_while(|(start, _)| *start < range.end);
        touched.map(|(start, chunk)| cut(*start, chunk, range)).collect()
    }
}

fn cut(start: u64, chunk: &Bytes, range: &Range<u64>) -> Bytes {
    let from = range.start.saturating_sub(start) as usize;
    let to = (range.end - start).min(chunk.len() as u64) as usize;
    chunk.slice(from..to)
}

struct FailUnlessFull(Arc<Piece>);

impl Drop for FailUnlessFull {
    fn drop(&mut self) {
        let mut progress = self.0.progress();
        progress.failed = progress.filled != self.0.range.end;
        drop(progress);
        self.0.news.notify_waiters();
    }
}

/// All of a body, which must have exactly `length` bytes.
pub(crate) async fn collect(mut body: ByteStream, length: u64) -> Result<Vec<Bytes>> {
    let mut pieces = Vec::new();
    let mut total = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| crate::errno::errno(&error))?;
        total += chunk.len() as u64;
        pieces.push(chunk);
    }
    if total == length { Ok(pieces) } else { Err(Errno::EIO) }
}
