//! One bucket of the in-memory store.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

use async_trait::async_trait;

use crate::listing::fill_page;
use crate::memory::objects::{Content, StoredObject};
use crate::memory::state::{BucketState, State};
use crate::memory::uploads::{PendingUpload, check_number};
use crate::{
    Body, BucketName, ByteRange, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload,
    DeleteConditions, DeleteOutcome, ETag, Error, GetRequest, GetResponse, ListPage, ListRequest,
    MetadataDirective, ObjectInfo, ObjectKey, ObjectPart, ObjectStore, PartInfo, PartsChecksum, PutRequest,
    PutResponse, Result, Upload, UploadInfo, WriteConditions,
};

#[derive(Debug)]
pub(super) struct MemoryBucket {
    name: BucketName,
    state: Arc<State>,
}

impl MemoryBucket {
    pub(super) fn new(name: BucketName, state: Arc<State>) -> Self {
        Self { name, state }
    }

    fn with<T>(&self, step: impl FnOnce(&mut BucketState) -> Result<T>) -> Result<T> {
        self.state.with_bucket(&self.name, step)
    }

    fn source(&self, source: &CopySource) -> Result<StoredObject> {
        let bucket = source.bucket.as_ref().unwrap_or(&self.name);
        let object = self.state.with_bucket(bucket, |bucket| bucket.object(&source.key).cloned())?;
        source.conditions.check_copy_source(&object.info)?;
        Ok(object)
    }

    fn begin_upload(&self, request: CreateUpload, checksum: Option<PartsChecksum>) -> Result<Upload> {
        let id = self.state.new_upload_id();
        let pending = PendingUpload::new(request.key.clone(), request.metadata, checksum);
        self.with(|bucket| Ok(bucket.uploads.insert(id.clone(), pending)))?;
        Ok(Upload { key: request.key, id })
    }

    fn publish(
        &self,
        key: &ObjectKey,
        object: StoredObject,
        conditions: &WriteConditions,
    ) -> Result<PutResponse> {
        let response =
            PutResponse { etag: object.info.etag.clone(), last_modified: Some(object.info.last_modified) };
        self.with(|bucket| bucket.publish(key, object, conditions))?;
        Ok(response)
    }
}

#[async_trait]
impl ObjectStore for MemoryBucket {
    fn bucket_name(&self) -> &BucketName {
        &self.name
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        let info = self.with(|bucket| Ok(bucket.object(key)?.info.clone()))?;
        conditions.check(&info)?;
        Ok(info)
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let StoredObject { info, content, .. } = self.with(|bucket| bucket.object(&request.key).cloned())?;
        request.conditions.check(&info)?;
        let range = ByteRange::resolve_optional(request.range, info.size)?;
        let body = content.stream(&range);
        Ok(GetResponse { info, range, body })
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        self.with(|bucket| request.conditions.check(bucket.etag(&request.key)))?;
        let (content, checksum) = Content::receive(body).await?;
        let object = StoredObject::new(content.clone(), content.etag(), request.metadata, checksum);
        self.publish(&request.key, object, &request.conditions)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.with(|bucket| {
            bucket.objects.remove(key.as_bytes());
            Ok(())
        })
    }

    async fn delete_if(&self, key: &ObjectKey, conditions: DeleteConditions) -> Result<()> {
        self.with(|bucket| {
            conditions.check(bucket.objects.get(key.as_bytes()).map(|object| &object.info))?;
            bucket.objects.remove(key.as_bytes());
            Ok(())
        })
    }

    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        self.with(|bucket| {
            bucket.object(key)?;
            if let Some(object) = bucket.objects.get_mut(key.as_bytes()) {
                object.info.metadata.tags = tags;
            }
            Ok(())
        })
    }

    async fn object_parts(&self, key: &ObjectKey) -> Result<Vec<ObjectPart>> {
        self.with(|bucket| Ok(bucket.object(key)?.parts.clone()))
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        self.with(|bucket| {
            keys.iter().for_each(|key| drop(bucket.objects.remove(key.as_bytes())));
            Ok(keys.iter().map(|_| Ok(())).collect())
        })
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        let source = self.source(&request.source)?;
        let metadata = match request.metadata {
            MetadataDirective::Copy => source.info.metadata,
            MetadataDirective::Replace(metadata) => metadata,
        };
        let checksum = request.checksum.or(source.info.checksum);
        let object = StoredObject::new(source.content, source.info.etag, metadata, checksum);
        let object = StoredObject { parts: source.parts, ..object };
        self.publish(&request.key, object, &request.conditions)
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        let with_metadata = self.state.settings.lists_metadata;
        self.with(|bucket| {
            fill_page(&request, |from| {
                let first = bucket.objects.range::<[u8], _>((from, Bound::Unbounded)).next();
                first.map(|(key, object)| object.listed(key, with_metadata)).transpose()
            })
        })
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.begin_upload(request, None)
    }

    async fn create_checked_upload(&self, request: CreateUpload, checksum: PartsChecksum) -> Result<Upload> {
        self.begin_upload(request, Some(checksum))
    }

    async fn upload_checksum(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        self.with(|bucket| Ok(bucket.upload(upload)?.checksum))
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        check_number(number)?;
        self.with(|bucket| bucket.upload(upload).map(|_| ()))?;
        let (content, checksum) = Content::receive(body).await?;
        self.with(|bucket| Ok(bucket.upload(upload)?.add(number, content, checksum)))
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        check_number(number)?;
        let source = self.source(&source)?;
        if range.is_empty() || range.end > source.info.size {
            return Err(Error::InvalidRange { size: Some(source.info.size) });
        }
        let content = Content::cut(&source, &range);
        self.with(|bucket| Ok(bucket.upload(upload)?.add(number, content, None)))
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let minimum = self.state.settings.minimum_part_bytes;
        self.with(|bucket| {
            let object = bucket.upload(upload)?.assemble(parts, minimum)?;
            let response = PutResponse {
                etag: object.info.etag.clone(),
                last_modified: Some(object.info.last_modified),
            };
            bucket.publish(&upload.key, object, &conditions)?;
            bucket.uploads.remove(&upload.id);
            Ok(response)
        })
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.with(|bucket| {
            if bucket.upload(upload).is_ok() {
                bucket.uploads.remove(&upload.id);
            }
            Ok(())
        })
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        self.with(|bucket| Ok(bucket.upload(upload)?.list()))
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        self.with(|bucket| {
            let matching =
                bucket.uploads.iter().filter(|(_, pending)| pending.key.as_bytes().starts_with(prefix));
            let mut uploads: Vec<UploadInfo> = matching
                .map(|(id, pending)| UploadInfo {
                    upload: Upload { key: pending.key.clone(), id: id.clone() },
                    started: pending.started,
                })
                .collect();
            uploads.sort_by(|a, b| (&a.upload.key, &a.upload.id.0).cmp(&(&b.upload.key, &b.upload.id.0)));
            Ok(uploads)
        })
    }
}
