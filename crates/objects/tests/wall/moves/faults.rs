//! A store that hangs, damages what it is given, or forgets tags.

use std::ops::Range;

use sandkeep_objects::{
    CopyRequest, CopySource, DeleteOutcome, ETag, GetResponse, ListPage, ObjectInfo, PartInfo, PutResponse,
    Result, Upload, UploadInfo,
};
use tokio::sync::Notify;

use super::*;

#[derive(Clone, Debug)]
pub(super) struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ObjectStore>,
    /// Puts until it hangs.
    puts: AtomicU32,
    hangs: Notify,
    damages: AtomicU32,
    tags: bool,
}

impl Faults {
    pub(super) fn over(store: Arc<dyn ObjectStore>) -> Builder {
        Builder { store, puts: u32::MAX, damages: 0, tags: true }
    }
}

pub(super) struct Builder {
    store: Arc<dyn ObjectStore>,
    puts: u32,
    damages: u32,
    tags: bool,
}

impl Builder {
    pub(super) fn hanging_after(self, puts: u32) -> Arc<Faults> {
        Self { puts, ..self }.build()
    }

    pub(super) fn damaging(self, damages: u32) -> Arc<Faults> {
        Self { damages, ..self }.build()
    }

    pub(super) fn without_tags(self) -> Arc<Faults> {
        Self { tags: false, ..self }.build()
    }

    fn build(self) -> Arc<Faults> {
        let Self { store, puts, damages, tags } = self;
        let (puts, damages) = (AtomicU32::new(puts), AtomicU32::new(damages));
        Arc::new(Faults(Arc::new(Inner { store, puts, hangs: Notify::new(), damages, tags })))
    }
}

fn take(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Faults {
    /// Returns when a request hangs.
    pub(super) async fn hangs(&self) {
        self.0.hangs.notified().await;
    }

    pub(super) fn damages_left(&self) -> u32 {
        self.0.damages.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ObjectStore for Faults {
    fn bucket_name(&self) -> &BucketName {
        self.0.store.bucket_name()
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.0.store.head(key, conditions).await
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.0.store.get(request).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        match self.0.tags {
            true => self.0.store.tags(key).await,
            false => Err(Error::Unsupported { what: "tags" }),
        }
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        if request.key.display().contains(".sandkeep") {
            return self.0.store.put(request, body).await;
        }
        if !take(&self.0.puts) {
            self.0.hangs.notify_one();
            std::future::pending::<()>().await;
        }
        let body = match body {
            Body::Stream { length, stream } if take(&self.0.damages) => {
                let flip = |bytes: Bytes| bytes.iter().map(|byte| byte ^ 1).collect::<Bytes>();
                Body::Stream { length, stream: stream.map_ok(flip).boxed() }
            }
            body => body,
        };
        self.0.store.put(request, body).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.0.store.delete(key).await
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.0.store.delete_many(keys).await
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.0.store.copy(request).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.0.store.list(request).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.0.store.create_upload(request).await
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        self.0.store.upload_part(upload, number, body).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        self.0.store.upload_part_copy(upload, number, source, range).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        self.0.store.complete_upload(upload, parts, conditions).await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.0.store.abort_upload(upload).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.0.store.list_parts(upload).await
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.0.store.list_uploads(prefix).await
    }
}
