//! A store that counts reads, and fails or holds them as a test tells it to.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sandkeep_objects::*;
use tokio::sync::Semaphore;

/// Wraps a store.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn ObjectStore>,
    gets: Mutex<Vec<(String, Option<ByteRange>)>>,
    failures: Mutex<VecDeque<Error>>,
    always: Mutex<Option<Error>>,
    /// Each read takes a permit while this is set.
    gate: Mutex<Option<Arc<Semaphore>>>,
    /// A permit for each read that arrived.
    pub(crate) arrived: Semaphore,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            gets: Mutex::default(),
            failures: Mutex::default(),
            always: Mutex::default(),
            gate: Mutex::default(),
            arrived: Semaphore::new(0),
        })
    }

    /// Reads so far.
    pub(crate) fn gets(&self) -> usize {
        self.gets.lock().unwrap().len()
    }

    /// Bytes that the reads so far asked for, apart from whole objects and suffixes.
    pub(crate) fn ranges(&self) -> Vec<Range<u64>> {
        let bounded = |range: &Option<ByteRange>| match range {
            Some(ByteRange::Bounded { start, end }) => Some(*start..*end),
            _ => None,
        };
        self.gets.lock().unwrap().iter().filter_map(|(_, range)| bounded(range)).collect()
    }

    /// The next reads fail like this, one after the other.
    pub(crate) fn fail_next(&self, errors: impl IntoIterator<Item = Error>) {
        self.failures.lock().unwrap().extend(errors);
    }

    /// All reads fail like this, or no more.
    pub(crate) fn fail_always(&self, error: Option<Error>) {
        *self.always.lock().unwrap() = error;
    }

    /// Reads wait for permits.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    fn failure(&self) -> Option<Error> {
        self.failures.lock().unwrap().pop_front().or_else(|| self.always.lock().unwrap().clone())
    }
}

/// What a store without a network answers.
pub(crate) fn unreachable() -> Error {
    let source = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
    Error::Unreachable { endpoint: "http://127.0.0.1:1".to_owned(), source }
}

#[async_trait]
impl ObjectStore for Watched {
    fn bucket_name(&self) -> &BucketName {
        self.inner.bucket_name()
    }
    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.inner.head(key, conditions).await
    }
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.gets.lock().unwrap().push((request.key.display(), request.range));
        self.arrived.add_permits(1);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        match self.failure() {
            Some(error) => Err(error),
            None => self.inner.get(request).await,
        }
    }
    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        self.inner.put(request, body).await
    }
    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.inner.delete(key).await
    }
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.inner.delete_many(keys).await
    }
    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.inner.copy(request).await
    }
    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.inner.list(request).await
    }
    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.inner.create_upload(request).await
    }
    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        self.inner.upload_part(upload, number, body).await
    }
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        self.inner.upload_part_copy(upload, number, source, range).await
    }
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        self.inner.complete_upload(upload, parts, conditions).await
    }
    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.inner.abort_upload(upload).await
    }
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.inner.list_parts(upload).await
    }
    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.inner.list_uploads(prefix).await
    }
}
