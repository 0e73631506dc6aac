//! Listing, inspecting and deleting backups.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_backups::{CreateOptions, RestoreError, delete, inspect, list};
use sandkeep_objects::{ObjectKey, ObjectMetadata, ObjectStore, PutRequest, WriteConditions};

use crate::archive::{create_into, empty_bucket, id, left_in, options, source};

const OLDER: &str = "00000000-0000-4000-8000-000000000001";
const NEWER: &str = "ffffffff-0000-4000-8000-000000000002";

async fn two_backups(store: &Arc<dyn ObjectStore>, key_prefix: &str) {
    let directory = tempfile::tempdir().unwrap();
    for (text, seconds) in [(OLDER, 0), (NEWER, 60)] {
        let options = CreateOptions {
            id: id(text),
            now: options().now + Duration::from_secs(seconds),
            key_prefix: key_prefix.to_owned(),
            ..options()
        };
        create_into(store, source(directory.path()), options).await.unwrap();
    }
}

async fn put(store: &Arc<dyn ObjectStore>, key: &str, text: &'static str) {
    let request = PutRequest {
        key: ObjectKey::new(key).unwrap(),
        metadata: ObjectMetadata::default(),
        conditions: WriteConditions::None,
    };
    store.put(request, bytes::Bytes::from(text).into()).await.unwrap();
}

#[tokio::test]
async fn backups_are_listed_newest_first_and_only_whole_ones() {
    let store = empty_bucket().await;
    two_backups(&store, "a/").await;
    put(&store, "a/backups/readme.txt", "not a backup").await;
    put(&store, "a/backups/00000000-0000-4000-8000-00000000000a/data.sqsh", "being made").await;
    put(&store, "a/backups/00000000-0000-4000-8000-00000000000b/meta.json", "{").await;
    put(&store, "a/backups/not-an-id/meta.json", "{}").await;
    let ids: Vec<String> =
        list(store.clone(), "a/").await.unwrap().into_iter().map(|one| one.id.to_string()).collect();
    assert_eq!(ids, [NEWER, OLDER]);
    assert!(list(store, "").await.unwrap().is_empty());
}

#[tokio::test]
async fn one_backup_can_be_inspected() {
    let store = empty_bucket().await;
    two_backups(&store, "").await;
    let manifest = inspect(store.clone(), "", &id(NEWER)).await.unwrap();
    assert_eq!(manifest.created_at, "2024-05-06T07:09:09.123Z");
    let missing = inspect(store.clone(), "", &id("00000000-0000-4000-8000-00000000000c")).await;
    assert!(matches!(missing, Err(RestoreError::NotFound { .. })));
    put(&store, &format!("backups/{OLDER}/meta.json"), "[]").await;
    let damaged = inspect(store, "", &id(OLDER)).await;
    assert!(matches!(damaged, Err(RestoreError::DamagedManifest { .. })));
}

#[tokio::test]
async fn deleting_removes_both_objects() {
    let store = empty_bucket().await;
    two_backups(&store, "").await;
    delete(store.clone(), "", &id(OLDER)).await.unwrap();
    let left = left_in(&store).await;
    assert_eq!(left, [format!("backups/{NEWER}/data.sqsh"), format!("backups/{NEWER}/meta.json")]);
    assert!(matches!(delete(store, "", &id(OLDER)).await, Err(RestoreError::NotFound { .. })));
}
