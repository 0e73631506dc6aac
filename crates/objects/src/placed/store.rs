//! One bucket, wherever it is at the moment.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::copies;
use super::gates::Writing;
use super::service::Inner;
use crate::{
    Body, BucketName, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, DeleteConditions,
    DeleteOutcome, ETag, GetRequest, GetResponse, ListPage, ListRequest, ObjectInfo, ObjectKey, ObjectPart,
    ObjectStore, PartInfo, PartsChecksum, PutRequest, PutResponse, Result, Upload, UploadInfo,
    WriteConditions,
};

/// One bucket; may not exist.
#[derive(Debug)]
pub(super) struct PlacedStore {
    inner: Arc<Inner>,
    name: BucketName,
}

impl PlacedStore {
    pub(super) fn new(inner: Arc<Inner>, name: BucketName) -> Self {
        Self { inner, name }
    }

    /// Where it is now.
    fn now(&self) -> Arc<dyn ObjectStore> {
        self.inner.service_of(&self.name).bucket(&self.name)
    }

    /// Where it is until the write is finished.
    async fn write(&self, keys: &[&ObjectKey]) -> (Writing, Arc<dyn ObjectStore>) {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        let writing = self.inner.gates.enter(&self.name, keys).await;
        (writing, self.now())
    }

    /// The bucket of a copy's source, if it is in the other place.
    fn other_place(&self, source: &CopySource) -> Option<Arc<dyn ObjectStore>> {
        let name = source.bucket.as_ref()?;
        let apart = self.inner.placement(name) != self.inner.placement(&self.name);
        apart.then(|| self.inner.service_of(name).bucket(name))
    }
}

#[async_trait]
impl ObjectStore for PlacedStore {
    fn bucket_name(&self) -> &BucketName {
        &self.name
    }

    fn location(&self) -> String {
        self.now().location()
    }

    fn longest_key(&self) -> usize {
        self.now().longest_key()
    }

    fn wants_equal_parts(&self) -> bool {
        self.now().wants_equal_parts()
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.now().head(key, conditions).await
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        self.now().get(request).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        self.now().tags(key).await
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        let (writing, store) = self.write(&[&request.key]).await;
        writing.finish(store.put(request, body).await)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let (writing, store) = self.write(&[key]).await;
        writing.finish(store.delete(key).await)
    }

    async fn delete_if(&self, key: &ObjectKey, conditions: DeleteConditions) -> Result<()> {
        let (writing, store) = self.write(&[key]).await;
        writing.finish(store.delete_if(key, conditions).await)
    }

    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        let (writing, store) = self.write(&[key]).await;
        writing.finish(store.set_tags(key, tags).await)
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        let (writing, store) = self.write(&keys.iter().collect::<Vec<_>>()).await;
        writing.finish(store.delete_many(keys).await)
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        let (writing, store) = self.write(&[&request.key]).await;
        let copied = match self.other_place(&request.source) {
            Some(source) => copies::copy(&*source, &*store, request).await,
            None => store.copy(request).await,
        };
        writing.finish(copied)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.now().list(request).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        let (writing, store) = self.write(&[]).await;
        writing.finish(store.create_upload(request).await)
    }

    async fn create_checked_upload(&self, request: CreateUpload, checksum: PartsChecksum) -> Result<Upload> {
        let (writing, store) = self.write(&[]).await;
        writing.finish(store.create_checked_upload(request, checksum).await)
    }

    async fn object_parts(&self, key: &ObjectKey) -> Result<Vec<ObjectPart>> {
        self.now().object_parts(key).await
    }

    async fn upload_checksum(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        self.now().upload_checksum(upload).await
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        // Parts are nobody's to see: their upload is what the end of a move waits for.
        self.now().upload_part(upload, number, body).await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        match self.other_place(&source) {
            Some(from) => copies::copy_part(&*from, &*self.now(), (upload, number), source, range).await,
            None => self.now().upload_part_copy(upload, number, source, range).await,
        }
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let (writing, store) = self.write(&[&upload.key]).await;
        writing.finish(store.complete_upload(upload, parts, conditions).await)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.now().abort_upload(upload).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.now().list_parts(upload).await
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.now().list_uploads(prefix).await
    }
}
