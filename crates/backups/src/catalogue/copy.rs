//! A backup into another bucket, here or elsewhere.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use sandkeep_objects::{Conditions, Error, ObjectStore};

use super::transfer::{Transfer, cuts};
use super::{Summary, inspect, put_entry};
use crate::create::{fetch, publish_manifest};
use crate::{BackupId, Integrity, Manifest, RestoreError};

/// Copies a backup, which keeps its id, through this process. What arrives is compared with the archive's hashes.
pub async fn copy(
    from: Arc<dyn ObjectStore>,
    from_prefix: &str,
    id: &BackupId,
    to: Arc<dyn ObjectStore>,
    to_prefix: &str,
) -> Result<Manifest, RestoreError> {
    let manifest = inspect(Arc::clone(&from), from_prefix, id).await?;
    let source = id.archive_key(from_prefix);
    let info = match from.head(&source, Conditions::default()).await {
        Ok(info) => info,
        Err(Error::NoSuchKey { .. }) => return Err(RestoreError::NotFound { id: id.to_string() }),
        Err(error) => return Err(error.into()),
    };
    if info.size != manifest.size_bytes {
        let what = format!("it has {} bytes, its manifest says {}", info.size, manifest.size_bytes);
        return Err(RestoreError::DamagedArchive { id: id.to_string(), what });
    }
    let known = manifest.integrity.as_ref();
    let cuts = known.map_or_else(|| cuts(info.size, 0), Integrity::ends);
    let transfer =
        Transfer { store: &to, key: id.archive_key(to_prefix), bytes: info.size, cuts, expected: known };
    let read = |range: Range<u64>| -> BoxFuture<'static, Result<Bytes, Error>> {
        let (from, source, etag) = (Arc::clone(&from), source.clone(), info.etag.clone());
        Box::pin(async move { fetch(from.as_ref(), &source, &etag, range).await.map(Bytes::from) })
    };
    let (etag, integrity) = transfer.send(&read).await?;
    let integrity = manifest.integrity.clone().or(Some(integrity));
    let copied = Manifest { archive_etag: Some(etag.0), integrity, ..manifest };
    if let Err(error) = publish_manifest(to.as_ref(), to_prefix, &copied).await {
        remove(&to, to_prefix, id).await;
        return Err(error.into());
    }
    put_entry(to.as_ref(), to_prefix, &Summary::of(&copied)).await;
    Ok(copied)
}

async fn remove(store: &Arc<dyn ObjectStore>, prefix: &str, id: &BackupId) {
    for key in [id.manifest_key(prefix), id.archive_key(prefix)] {
        if let Err(error) = store.delete(&key).await {
            tracing::warn!(key = %key.display(), %error, "cannot remove an object of a failed copy");
        }
    }
}
