//! One bucket: the same store with a prefix before every key.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::records::outer_missing;
use super::service::Inner;
use crate::{
    Body, BucketName, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, DeleteConditions,
    DeleteOutcome, ETag, Error, GetRequest, GetResponse, ListPage, ListRequest, ObjectInfo, ObjectKey,
    ObjectPart, ObjectStore, PartInfo, PartsChecksum, PutRequest, PutResponse, Result, Upload, UploadInfo,
    WriteConditions,
};

/// One bucket; may not exist.
#[derive(Debug)]
pub(super) struct NestedStore {
    inner: Arc<Inner>,
    name: BucketName,
    prefix: String,
    /// Whether the record of the bucket is asked for.
    checked: bool,
}

impl NestedStore {
    pub(super) fn new(inner: Arc<Inner>, name: BucketName) -> Self {
        let prefix = inner.prefix_of(&name);
        Self { inner, name, prefix, checked: true }
    }

    pub(super) fn unchecked(inner: Arc<Inner>, name: BucketName) -> Self {
        Self { checked: false, ..Self::new(inner, name) }
    }

    fn outer(&self) -> &dyn ObjectStore {
        &*self.inner.outer
    }

    fn key(&self, key: &ObjectKey) -> Result<ObjectKey> {
        Ok(ObjectKey::new([self.prefix.as_bytes(), key.as_bytes()].concat())?)
    }

    fn upload(&self, upload: &Upload) -> Result<Upload> {
        Ok(Upload { key: self.key(&upload.key)?, id: upload.id.clone() })
    }

    /// The key within this bucket; none for what is not in it.
    fn own(&self, key: &[u8]) -> Option<Vec<u8>> {
        key.strip_prefix(self.prefix.as_bytes()).map(<[u8]>::to_vec)
    }

    /// Whether the bucket exists.
    async fn exists(&self) -> Result<()> {
        match self.checked {
            true => self.inner.records.get(&self.name).await.map(drop),
            false => Ok(()),
        }
    }

    /// Says in the words of this bucket what the store said of the key; a missing bucket comes before a missing key.
    async fn read<T: Send>(&self, key: &ObjectKey, result: Result<T>) -> Result<T> {
        match result {
            Err(Error::NoSuchKey { .. }) => {
                self.exists().await?;
                Err(Error::NoSuchKey { key: key.display() })
            }
            result => result.map_err(outer_missing),
        }
    }

    /// The source of a copy, whose bucket must exist.
    async fn source(&self, source: &CopySource) -> Result<CopySource> {
        let name = source.bucket.as_ref().unwrap_or(&self.name);
        if source.bucket.is_some() {
            self.inner.records.get(name).await?;
        }
        let key = [self.inner.prefix_of(name).as_bytes(), source.key.as_bytes()].concat();
        Ok(CopySource { bucket: None, key: ObjectKey::new(key)?, conditions: source.conditions.clone() })
    }
}

fn written<T>(result: Result<T>, key: &ObjectKey) -> Result<T> {
    result.map_err(|error| match error {
        Error::NoSuchKey { .. } => Error::NoSuchKey { key: key.display() },
        error => outer_missing(error),
    })
}

#[async_trait]
impl ObjectStore for NestedStore {
    fn bucket_name(&self) -> &BucketName {
        &self.name
    }

    fn location(&self) -> String {
        format!("{}/{}", self.outer().location(), self.prefix)
    }

    fn longest_key(&self) -> usize {
        self.outer().longest_key().saturating_sub(self.prefix.len())
    }

