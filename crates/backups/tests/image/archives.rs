//! Archives in a bucket in memory, made by mksquashfs or by our own writer.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sandkeep_backups::{
    BackupId, Compression, CreateOptions, Image, ImageSettings, Progress, ProgressSink, RestoreError, Source,
    create,
};
use sandkeep_objects::{
    MemoryService, ObjectKey, ObjectMetadata, ObjectService, ObjectStore, PutRequest, WriteConditions,
};
use tokio_util::sync::CancellationToken;

use crate::store::Watched;

const ID: &str = "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e";

pub(crate) fn id() -> BackupId {
    ID.parse().unwrap()
}

/// When all backups of these tests were made.
pub(crate) fn created() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_714_979_289_123)
}

pub(crate) fn settings() -> ImageSettings {
    ImageSettings { key_prefix: String::new(), id_base: 0, memory_budget: 64 << 20, cache: None }
}

pub(crate) async fn open(store: &Arc<Watched>, settings: ImageSettings) -> Result<Image, RestoreError> {
    let store: Arc<dyn ObjectStore> = Arc::clone(store) as _;
    Image::open(store, &id(), settings, created()).await
}

pub(crate) async fn bucket() -> Arc<Watched> {
    let service = MemoryService::new();
    let name = "backups".parse().unwrap();
    service.create_bucket(&name).await.unwrap();
    Watched::new(service.bucket(&name))
}

pub(crate) async fn put(store: &Arc<Watched>, key: ObjectKey, content: Bytes) -> String {
    let request = PutRequest { key, metadata: ObjectMetadata::default(), conditions: WriteConditions::None };
    store.put(request, content.into()).await.unwrap().etag.0
}

/// A backup whose archive are these bytes.
pub(crate) async fn backup_of(archive: Bytes) -> Arc<Watched> {
    let store = bucket().await;
    let size = archive.len();
    let etag = put(&store, id().archive_key(""), archive).await;
    let manifest = serde_json::json!({
        "id": ID, "dir": "/workspace", "name": null, "sizeBytes": size, "ttl": 3600.0,
        "createdAt": "2024-05-06T07:08:09.123Z", "archiveEtag": etag,
    });
    put(&store, id().manifest_key(""), manifest.to_string().into()).await;
    store
}

pub(crate) fn mksquashfs(tree: &Path, options: &[&str]) -> Bytes {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("archive");
    let status = Command::new("mksquashfs")
        .args([tree, &path])
        .args(["-noappend", "-quiet", "-no-progress"])
        .args(options)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(path).unwrap().into()
}

struct Silent;

impl ProgressSink for Silent {
    fn report(&self, _: Progress) {}
}

/// A backup made by our own writer.
pub(crate) async fn own_backup(tree: &Path, compression: Compression) -> Arc<Watched> {
    let store = bucket().await;
    let options = CreateOptions {
        id: id(),
        now: created(),
        key_prefix: String::new(),
        dir: "/workspace".to_owned(),
        name: None,
        ttl: 3600.0,
        excludes: Vec::new(),
        gitignore: false,
        compression: Some(compression),
        threads: 2,
        multipart: true,
        record: None,
    };
    let source =
        Source { directory: File::open(tree).unwrap().into(), id_base: 0, overlay: None, freezer: None };
    let bucket: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    create(bucket, source, options, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    store
}
