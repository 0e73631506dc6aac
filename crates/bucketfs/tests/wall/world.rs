//! A bucket in memory, any number of mounts of it, and a client beside them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use sandkeep_bucketfs::{BucketFs, BucketFsSettings};
use sandkeep_objects::*;
use sandkeep_vfs::Errno;
use sandkeep_vfs::conformance::Served;
use tokio::runtime::Runtime;

use crate::store::Faulty;

/// A child that any test forks closes descriptors of all tests when it executes its program, and closing publishes.
static FORKS: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "guards are held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

/// The bucket, seen past all mounts, and the store that mounts see.
pub(crate) struct World {
    pub(crate) store: Arc<Faulty>,
    bucket: Arc<dyn ObjectStore>,
    service: Arc<MemoryService>,
    runtime: Runtime,
    _turn: Turn,
}

/// A mount of the bucket; it goes away when dropped, also while a test panics.
pub(crate) struct Mounted {
    served: Served,
}

impl Mounted {
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.served.directory().join(name)
    }

    /// Unmounts and waits for the end.
    pub(crate) fn close(self) {
        self.served.close().unwrap();
    }

    /// Ends it as a killed process would: nothing is flushed.
    pub(crate) fn abandon(self) {
        self.served.mount().abort().unwrap();
    }
}

/// Small parts, so that tests of multipart uploads stay small.
pub(crate) fn settings() -> BucketFsSettings {
    BucketFsSettings { part_size: 1 << 20, ..BucketFsSettings::default() }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(MemorySettings::default())
    }

    pub(crate) fn with(settings: MemorySettings) -> Self {
        Self::build(settings, Turn::Shared(FORKS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// For tests that start programs.
    pub(crate) fn alone() -> Self {
        let turn = Turn::Alone(FORKS.write().unwrap_or_else(PoisonError::into_inner));
        Self::build(MemorySettings::default(), turn)
    }

    fn build(settings: MemorySettings, turn: Turn) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let service = Arc::new(MemoryService::with_settings(settings));
        let name: BucketName = "test-bucket".parse().unwrap();
        runtime.block_on(service.create_bucket(&name)).unwrap();
        let bucket = service.bucket(&name);
        Self { store: Faulty::new(Arc::clone(&bucket)), bucket, service, runtime, _turn: turn }
    }

    /// The bucket's account, for an endpoint of its own.
    pub(crate) fn service(&self) -> Arc<dyn ObjectService> {
        Arc::clone(&self.service) as _
    }

    pub(crate) fn open(&self, settings: BucketFsSettings) -> Arc<BucketFs> {
        Arc::new(self.run(BucketFs::open(Arc::clone(&self.store) as _, settings)).unwrap())
    }

    pub(crate) fn mount(&self) -> Mounted {
        self.mount_with(settings())
    }

    pub(crate) fn mount_with(&self, settings: BucketFsSettings) -> Mounted {
        let served = Served::start(self.open(settings)).unwrap();
        Mounted { served }
    }

    /// A mount that believes nothing it knew before.
    pub(crate) fn mount_forgetful(&self) -> Mounted {
        self.mount_with(BucketFsSettings { metadata_age: Duration::ZERO, ..settings() })
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.put_with(key, bytes, ObjectMetadata::default());
    }

    pub(crate) fn put_with(&self, key: &str, bytes: impl Into<Vec<u8>>, metadata: ObjectMetadata) {
        let request = PutRequest { key: object(key), metadata, conditions: WriteConditions::None };
        self.run(self.bucket.put(request, Body::Bytes(Bytes::from(bytes.into())))).unwrap();
    }

    pub(crate) fn delete(&self, key: &str) {
        self.run(self.bucket.delete(&object(key))).unwrap();
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let response = match self.run(self.bucket.get(GetRequest::whole(object(key)))) {
            Err(Error::NoSuchKey { .. }) => return None,
            response => response.unwrap(),
        };
        let pieces: Vec<Bytes> = self.run(response.body.try_collect()).unwrap();
        Some(pieces.concat())
    }

    pub(crate) fn metadata(&self, key: &str) -> ObjectMetadata {
        self.run(self.bucket.head(&object(key), Conditions::default())).unwrap().metadata
    }

    /// One of the `x-amz-meta-` values of an object.
    pub(crate) fn user_metadata(&self, key: &str, name: &str) -> Option<String> {
        self.metadata(key).user.get(name).cloned()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut continuation = None;
        loop {
            let request = ListRequest { continuation, ..ListRequest::default() };
            let page = self.run(self.bucket.list(request)).unwrap();
            keys.extend(page.objects.iter().map(|object| object.key.display()));
            continuation = page.next;
            if continuation.is_none() {
                return keys;
            }
        }
    }

    pub(crate) fn uploads(&self) -> usize {
        self.run(self.bucket.list_uploads(b"")).unwrap().len()
    }

    /// Waits until no upload is left: aborts go on in the background.
    pub(crate) fn await_no_uploads(&self) {
        self.run(async {
            let left = async {
                while !self.bucket.list_uploads(b"").await.unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), left).await.expect("uploads are left");
        });
    }
}

pub(crate) fn object(key: &str) -> ObjectKey {
    ObjectKey::new(key.as_bytes().to_vec()).unwrap()
}

/// Bytes that do not repeat, the same for the same seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The errno of a failure.
pub(crate) fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Errno {
    Errno(result.expect_err("must fail").raw_os_error().unwrap())
}

/// Names in a directory, sorted.
pub(crate) fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
