//! A store that counts requests, and fails, loses, cuts or holds them as a test tells it to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use sandkeep_objects::*;
use tokio::sync::Semaphore;

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Action {
    Head,
    Get,
    Put,
    Delete,
    DeleteMany,
    Copy,
    List,
    CreateUpload,
    UploadPart,
    UploadPartCopy,
    CompleteUpload,
    AbortUpload,
    ListParts,
    ListUploads,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) action: Action,
    pub(crate) key: String,
    pub(crate) bytes: u64,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    Pass,
    /// It does not happen.
    Fail(Error),
    /// It happens, and the answer is lost.
    Lose(Error),
    /// The body of the answer breaks off in the middle.
    Cut,
    /// It waits for a permit.
    Hold(Arc<Semaphore>),
}

type Script = Box<dyn FnMut(&Call) -> Verdict + Send>;

/// Wraps a store.
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    calls: Mutex<Vec<Call>>,
    script: Mutex<Option<Script>>,
    uploading: AtomicU64,
    most_uploading: AtomicU64,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            calls: Mutex::default(),
            script: Mutex::default(),
            uploading: AtomicU64::new(0),
            most_uploading: AtomicU64::new(0),
        })
    }

    /// Decides about every request from now on.
    pub(crate) fn script(&self, script: impl FnMut(&Call) -> Verdict + Send + 'static) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(script));
    }

    /// All requests of this kind fail.
    pub(crate) fn fail(&self, action: Action, error: Error) {
        self.script(move |call| match call.action == action {
            true => Verdict::Fail(error.clone()),
            false => Verdict::Pass,
        });
    }

    /// All requests pass again.
    pub(crate) fn heal(&self) {
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The requests since this was last called.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same without keys.
    pub(crate) fn take_actions(&self) -> Vec<Action> {
        self.take_calls().into_iter().map(|call| call.action).collect()
    }

    /// Most bytes that were on their way to the store at once.
    pub(crate) fn most_uploading(&self) -> u64 {
        self.most_uploading.load(Ordering::SeqCst)
    }

    /// Notes a request; tells whether its answer is to be lost or cut.
    async fn note(&self, action: Action, key: &[u8], bytes: u64) -> Result<Verdict> {
        let call = Call { action, key: String::from_utf8_lossy(key).into_owned(), bytes };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        let verdict = match &mut *self.script.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(script) => script(&call),
            None => Verdict::Pass,
        };
        match verdict {
            Verdict::Fail(error) => Err(error),
            Verdict::Hold(gate) => {
                gate.acquire().await.map_err(|_| Error::AccessDenied)?.forget();
                Ok(Verdict::Pass)
            }
            verdict => Ok(verdict),
        }
    }

    async fn sending<T>(&self, bytes: u64, work: impl Future<Output = T>) -> T {
        let now = self.uploading.fetch_add(bytes, Ordering::SeqCst) + bytes;
        self.most_uploading.fetch_max(now, Ordering::SeqCst);
        let outcome = work.await;
        self.uploading.fetch_sub(bytes, Ordering::SeqCst);
        outcome
    }
}

fn answered<T>(verdict: Verdict, answer: Result<T>) -> Result<T> {
    match verdict {
        Verdict::Lose(error) => answer.and(Err(error)),
        _ => answer,
    }
}

/// What a store without a network answers.
pub(crate) fn unreachable() -> Error {
    let source = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    Error::Unreachable { endpoint: "http://127.0.0.1:1".to_owned(), source }
}

/// An answer of a server in trouble.
pub(crate) fn server(status: u16) -> Error {
    Error::Server { status, code: "Trouble".to_owned(), message: String::new() }
}

fn cut(response: GetResponse) -> GetResponse {
    let half = (response.range.end - response.range.start) as usize / 2;
    let broken = Error::Corrupt { what: "the body ended early".to_owned() };
    let body = response.body;
    let pieces = stream::once(async move {
        let bytes: Vec<Bytes> = body.filter_map(|piece| async { piece.ok() }).collect().await;
        Bytes::from(bytes.concat()).slice(..half)
    });
    GetResponse { body: pieces.map(Ok).chain(stream::once(async { Err(broken) })).boxed(), ..response }
}

#[async_trait]
impl ObjectStore for Faulty {
    fn bucket_name(&self) -> &BucketName {
        self.inner.bucket_name()
    }
    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        let verdict = self.note(Action::Head, key.as_bytes(), 0).await?;
        answered(verdict, self.inner.head(key, conditions).await)
    }
    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let verdict = self.note(Action::Get, request.key.as_bytes(), 0).await?;
        let response = self.inner.get(request).await;
        match verdict {
            Verdict::Cut => response.map(cut),
            verdict => answered(verdict, response),
        }
    }
    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        let verdict = self.note(Action::Put, request.key.as_bytes(), body.length()).await?;
        answered(verdict, self.sending(body.length(), self.inner.put(request, body)).await)
    }
    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let verdict = self.note(Action::Delete, key.as_bytes(), 0).await?;
        answered(verdict, self.inner.delete(key).await)
    }
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        let verdict = self.note(Action::DeleteMany, b"", 0).await?;
        answered(verdict, self.inner.delete_many(keys).await)
    }
    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        let verdict = self.note(Action::Copy, request.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.copy(request).await)
    }
    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let verdict = self.note(Action::List, &request.prefix, 0).await?;
        answered(verdict, self.inner.list(request).await)
    }
    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        let verdict = self.note(Action::CreateUpload, request.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.create_upload(request).await)
    }
    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        let verdict = self.note(Action::UploadPart, upload.key.as_bytes(), body.length()).await?;
        answered(verdict, self.sending(body.length(), self.inner.upload_part(upload, number, body)).await)
    }
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        let verdict = self.note(Action::UploadPartCopy, upload.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.upload_part_copy(upload, number, source, range).await)
    }
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let verdict = self.note(Action::CompleteUpload, upload.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.complete_upload(upload, parts, conditions).await)
    }
    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let verdict = self.note(Action::AbortUpload, upload.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.abort_upload(upload).await)
    }
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        let verdict = self.note(Action::ListParts, upload.key.as_bytes(), 0).await?;
        answered(verdict, self.inner.list_parts(upload).await)
    }
    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        let verdict = self.note(Action::ListUploads, prefix, 0).await?;
        answered(verdict, self.inner.list_uploads(prefix).await)
    }
}
