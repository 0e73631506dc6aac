//! Ranges of an archive in its bucket, all of one version of the object.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use sandkeep_objects::{
    ByteRange, ByteStream, Conditions, ETag, Error, GetRequest, ObjectInfo, ObjectKey, ObjectStore, Result,
};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// A store that fails is asked again for this long, as a hard NFS mount would; then reads fail until it is back.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Requests at once.
pub(super) const CONNECTIONS: usize = 8;

/// An archive in a bucket, pinned to one ETag.
#[derive(Debug)]
pub(super) struct Remote {
    store: Arc<dyn ObjectStore>,
    key: ObjectKey,
    etag: ETag,
    size: u64,
    connections: Semaphore,
}

/// A part of an object of which nothing was known before.
pub(super) struct Part {
    pub(super) info: ObjectInfo,
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, key: ObjectKey, info: &ObjectInfo) -> Self {
        Self {
            store,
            key,
            etag: info.etag.clone(),
            size: info.size,
            connections: Semaphore::new(CONNECTIONS),
        }
    }

    /// Bytes of the archive.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fetches a range, once.
    pub(super) async fn get(&self, range: Range<u64>) -> Result<Bytes> {
        let _connection = self.connections.acquire().await.expect("it is never closed");
        let conditions = Conditions { if_match: Some(self.etag.clone()), ..Conditions::default() };
        let wanted = Some(ByteRange::Bounded { start: range.start, end: range.end });
        let response =
            self.store.get(GetRequest { key: self.key.clone(), range: wanted, conditions }).await?;
        // For servers that ignore conditions on reads.
        if response.info.etag != self.etag {
            return Err(Error::PreconditionFailed);
        }
        if response.range != range {
            return Err(Error::Corrupt { what: format!("asked for {range:?}, got {:?}", response.range) });
        }
        collect(response.body, range.end - range.start).await
    }

    /// Fetches a range, again and again while waiting may help. Tells each failure.
    pub(super) async fn get_patiently(&self, range: Range<u64>, failed: impl Fn()) -> Result<Bytes> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.get(range.clone()).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            if !passes(&error) || start.elapsed() >= PATIENCE {
                return Err(error);
            }
            tracing::info!(key = %self.key.display(), ?range, %error, "asking the store again");
            failed();
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Fetches part of an object and learns its size and ETag.
pub(super) async fn first(store: &dyn ObjectStore, key: &ObjectKey, range: ByteRange) -> Result<Part> {
    let request = GetRequest { key: key.clone(), range: Some(range), conditions: Conditions::default() };
    let response = store.get(request).await?;
    let length = response.range.end.saturating_sub(response.range.start);
    Ok(Part {
        info: response.info,
        start: response.range.start,
        bytes: collect(response.body, length).await?,
    })
}

/// Exactly `length` bytes of a body.
async fn collect(mut body: ByteStream, length: u64) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if piece.len() as u64 == length && whole.is_empty() {
            return Ok(piece);
        }
        if (whole.len() + piece.len()) as u64 > length {
            return Err(Error::Corrupt { what: format!("more than the promised {length} bytes") });
        }
        whole.reserve(length as usize - whole.len());
        whole.extend_from_slice(&piece);
    }
    match whole.len() as u64 == length {
        true => Ok(whole.freeze()),
        false => Err(Error::Corrupt { what: format!("{} of {length} bytes", whole.len()) }),
    }
}

/// Whether waiting may help.
fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Corrupt { .. } | Error::Io { .. } => true,
        Error::Server { status, .. } => *status >= 500 || *status == 429,
        _ => false,
    }
}
