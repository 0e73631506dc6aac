//! Whether an archive in a bucket is still what was written.

use std::sync::Arc;

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use sandkeep_objects::{Conditions, ETag, Error, ObjectKey, ObjectStore};
use serde::{Deserialize, Serialize};

use super::inspect;
use crate::create::fetch;
use crate::image::damaged;
use crate::integrity::Segment;
use crate::walk::read_everything;
use crate::{BackupId, Image, ImageSettings, Manifest, RestoreError};

const CONCURRENT_SEGMENTS: usize = 4;
/// Segments are hashed in pieces of this length.
const PIECE_BYTES: u64 = 8 << 20;
const IMAGE_MEMORY: u64 = 64 << 20;

/// What was checked, and found to be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Which backup.
    pub id: BackupId,
    /// Bytes of the archive.
    pub bytes: u64,
    /// By the hashes that were taken when it was made; else by unpacking every file of it.
    pub by_hashes: bool,
}

/// Reads all of a backup's archive and compares it with the hashes in its manifest; a backup without hashes is unpacked
/// instead. `read` is told of bytes as they are read.
///
/// # Errors
/// [`RestoreError::DamagedArchive`] says what differs.
pub async fn verify(
    store: Arc<dyn ObjectStore>,
    key_prefix: &str,
    id: &BackupId,
    read: Arc<dyn Fn(u64) + Send + Sync>,
) -> Result<Verified, RestoreError> {
    let manifest = inspect(Arc::clone(&store), key_prefix, id).await?;
    let key = id.archive_key(key_prefix);
    let info = match store.head(&key, Conditions::default()).await {
        Ok(info) => info,
        Err(Error::NoSuchKey { .. }) => return Err(RestoreError::NotFound { id: id.to_string() }),
        Err(error) => return Err(error.into()),
    };
    if info.size != manifest.size_bytes {
        let what = format!("it has {} bytes, its manifest says {}", info.size, manifest.size_bytes);
        return Err(damaged(id, what));
    }
    if manifest.archive_etag.as_ref().is_some_and(|written| *written != info.etag.0) {
        return Err(damaged(id, "its ETag is not that in its manifest"));
    }
    let by_hashes = manifest.integrity.is_some();
    if by_hashes {
        compare_hashes(&store, &key, &info.etag, &manifest, &read).await?;
    } else {
        unpack(store, key_prefix, id, &read).await?;
    }
    Ok(Verified { id: id.clone(), bytes: info.size, by_hashes })
}

async fn compare_hashes(
    store: &Arc<dyn ObjectStore>,
    key: &ObjectKey,
    etag: &ETag,
    manifest: &Manifest,
    read: &Arc<dyn Fn(u64) + Send + Sync>,
) -> Result<(), RestoreError> {
    let Some(integrity) = manifest.integrity.as_ref().filter(|found| found.is_sound(manifest.size_bytes))
    else {
        return Err(damaged(&manifest.id, "the hashes in its manifest do not fit together"));
    };
    let mut start = 0;
    let mut checks = Vec::new();
    for segment in &integrity.segments {
        let (store, read) = (Arc::clone(store), Arc::clone(read));
        let check =
            Check { store, key: key.clone(), etag: etag.clone(), id: manifest.id.clone(), start, read };
        checks.push(check.run(segment.clone()).boxed());
        start += segment.bytes;
    }
    stream::iter(checks).buffer_unordered(CONCURRENT_SEGMENTS).try_collect::<()>().await
}

/// A segment being read.
struct Check {
    store: Arc<dyn ObjectStore>,
    key: ObjectKey,
    etag: ETag,
    id: BackupId,
    start: u64,
    read: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Check {
    async fn run(self, segment: Segment) -> Result<(), RestoreError> {
        let end = self.start + segment.bytes;
        let mut hasher = blake3::Hasher::new();
        let mut at = self.start;
        while at < end {
            let next = (at + PIECE_BYTES).min(end);
            let bytes = fetch(self.store.as_ref(), &self.key, &self.etag, at..next).await?;
            hasher.update(&bytes);
            (self.read)(next - at);
            at = next;
        }
        match hasher.finalize().to_hex().as_str() == segment.hash {
            true => Ok(()),
            false => Err(damaged(
                &self.id,
                format!("bytes {} to {end} are not those that were written", self.start),
            )),
        }
    }
}

/// Reads every directory and file.
async fn unpack(
    store: Arc<dyn ObjectStore>,
    key_prefix: &str,
    id: &BackupId,
    read: &Arc<dyn Fn(u64) + Send + Sync>,
) -> Result<(), RestoreError> {
    let settings = ImageSettings {
        key_prefix: key_prefix.to_owned(),
        id_base: 0,
        memory_budget: IMAGE_MEMORY,
        cache: None,
    };
    let image = Image::open_even_if_expired(store, id, settings).await?;
    let (read, runtime) = (Arc::clone(read), tokio::runtime::Handle::current());
    let walked =
        tokio::task::spawn_blocking(move || runtime.block_on(read_everything(&image, &|bytes| read(bytes))))
            .await;
    match walked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(path)) => Err(damaged(id, format!("{:?} cannot be read", String::from_utf8_lossy(&path)))),
        Err(_) => Err(RestoreError::Store(Error::Unsupported { what: "checks while it stops" })),
    }
}
