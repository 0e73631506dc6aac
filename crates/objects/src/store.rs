//! One bucket.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Range;

use async_trait::async_trait;

use crate::{
    Body, BucketName, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, DeleteConditions,
    DeleteOutcome, ETag, Error, GetRequest, GetResponse, ListPage, ListRequest, ObjectInfo, ObjectKey,
    ObjectPart, PartInfo, PartsChecksum, PutRequest, PutResponse, Result, Upload, UploadInfo,
    WriteConditions,
};

/// The objects of one bucket.
///
/// Implementations are strongly consistent: a read or list that starts after a write returned sees it.
/// A write is atomic: readers see the old object or the new one, never a mixture. Dropping a future
/// cancels the request; a write whose future was dropped may or may not have happened.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync + 'static {
    /// The bucket's name.
    fn bucket_name(&self) -> &BucketName;

    /// Tells this bucket from others of its name on other servers.
    fn location(&self) -> String {
        self.bucket_name().as_str().to_owned()
    }

    /// Whether all parts of an upload but the last must have the same size (R2).
    fn wants_equal_parts(&self) -> bool {
        false
    }

    /// Size, ETag, time and metadata of an object.
    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo>;

    /// Reads an object or a range of it. The body fails with [`crate::Error::Corrupt`] if it ends early.
    async fn get(&self, request: GetRequest) -> Result<GetResponse>;

    /// Writes a whole object.
    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse>;

    /// Deletes an object; succeeds if there is none.
    async fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// Deletes an object on conditions; succeeds if there is none.
    async fn delete_if(&self, key: &ObjectKey, conditions: DeleteConditions) -> Result<()> {
        let _ = (key, conditions);
        Err(Error::Unsupported { what: "conditions of deletions" })
    }

    /// The tags of an object.
    async fn tags(&self, key: &ObjectKey) -> Result<BTreeMap<String, String>> {
        Ok(self.head(key, Conditions::default()).await?.metadata.tags)
    }

    /// Replaces the tags of an object.
    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        let _ = (key, tags);
        Err(Error::Unsupported { what: "tags" })
    }

    /// Deletes up to 1,000 objects; each outcome stands at the index of its key.
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>>;

    /// Copies an object on the server, at most 5 GiB on S3.
    async fn copy(&self, request: CopyRequest) -> Result<PutResponse>;

    /// One page of the bucket's keys in byte order.
    async fn list(&self, request: ListRequest) -> Result<ListPage>;

    /// Starts a multipart upload. Nothing is visible until [`Self::complete_upload`].
    async fn create_upload(&self, request: CreateUpload) -> Result<Upload>;

    /// As [`Self::create_upload`]; a store that keeps checksums makes that of the object from those of its parts.
    async fn create_checked_upload(&self, request: CreateUpload, checksum: PartsChecksum) -> Result<Upload> {
        let _ = checksum;
        self.create_upload(request).await
    }

    /// The parts of which an object was made; none if it was written at once, or the store does not remember.
    async fn object_parts(&self, key: &ObjectKey) -> Result<Vec<ObjectPart>> {
        let _ = key;
        Ok(Vec::new())
    }

    /// What an upload was begun with.
    async fn upload_checksum(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        let _ = upload;
        Ok(None)
    }

    /// Uploads part `number` (1 to 10,000); an earlier part of that number is replaced.
    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag>;

    /// Fills part `number` from a range of an existing object, on the server.
    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag>;

    /// Publishes the object made of `parts`, which ascend by number.
    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse>;

    /// Forgets an upload and its parts; succeeds if there is none.
    async fn abort_upload(&self, upload: &Upload) -> Result<()>;

    /// The parts uploaded so far, by number.
    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>>;

    /// Uploads in progress whose key starts with `prefix`.
    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>>;
}
