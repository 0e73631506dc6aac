//! The backups in a bucket.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{Conditions, Error, GetRequest, ListRequest, ObjectKey, ObjectStore};

use crate::{BackupId, Manifest, RestoreError};

/// Manifests read at once by [`list`].
const CONCURRENT_READS: usize = 16;
/// Larger manifests are damaged: a thousand skipped paths of 4 KiB take less.
const MAX_MANIFEST_BYTES: u64 = 8 * 1024 * 1024;

/// All backups with a readable manifest, newest first.
pub async fn list(store: Arc<dyn ObjectStore>, key_prefix: &str) -> Result<Vec<Manifest>, RestoreError> {
    let ids = ids(store.as_ref(), key_prefix).await?;
    let mut manifests: Vec<Manifest> = stream::iter(ids)
        .map(|id| read_if_usable(Arc::clone(&store), key_prefix, id))
        .buffer_unordered(CONCURRENT_READS)
        .try_filter_map(|manifest| std::future::ready(Ok(manifest)))
        .try_collect()
        .await?;
    manifests.sort_by(|one, other| (&other.created_at, &other.id).cmp(&(&one.created_at, &one.id)));
    Ok(manifests)
}

/// The manifest of one.
pub async fn inspect(
    store: Arc<dyn ObjectStore>,
    key_prefix: &str,
    id: &BackupId,
) -> Result<Manifest, RestoreError> {
    let json = read_whole(store.as_ref(), id.manifest_key(key_prefix)).await;
    match json {
        Ok(json) => Manifest::parse(id, &json),
        Err(Error::NoSuchKey { .. }) => Err(RestoreError::NotFound { id: id.to_string() }),
        Err(error) => Err(error.into()),
    }
}

/// Removes a backup, manifest first; `NotFound` if there is neither object.
pub async fn delete(
    store: Arc<dyn ObjectStore>,
    key_prefix: &str,
    id: &BackupId,
) -> Result<(), RestoreError> {
    let keys = [id.manifest_key(key_prefix), id.archive_key(key_prefix)];
    let mut found = false;
    for key in &keys {
        found |= exists(store.as_ref(), key).await?;
    }
    if !found {
        return Err(RestoreError::NotFound { id: id.to_string() });
    }
    for key in &keys {
        store.delete(key).await?;
    }
    Ok(())
}

/// The ids that have any object below `backups/`.
async fn ids(store: &dyn ObjectStore, key_prefix: &str) -> Result<Vec<BackupId>, RestoreError> {
    let prefix = format!("{key_prefix}backups/").into_bytes();
    let mut request =
        ListRequest { prefix: prefix.clone(), delimiter: b"/".to_vec(), ..ListRequest::default() };
    let mut ids = Vec::new();
    loop {
        let page = store.list(request.clone()).await?;
        ids.extend(page.common_prefixes.iter().filter_map(|group| id_of_group(&prefix, group)));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The id in `{prefix}{id}/`; none for names that others put there.
fn id_of_group(prefix: &[u8], group: &[u8]) -> Option<BackupId> {
    let name = group.strip_prefix(prefix)?.strip_suffix(b"/")?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// None for a backup that is being made, was half deleted, or is damaged.
async fn read_if_usable(
    store: Arc<dyn ObjectStore>,
    key_prefix: &str,
    id: BackupId,
) -> Result<Option<Manifest>, RestoreError> {
    match inspect(store, key_prefix, &id).await {
        Ok(manifest) => Ok(Some(manifest)),
        Err(RestoreError::NotFound { .. }) => Ok(None),
        Err(error @ RestoreError::DamagedManifest { .. }) => {
            tracing::warn!(%id, %error, "left out of the list of backups");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn read_whole(store: &dyn ObjectStore, key: ObjectKey) -> Result<Bytes, Error> {
    let response = store.get(GetRequest::whole(key)).await?;
    if response.info.size > MAX_MANIFEST_BYTES {
        return Err(Error::TooLarge);
    }
    let chunks: Vec<Bytes> = response.body.try_collect().await?;
    Ok(chunks.concat().into())
}

async fn exists(store: &dyn ObjectStore, key: &ObjectKey) -> Result<bool, Error> {
    match store.head(key, Conditions::default()).await {
        Ok(_) => Ok(true),
        Err(Error::NoSuchKey { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
