//! A store that counts, fails or waits as a test tells it to.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sandkeep_objects::*;
use tokio::sync::Semaphore;

/// Wraps a store.
#[derive(Debug)]
pub(crate) struct Scripted {
    inner: Arc<dyn ObjectStore>,
    /// Names of the operations so far.
    pub(crate) log: Mutex<Vec<&'static str>>,
    /// Fails the operation of that name, the n-th time from 0, and all of that name after it.
    fail: Option<(&'static str, usize)>,
    failed: AtomicUsize,
    /// Each uploaded part takes a permit.
    pub(crate) gate: Option<Semaphore>,
    /// A permit for each part that waits or waited.
    pub(crate) arrived: Semaphore,
}

impl Scripted {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            log: Mutex::default(),
            fail: None,
            failed: AtomicUsize::new(0),
            gate: None,
            arrived: Semaphore::new(0),
        }
    }

    pub(crate) fn failing(inner: Arc<dyn ObjectStore>, operation: &'static str, nth: usize) -> Self {
        Self { fail: Some((operation, nth)), ..Self::new(inner) }
    }

    /// Parts wait until the test adds permits.
    pub(crate) fn gated(inner: Arc<dyn ObjectStore>) -> Self {
        Self { gate: Some(Semaphore::new(0)), ..Self::new(inner) }
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|name| **name == operation).count()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst) > 0
    }

    fn note(&self, operation: &'static str) -> Result<()> {
        let before = self.count(operation);
        self.log.lock().unwrap().push(operation);
        match self.fail {
            Some((name, nth)) if name == operation && before >= nth => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                Err(Error::Server { status: 400, code: "Scripted".to_owned(), message: String::new() })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectStore for Scripted {
    fn bucket_name(&self) -> &BucketName {
        self.inner.bucket_name()
    }
    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.note("head")?;
        self.inner.head(key, conditions).await
    }
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.note("get")?;
        self.inner.get(request).await
    }
    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        let is_manifest = request.key.as_bytes().ends_with(b"meta.json");
        if !is_manifest && !request.key.as_bytes().ends_with(b"data.sqsh") {
            return self.inner.put(request, body).await;
        }
        let response = self.inner.put(request, body).await;
        // After the fact, as when an answer is lost.
        self.note(if is_manifest { "put manifest" } else { "put archive" })?;
        response
    }
    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.note("delete")?;
        self.inner.delete(key).await
    }
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.note("delete_many")?;
        self.inner.delete_many(keys).await
    }
    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.inner.copy(request).await
    }
    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.note("list")?;
        self.inner.list(request).await
    }
    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        let upload = self.inner.create_upload(request).await;
        self.note("create_upload")?;
        upload
    }
    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        self.arrived.add_permits(1);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.note("upload_part")?;
        self.inner.upload_part(upload, number, body).await
    }
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        self.note("upload_part_copy")?;
        self.inner.upload_part_copy(upload, number, source, range).await
    }
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let response = self.inner.complete_upload(upload, parts, conditions).await;
        self.note("complete_upload")?;
        response
    }
    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.note("abort_upload")?;
        self.inner.abort_upload(upload).await
    }
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.inner.list_parts(upload).await
    }
    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.inner.list_uploads(prefix).await
    }
}
