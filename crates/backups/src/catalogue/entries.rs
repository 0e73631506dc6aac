//! What is known of each backup, in the names of empty objects: a listing of them is a listing of the backups.
//!
//! ```text
//! {prefix}catalogue/{id}.{base64url of JSON}
//! ```
//! Nothing depends on them: an entry that is missing is made by the next listing, one too many is removed by it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sandkeep_objects::{
    Error, ListRequest, ObjectKey, ObjectMetadata, ObjectStore, PutRequest, WriteConditions,
};
use serde::{Deserialize, Serialize};

use crate::{BackupId, Manifest};

const CONCURRENT_WRITES: usize = 16;
/// S3's limit for DeleteObjects.
const MAX_DELETED: usize = 1000;

/// What a list of backups says of each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Which backup.
    pub id: BackupId,
    /// The directory as the caller named it.
    pub dir: String,
    /// The caller's name for it.
    pub name: Option<String>,
    /// Bytes of the archive.
    pub size_bytes: u64,
    /// Seconds from creation until a restore is refused.
    pub ttl: f64,
    /// When; with milliseconds and `Z`.
    pub created_at: String,
    /// Names in the archive.
    pub entries: u64,
    /// Bytes of all files before compression.
    pub content_bytes: u64,
    /// Names left out.
    pub excluded: u64,
    /// What changed or vanished while it was read, or was not archived as it was.
    pub skipped_count: u64,
}

/// In the order of [`Row`].
type Row = (String, u64, f64, String, Option<String>, u64, u64, u64, u64);

/// An entry and the object whose name it is.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: ObjectKey,
    pub(super) summary: Summary,
}

impl Summary {
    /// Of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id.clone(),
            dir: manifest.dir.clone(),
            name: manifest.name.clone(),
            size_bytes: manifest.size_bytes,
            ttl: manifest.ttl,
            created_at: manifest.created_at.clone(),
            entries: manifest.entries,
            content_bytes: manifest.content_bytes,
            excluded: manifest.excluded,
            skipped_count: manifest.skipped_count,
        }
    }

    /// None where it does not fit into a name: such backups are read one by one.
    fn key(&self, key_prefix: &str) -> Option<ObjectKey> {
        let row: Row = (
            self.created_at.clone(),
            self.size_bytes,
            self.ttl,
            self.dir.clone(),
            self.name.clone(),
            self.entries,
            self.content_bytes,
            self.excluded,
            self.skipped_count,
        );
        let json = serde_json::to_vec(&row).ok()?;
        ObjectKey::new(format!("{key_prefix}catalogue/{}.{}", self.id, URL_SAFE_NO_PAD.encode(json))).ok()
    }

    fn parse(prefix: &[u8], key: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(key.strip_prefix(prefix)?).ok()?;
        let (id, row) = name.split_once('.')?;
        let row: Row = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(row).ok()?).ok()?;
        let (created_at, size_bytes, ttl, dir, name, entries, content_bytes, excluded, skipped_count) = row;
        let id = id.parse().ok()?;
        Some(Self {
            id,
            dir,
            name,
            size_bytes,
            ttl,
            created_at,
            entries,
            content_bytes,
            excluded,
            skipped_count,
        })
    }
}

fn prefix(key_prefix: &str) -> String {
    format!("{key_prefix}catalogue/")
}

/// All entries.
pub(super) async fn all(
    store: &dyn ObjectStore,
    key_prefix: &str,
) -> Result<BTreeMap<BackupId, Entry>, Error> {
    keys(store, prefix(key_prefix).into_bytes()).await.map(|keys| {
        let entry = |key: ObjectKey| {
            let summary = Summary::parse(prefix(key_prefix).as_bytes(), key.as_bytes())?;
            Some((summary.id.clone(), Entry { key, summary }))
        };
        keys.into_iter().filter_map(entry).collect()
    })
}

async fn keys(store: &dyn ObjectStore, prefix: Vec<u8>) -> Result<Vec<ObjectKey>, Error> {
    let mut request = ListRequest { prefix, ..ListRequest::default() };
    let mut keys = Vec::new();
    loop {
        let page = store.list(request.clone()).await?;
        keys.extend(page.objects.into_iter().map(|object| object.key));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(keys),
        }
    }
}

/// Adds an entry. Listings work without it.
pub(crate) async fn put_entry(store: &dyn ObjectStore, key_prefix: &str, summary: &Summary) {
    let Some(key) = summary.key(key_prefix) else { return };
    let request = PutRequest { key, metadata: ObjectMetadata::default(), conditions: WriteConditions::None };
    if let Err(error) = store.put(request, Bytes::new().into()).await {
        tracing::debug!(id = %summary.id, %error, "the catalogue lacks a backup");
    }
}

/// Adds what a listing had to read.
pub(super) async fn complete(store: &dyn ObjectStore, key_prefix: &str, read: &[Summary]) {
    stream::iter(read)
        .for_each_concurrent(CONCURRENT_WRITES, |summary| put_entry(store, key_prefix, summary))
        .await;
}

/// Removes entries.
pub(super) async fn forget(store: &dyn ObjectStore, keys: Vec<ObjectKey>) {
    for keys in keys.chunks(MAX_DELETED) {
        if let Err(error) = store.delete_many(keys).await {
            tracing::debug!(%error, "the catalogue keeps backups that are gone");
        }
    }
}

/// Removes the entry of a backup.
pub(super) async fn forget_backup(store: &dyn ObjectStore, key_prefix: &str, id: &BackupId) {
    let of_backup = format!("{}{id}.", prefix(key_prefix)).into_bytes();
    match keys(store, of_backup).await {
        Ok(keys) => forget(store, keys).await,
        Err(error) => tracing::debug!(%id, %error, "the catalogue keeps a backup that is gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_its_way_through_a_name() {
        let summary = Summary {
            id: "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e".parse().unwrap(),
            dir: "/workspace/ä b".into(),
            name: Some("before \"it\"".into()),
            size_bytes: u64::MAX,
            ttl: 0.5,
            created_at: "2024-05-06T07:08:09.123Z".into(),
            entries: 1,
            content_bytes: 2,
            excluded: 3,
            skipped_count: 4,
        };
        let key = summary.key("p/").unwrap();
        assert_eq!(Summary::parse(b"p/catalogue/", key.as_bytes()).unwrap(), summary);
        assert!(Summary { dir: "x".repeat(2000), ..summary }.key("p/").is_none());
    }
}
