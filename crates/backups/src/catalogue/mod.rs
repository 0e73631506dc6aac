//! The backups in a bucket: listing, showing, deleting, checking, pruning, and moving archives in and out.

mod copy;
mod entries;
mod import;
mod prune;
mod transfer;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{Conditions, Error, GetRequest, ListRequest, ObjectKey, ObjectStore};

use crate::{BackupId, Manifest, RestoreError};

pub use copy::copy;
pub use entries::Summary;
pub(crate) use entries::put_entry;
pub use import::{ImportOptions, import};
pub use prune::{PrunePolicy, Pruned, plan_prune};
pub use verify::{Verified, verify};

/// Manifests read at once by [`list`].
const CONCURRENT_READS: usize = 16;
/// Larger manifests are damaged: a thousand skipped paths of 4 KiB take less, and so do the hashes of a terabyte.
const MAX_MANIFEST_BYTES: u64 = 16 * 1024 * 1024;

/// All backups with a readable manifest, newest first. Reads a manifest only if the catalogue beside the backups does not
/// have it yet, and completes the catalogue.
pub async fn list(store: Arc<dyn ObjectStore>, key_prefix: &str) -> Result<Vec<Summary>, RestoreError> {
    let (there, known) =
        futures::try_join!(ids(store.as_ref(), key_prefix), entries::all(store.as_ref(), key_prefix))?;
    let missing: Vec<BackupId> = there.iter().filter(|id| !known.contains_key(*id)).cloned().collect();
    let read: Vec<Summary> = stream::iter(missing)
        .map(|id| read_if_usable(Arc::clone(&store), key_prefix, id))
        .buffer_unordered(CONCURRENT_READS)
        .try_filter_map(|manifest| std::future::ready(Ok(manifest.map(|manifest| Summary::of(&manifest)))))
        .try_collect()
        .await?;
    entries::complete(store.as_ref(), key_prefix, &read).await;
    entries::forget(store.as_ref(), stale(&known, &there)).await;
    let known = known.into_iter().filter(|(id, _)| there.contains(id)).map(|(_, entry)| entry.summary);
    let mut all: Vec<Summary> = known.chain(read).collect();
    all.sort_by(|one, other| (&other.created_at, &other.id).cmp(&(&one.created_at, &one.id)));
    Ok(all)
}

/// Entries of backups that are gone.
fn stale(known: &BTreeMap<BackupId, entries::Entry>, there: &BTreeSet<BackupId>) -> Vec<ObjectKey> {
    known.iter().filter(|(id, _)| !there.contains(*id)).map(|(_, entry)| entry.key.clone()).collect()
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
    entries::forget_backup(store.as_ref(), key_prefix, id).await;
    Ok(())
}

/// The ids that have a manifest below `backups/`.
async fn ids(store: &dyn ObjectStore, key_prefix: &str) -> Result<BTreeSet<BackupId>, Error> {
    let prefix = format!("{key_prefix}backups/").into_bytes();
    let mut request = ListRequest { prefix: prefix.clone(), ..ListRequest::default() };
    let mut ids = BTreeSet::new();
    loop {
        let page = store.list(request.clone()).await?;
        ids.extend(page.objects.iter().filter_map(|object| id_of_manifest(&prefix, object.key.as_bytes())));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(ids),
        }
    }
}

/// The id in `{prefix}{id}/meta.json`; none for names that others put there.
fn id_of_manifest(prefix: &[u8], key: &[u8]) -> Option<BackupId> {
    let name = key.strip_prefix(prefix)?.strip_suffix(b"/meta.json")?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// None for a backup that was deleted meanwhile, or is damaged.
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
