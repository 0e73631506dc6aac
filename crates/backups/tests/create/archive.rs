//! Making archives in a bucket in memory, and having `unsquashfs` read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use sandkeep_backups::{
    BackupId, CreateError, CreateOptions, Manifest, Progress, ProgressSink, Source, create,
};
use sandkeep_objects::{GetRequest, ListRequest, MemoryService, ObjectKey, ObjectService, ObjectStore};
use tokio_util::sync::CancellationToken;

pub(crate) const ID: &str = "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e";

/// Keeps the reports.
#[derive(Default)]
pub(crate) struct Reports(pub(crate) Mutex<Vec<Progress>>);

impl ProgressSink for Reports {
    fn report(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
}

/// A directory in memory where there is one: for tests with very many files.
pub(crate) fn fast_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(crate) async fn empty_bucket() -> Arc<dyn ObjectStore> {
    let service = MemoryService::new();
    let name = "backups".parse().unwrap();
    service.create_bucket(&name).await.unwrap();
    service.bucket(&name)
}

pub(crate) fn options() -> CreateOptions {
    CreateOptions {
        id: ID.parse().unwrap(),
        now: SystemTime::UNIX_EPOCH + Duration::from_millis(1_714_979_289_123),
        key_prefix: String::new(),
        dir: "/workspace".to_owned(),
        name: None,
        ttl: 3600.0,
        excludes: Vec::new(),
        gitignore: false,
        compression: None,
        threads: 2,
        multipart: true,
        record: None,
    }
}

pub(crate) fn source(directory: &Path) -> Source {
    Source { directory: File::open(directory).unwrap().into(), id_base: 0, overlay: None, freezer: None }
}

pub(crate) async fn create_into(
    store: &Arc<dyn ObjectStore>,
    source: Source,
    options: CreateOptions,
) -> Result<Manifest, CreateError> {
    create(Arc::clone(store), source, options, Arc::new(Reports::default()), CancellationToken::new()).await
}

/// An archive as a file.
pub(crate) struct ArchiveFile {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) manifest: Manifest,
}

impl ArchiveFile {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data.sqsh")
    }

    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(self.path()).unwrap().len()
    }

    /// Extracts with `unsquashfs`, which must not complain.
    pub(crate) fn extract(&self) -> PathBuf {
        let target = self.directory.path().join("extracted");
        let mut command = Command::new("unsquashfs");
        command.args(["-no-progress", "-d"]).arg(&target).arg(self.path());
        run(&mut command);
        target
    }

    /// The paths that `unsquashfs` lists, sorted.
    pub(crate) fn list(&self) -> Vec<String> {
        let text =
            run(Command::new("unsquashfs").args(["-l", "-no-progress", "-d", "root"]).arg(self.path()));
        let mut paths: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix("root/")).map(Into::into).collect();
        paths.sort();
        paths
    }
}

/// Archives a directory, and takes the archive out of the bucket.
pub(crate) async fn archive(directory: &Path, options: CreateOptions) -> ArchiveFile {
    archive_source(source(directory), options).await
}

pub(crate) async fn archive_source(source: Source, options: CreateOptions) -> ArchiveFile {
    let store = empty_bucket().await;
    let key = options.id.archive_key(&options.key_prefix);
    let manifest = create_into(&store, source, options).await.unwrap();
    download(&store, key, manifest).await
}

pub(crate) async fn download(
    store: &Arc<dyn ObjectStore>,
    key: ObjectKey,
    manifest: Manifest,
) -> ArchiveFile {
    let directory = tempfile::tempdir().unwrap();
    let bytes = read(store, key).await;
    assert_eq!(bytes.len() as u64, manifest.size_bytes);
    fs::write(directory.path().join("data.sqsh"), bytes).unwrap();
    ArchiveFile { directory, manifest }
}

pub(crate) async fn read(store: &Arc<dyn ObjectStore>, key: ObjectKey) -> Vec<u8> {
    let response = store.get(GetRequest::whole(key)).await.unwrap();
    let chunks: Vec<_> = response.body.try_collect().await.unwrap();
    chunks.concat()
}

/// Keys of all objects and of all uploads.
pub(crate) async fn left_in(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let page = store.list(ListRequest::default()).await.unwrap();
    // The catalogue may be out of date.
    let is_of_backup = |key: &ObjectKey| !key.display().contains("catalogue/");
    let objects = page.objects.into_iter().map(|object| object.key).filter(is_of_backup);
    let uploads = store.list_uploads(b"").await.unwrap().into_iter().map(|info| info.upload.key);
    objects.chain(uploads).map(|key| key.display()).collect()
}

pub(crate) fn id(text: &str) -> BackupId {
    text.parse().unwrap()
}

/// Runs a command that has to succeed without a word on stderr; its stdout.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{command:?}: {} {stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Bytes that do not compress, different for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
