//! Listing, inspecting and deleting backups.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_backups::{CreateOptions, RestoreError, Summary, delete, inspect, list};
use sandkeep_objects::{ListRequest, ObjectKey, ObjectMetadata, ObjectStore, PutRequest, WriteConditions};

use crate::archive::{create_into, empty_bucket, id, left_in, options, source};
use crate::scripted::Scripted;

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

/// The catalogue's objects.
async fn entries(store: &Arc<dyn ObjectStore>) -> usize {
    let prefix = b"catalogue/".to_vec();
    store.list(ListRequest { prefix, ..ListRequest::default() }).await.unwrap().objects.len()
}

#[tokio::test]
async fn a_list_reads_manifests_only_where_the_catalogue_lacks_them() {
    let inner = empty_bucket().await;
    two_backups(&inner, "").await;
    let scripted = Arc::new(Scripted::new(Arc::clone(&inner)));
    let store: Arc<dyn ObjectStore> = scripted.clone();
    let listed = list(store.clone(), "").await.unwrap();
    assert_eq!((listed.len(), scripted.count("get"), entries(&inner).await), (2, 0, 2));
    let expected: Vec<_> = [NEWER, OLDER].map(id).into();
    let mut read = Vec::new();
    for id in &expected {
        read.push(Summary::of(&inspect(inner.clone(), "", id).await.unwrap()));
    }
    assert_eq!(listed, read);
    // Lost entries come back, those of backups that others deleted go.
    let page =
        inner.list(ListRequest { prefix: b"catalogue/".to_vec(), ..ListRequest::default() }).await.unwrap();
    inner.delete(&page.objects[0].key).await.unwrap();
    assert_eq!(list(store.clone(), "").await.unwrap(), read);
    assert_eq!((scripted.count("get"), entries(&inner).await), (1, 2));
    inner.delete(&id(NEWER).manifest_key("")).await.unwrap();
    assert_eq!(list(store.clone(), "").await.unwrap(), read[1..]);
    assert_eq!(entries(&inner).await, 1);
    delete(store, "", &id(OLDER)).await.unwrap();
    assert_eq!(entries(&inner).await, 0);
}

#[tokio::test]
async fn ten_thousand_backups_are_listed_page_by_page() {
    let inner = empty_bucket().await;
    for number in 0..10_000 {
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        let manifest = serde_json::json!({
            "id": id, "dir": "/workspace", "name": null, "sizeBytes": 1, "ttl": 60,
            "createdAt": "2024-05-06T07:08:09.123Z",
        });
        let request = PutRequest {
            key: id.parse::<sandkeep_backups::BackupId>().unwrap().manifest_key(""),
            metadata: ObjectMetadata::default(),
            conditions: WriteConditions::None,
        };
        inner.put(request, bytes::Bytes::from(manifest.to_string()).into()).await.unwrap();
    }
    assert_eq!(list(inner.clone(), "").await.unwrap().len(), 10_000);
    let scripted = Arc::new(Scripted::new(inner));
    assert_eq!(list(scripted.clone(), "").await.unwrap().len(), 10_000);
    assert_eq!((scripted.count("get"), scripted.count("list")), (0, 20));
}
