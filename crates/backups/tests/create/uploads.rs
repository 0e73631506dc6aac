//! What is in the bucket: all of a backup, or nothing.

use std::fs;
use std::sync::Arc;

use sandkeep_backups::{CreateError, CreateOptions, Progress, create};
use sandkeep_objects::ObjectStore;
use tokio_util::sync::CancellationToken;

use crate::archive::{
    ID, Reports, archive, create_into, download, empty_bucket, id, left_in, noise, options, read, source,
};
use crate::description::{assert_same, describe};
use crate::scripted::Scripted;

const MIB: usize = 1024 * 1024;

/// A directory whose archive takes three parts.
fn three_parts() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..5 {
        fs::write(directory.path().join(number.to_string()), noise(number, 4 * MIB)).unwrap();
    }
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn small_archives_take_one_request_and_large_ones_parts() {
    let store = Arc::new(Scripted::new(empty_bucket().await));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "x").unwrap();
    let as_store: Arc<dyn ObjectStore> = store.clone();
    create_into(&as_store, source(directory.path()), options()).await.unwrap();
    assert_eq!(*store.log.lock().unwrap(), ["put archive", "head", "put manifest"]);

    store.log.lock().unwrap().clear();
    let directory = three_parts();
    let manifest = create_into(&as_store, source(directory.path()), options()).await.unwrap();
    let expected = [
        "create_upload",
        "upload_part",
        "upload_part",
        "upload_part",
        "complete_upload",
        "head",
        "put manifest",
    ];
    assert_eq!(*store.log.lock().unwrap(), expected);
    let archive = download(&as_store, id(ID).archive_key(""), manifest).await;
    assert_same(&describe(directory.path()), &describe(&archive.extract()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_multipart_there_is_one_request() {
    let store = Arc::new(Scripted::new(empty_bucket().await));
    let directory = three_parts();
    let as_store: Arc<dyn ObjectStore> = store.clone();
    let options = CreateOptions { multipart: false, ..options() };
    let manifest = create_into(&as_store, source(directory.path()), options).await.unwrap();
    assert_eq!(*store.log.lock().unwrap(), ["put archive", "head", "put manifest"]);
    let archive = download(&as_store, id(ID).archive_key(""), manifest).await;
    assert_same(&describe(directory.path()), &describe(&archive.extract()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_says_what_was_made() {
    let store = empty_bucket().await;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "12345").unwrap();
    fs::write(directory.path().join("file.log"), "x").unwrap();
    fs::create_dir(directory.path().join("directory")).unwrap();
    let options = CreateOptions {
        name: Some("a name".to_owned()),
        key_prefix: "tenant/".to_owned(),
        excludes: vec!["*.log".to_owned()],
        ..options()
    };
    let manifest = create_into(&store, source(directory.path()), options).await.unwrap();
    let keys = left_in(&store).await;
    assert_eq!(keys, [format!("tenant/backups/{ID}/data.sqsh"), format!("tenant/backups/{ID}/meta.json")]);
    let json: serde_json::Value =
        serde_json::from_slice(&read(&store, id(ID).manifest_key("tenant/")).await).unwrap();
    assert_eq!(json, serde_json::to_value(&manifest).unwrap());
    let expected = serde_json::json!({
        "id": ID, "dir": "/workspace", "name": "a name", "sizeBytes": 4096, "ttl": 3600.0,
        "createdAt": "2024-05-06T07:08:09.123Z", "entries": 2, "contentBytes": 5, "excluded": 1,
        "archiveEtag": manifest.archive_etag, "skippedCount": 0, "version": 1, "copiedBytes": 0,
        "leftOut": [{"by": "exclude", "pattern": "*.log", "names": 1, "files": 1, "bytes": 1}],
        "integrity": manifest.integrity,
    });
    let segments = manifest.integrity.unwrap().segments;
    assert_eq!(segments.iter().map(|segment| segment.bytes).sum::<u64>(), 4096);
    assert_eq!(json, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_tree_makes_the_same_archive() {
    let directory = three_parts();
    let bytes = async |threads| {
        let archive = archive(directory.path(), CreateOptions { threads, ..options() }).await;
        fs::read(archive.path()).unwrap()
    };
    assert!(bytes(1).await == bytes(7).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_with_all_of_it() {
    let store = empty_bucket().await;
    let directory = three_parts();
    let reports = Arc::new(Reports::default());
    let manifest =
        create(store, source(directory.path()), options(), reports.clone(), CancellationToken::new())
            .await
            .unwrap();
    let total = 20 * MIB as u64;
    let expected = Progress {
        entries: 5,
        total_bytes: total,
        read_bytes: total,
        uploaded_bytes: manifest.size_bytes,
        copied_bytes: 0,
    };
    assert_eq!(reports.0.lock().unwrap().last(), Some(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_is_left_empty() {
    let directory = three_parts();
    for (operation, nth, multipart) in [
        ("create_upload", 0, true),
        ("upload_part", 0, true),
        ("upload_part", 2, true),
        ("complete_upload", 0, true),
        ("head", 0, true),
        ("put manifest", 0, true),
        ("put archive", 0, false),
        ("head", 0, false),
        ("put manifest", 0, false),
    ] {
        let inner = empty_bucket().await;
        let store = Arc::new(Scripted::failing(inner.clone(), operation, nth));
        let as_store: Arc<dyn ObjectStore> = store.clone();
        let options = CreateOptions { multipart, ..options() };
        let error = create_into(&as_store, source(directory.path()), options).await.unwrap_err();
        assert!(matches!(error, CreateError::Store(_)), "{operation} {nth}: {error:?}");
        assert!(store.has_failed());
        assert!(left_in(&inner).await.is_empty(), "{operation} {nth} left {:?}", left_in(&inner).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_leaves_nothing() {
    let inner = empty_bucket().await;
    let store = Arc::new(Scripted::gated(inner.clone()));
    let directory = three_parts();
    let cancel = CancellationToken::new();
    let backup = create(
        store.clone(),
        source(directory.path()),
        options(),
        Arc::new(Reports::default()),
        cancel.clone(),
    );
    let backup = tokio::spawn(backup);
    store.arrived.acquire().await.unwrap().forget();
    assert!(!left_in(&inner).await.is_empty(), "an upload is under way");
    cancel.cancel();
    assert!(matches!(backup.await.unwrap(), Err(CreateError::Cancelled)));
    assert!(left_in(&inner).await.is_empty());
    assert_eq!(store.count("abort_upload"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_backup_leaves_nothing() {
    let inner = empty_bucket().await;
    let store = Arc::new(Scripted::gated(inner.clone()));
    let directory = three_parts();
    let backup = create(
        store.clone(),
        source(directory.path()),
        options(),
        Arc::new(Reports::default()),
        CancellationToken::new(),
    );
    let backup = tokio::spawn(backup);
    store.arrived.acquire().await.unwrap().forget();
    backup.abort();
    assert!(backup.await.unwrap_err().is_cancelled());
    // The net is a task of its own.
    while !left_in(&inner).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_the_stores_error() {
    use sandkeep_objects::{MemoryService, ObjectService};
    let store = MemoryService::new().bucket(&"missing".parse().unwrap());
    let directory = three_parts();
    let error = create_into(&store, source(directory.path()), options()).await.unwrap_err();
    assert!(matches!(error, CreateError::Store(sandkeep_objects::Error::NoSuchBucket { .. })), "{error:?}");
}