    fn wants_equal_parts(&self) -> bool {
        self.outer().wants_equal_parts()
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        let found = self.outer().head(&self.key(key)?, conditions).await;
        self.read(key, found).await
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let outer = GetRequest { key: self.key(&request.key)?, ..request.clone() };
        let found = self.outer().get(outer).await;
        self.read(&request.key, found).await
    }

    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        let found = self.outer().tags(&self.key(key)?).await;
        self.read(key, found).await
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        self.exists().await?;
        let outer = PutRequest { key: self.key(&request.key)?, ..request.clone() };
        written(self.outer().put(outer, body).await, &request.key)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.exists().await?;
        written(self.outer().delete(&self.key(key)?).await, key)
    }

    async fn delete_if(&self, key: &ObjectKey, conditions: DeleteConditions) -> Result<()> {
        self.exists().await?;
        written(self.outer().delete_if(&self.key(key)?, conditions).await, key)
    }

    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        self.exists().await?;
        written(self.outer().set_tags(&self.key(key)?, tags).await, key)
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.exists().await?;
        let outer: Vec<ObjectKey> = keys.iter().map(|key| self.key(key)).collect::<Result<_>>()?;
        let outcomes = self.outer().delete_many(&outer).await.map_err(outer_missing)?;
        Ok(outcomes.into_iter().zip(keys).map(|(outcome, key)| written(outcome, key)).collect())
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.exists().await?;
        let source = self.source(&request.source).await?;
        let outer = CopyRequest { source, key: self.key(&request.key)?, ..request.clone() };
        written(self.outer().copy(outer).await, &request.source.key)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        self.exists().await?;
        let within = |bytes: Vec<u8>| [self.prefix.as_bytes(), &bytes].concat();
        let start_after = match request.start_after.is_empty() {
            true => Vec::new(),
            false => within(request.start_after),
        };
        let outer = ListRequest { prefix: within(request.prefix), start_after, ..request };
        let mut page = self.outer().list(outer).await.map_err(outer_missing)?;
        // Consoles make an object that is named like the folder itself: it has no name in here.
        page.objects.retain(|object| object.key.as_bytes() != self.prefix.as_bytes());
        for object in &mut page.objects {
            let own = self.own(object.key.as_bytes()).ok_or_else(foreign)?;
            object.key = ObjectKey::new(own)?;
        }
        for prefix in &mut page.common_prefixes {
            *prefix = self.own(prefix).ok_or_else(foreign)?;
        }
        Ok(page)
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.exists().await?;
        let outer = CreateUpload { key: self.key(&request.key)?, ..request.clone() };
        let upload = written(self.outer().create_upload(outer).await, &request.key)?;
        Ok(Upload { key: request.key, id: upload.id })
    }

    async fn create_checked_upload(&self, request: CreateUpload, checksum: PartsChecksum) -> Result<Upload> {
        self.exists().await?;
        let outer = CreateUpload { key: self.key(&request.key)?, ..request.clone() };
        let upload = written(self.outer().create_checked_upload(outer, checksum).await, &request.key)?;
        Ok(Upload { key: request.key, id: upload.id })
    }

    async fn object_parts(&self, key: &ObjectKey) -> Result<Vec<ObjectPart>> {
        let found = self.outer().object_parts(&self.key(key)?).await;
        self.read(key, found).await
    }

    async fn upload_checksum(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        self.outer().upload_checksum(&self.upload(upload)?).await.map_err(outer_missing)
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        self.outer().upload_part(&self.upload(upload)?, number, body).await.map_err(outer_missing)
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        let outer = self.source(&source).await?;
        let copied = self.outer().upload_part_copy(&self.upload(upload)?, number, outer, range).await;
        written(copied, &source.key)
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        self.exists().await?;
        let made = self.outer().complete_upload(&self.upload(upload)?, parts, conditions).await;
        written(made, &upload.key)
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.outer().abort_upload(&self.upload(upload)?).await.map_err(outer_missing)
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.outer().list_parts(&self.upload(upload)?).await.map_err(outer_missing)
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.exists().await?;
        let outer = [self.prefix.as_bytes(), prefix].concat();
        let mut uploads = self.outer().list_uploads(&outer).await.map_err(outer_missing)?;
        for info in &mut uploads {
            let own = self.own(info.upload.key.as_bytes()).ok_or_else(foreign)?;
            info.upload.key = ObjectKey::new(own)?;
        }
        Ok(uploads)
    }
}

/// A listing shows what it was not asked for.
fn foreign() -> Error {
    Error::Corrupt { what: "the listing holds keys outside of its prefix".into() }
}
