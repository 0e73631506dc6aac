//! One bucket of the embedded store.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use rusqlite::Connection;

use super::change::Change;
use super::copy_part::{Target, copy_part};
use super::failure::io_failure;
use super::multipart::{self, Part};
use super::read::{self, in_snapshot};
use super::receive::{INLINE_LIMIT, receive, receive_file};
use super::rows::{BucketId, find_bucket, find_object, require_object};
use super::service::Inner;
use super::{list, mutations};
use crate::{
    Body, BucketName, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, DeleteConditions,
    DeleteOutcome, ETag, Error, GetRequest, GetResponse, ListPage, ListRequest, ObjectInfo, ObjectKey,
    ObjectPart, ObjectStore, PartInfo, PartsChecksum, PutRequest, PutResponse, Result, Upload, UploadId,
    UploadInfo, WriteConditions,
};

/// Entries of a page that is made at once, in the caller's thread.
const SHORT_PAGE: u32 = 128;

/// One bucket; may not exist.
pub(super) struct DirectoryStore {
    inner: Arc<Inner>,
    name: BucketName,
}

impl fmt::Debug for DirectoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirectoryStore").field(&self.name).finish()
    }
}

impl DirectoryStore {
    pub(super) fn new(inner: Arc<Inner>, name: BucketName) -> Self {
        Self { inner, name }
    }

    /// Reads a few rows of this bucket at one moment.
    fn look<T>(&self, read: impl FnOnce(&Connection, BucketId) -> Result<T>) -> Result<T> {
        self.inner.readers.look(|connection| {
            in_snapshot(connection, |connection| read(connection, find_bucket(connection, &self.name)?))
        })
    }

    /// Reads any number of rows of this bucket at one moment.
    async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, BucketId) -> Result<T> + Send + 'static,
    {
        let name = self.name.clone();
        let read = move |connection: &Connection| {
            in_snapshot(connection, |connection| read(connection, find_bucket(connection, &name)?))
        };
        self.inner.readers.read(read).await
    }

    /// Refuses a write that cannot succeed before its body is taken in; judged again when it is published.
    fn check_target(&self, key: &ObjectKey, conditions: &WriteConditions) -> Result<()> {
        self.look(|connection, bucket| {
            let existing = find_object(connection, bucket, key)?;
            conditions.check(existing.as_ref().map(|object| &object.info.etag))
        })
    }

    /// The checksum that the parts of an upload must have.
    fn checksum_of(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        self.look(|connection, bucket| Ok(multipart::find(connection, bucket, upload)?.checksum))
    }

    async fn begin_upload(&self, request: CreateUpload, checksum: Option<PartsChecksum>) -> Result<Upload> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| io_failure(std::io::Error::other(error)))?;
        let upload = Upload { key: request.key.clone(), id: UploadId(HEXLOWER.encode(&random)) };
        let id = upload.id.0.clone();
        self.inner.check_room().await?;
        self.write(move |change, bucket| multipart::create(change, bucket, &request, checksum, &id)).await?;
        Ok(upload)
    }

    /// Changes this bucket.
    async fn write<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Change<'_>, BucketId) -> Result<T> + Send + 'static,
    {
        let name = self.name.clone();
        let write = move |change: &mut Change<'_>| {
            let bucket = find_bucket(change, &name)?;
            write(change, bucket)
        };
        self.inner.writer.apply(write).await
    }

    /// Changes this bucket so that it takes less room. The first try on a full disk makes room for the second.
    async fn free<F>(&self, write: F) -> Result<()>
    where
        F: Fn(&mut Change<'_>, BucketId) -> Result<()> + Clone + Send + 'static,
    {
        match self.write(write.clone()).await {
            Err(Error::NoSpace) => self.write(write).await,
            other => other,
        }
    }
}

#[async_trait]
impl ObjectStore for DirectoryStore {
    fn bucket_name(&self) -> &BucketName {
        &self.name
    }

    async fn head(&self, key: &ObjectKey, conditions: Conditions) -> Result<ObjectInfo> {
        self.look(|connection, bucket| {
            let info = require_object(connection, bucket, key)?.info;
            conditions.check(&info)?;
            Ok(info)
        })
    }

    async fn get(&self, request: GetRequest) -> Result<GetResponse> {
        let open = |connection: &Connection| read::open(connection, &self.inner.files, &self.name, &request);
        self.inner.readers.look(open)?.begin().await
    }

    async fn put(&self, request: PutRequest, body: Body) -> Result<PutResponse> {
        if body.length() > INLINE_LIMIT {
            self.check_target(&request.key, &request.conditions)?;
        }
        let received = receive(&self.inner, body).await?;
        self.write(move |change, bucket| mutations::put(change, bucket, request, received)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.delete_many(std::slice::from_ref(key)).await.map(drop)
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<Vec<DeleteOutcome>> {
        let keys: Arc<[ObjectKey]> = keys.into();
        let outcomes = keys.len();
        self.free(move |change, bucket| {
            keys.iter().try_for_each(|key| mutations::delete(change, bucket, key))
        })
        .await?;
        Ok(vec![Ok(()); outcomes])
    }

    async fn delete_if(&self, key: &ObjectKey, conditions: DeleteConditions) -> Result<()> {
        let key = key.clone();
        self.free(move |change, bucket| mutations::delete_if(change, bucket, &key, &conditions)).await
    }

    async fn set_tags(&self, key: &ObjectKey, tags: BTreeMap<String, String>) -> Result<()> {
        let key = key.clone();
        self.inner.check_room().await?;
        self.write(move |change, bucket| mutations::set_tags(change, bucket, &key, tags)).await
    }

    async fn copy(&self, request: CopyRequest) -> Result<PutResponse> {
        self.inner.check_room().await?;
        self.write(move |change, bucket| mutations::copy(change, bucket, request)).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage> {
        if (1..=SHORT_PAGE).contains(&request.limit) {
            return self.look(|connection, bucket| list::list(connection, bucket, &request));
        }
        self.read(move |connection, bucket| list::list(connection, bucket, &request)).await
    }

    async fn create_upload(&self, request: CreateUpload) -> Result<Upload> {
        self.begin_upload(request, None).await
    }

    async fn create_checked_upload(&self, request: CreateUpload, checksum: PartsChecksum) -> Result<Upload> {
        self.begin_upload(request, Some(checksum)).await
    }

    async fn upload_checksum(&self, upload: &Upload) -> Result<Option<PartsChecksum>> {
        self.checksum_of(upload)
    }

    async fn object_parts(&self, key: &ObjectKey) -> Result<Vec<ObjectPart>> {
        let key = key.clone();
        self.read(move |connection, bucket| multipart::parts_of(&require_object(connection, bucket, &key)?))
            .await
    }

    async fn upload_part(&self, upload: &Upload, number: u32, body: Body) -> Result<ETag> {
        multipart::check_number(number)?;
        let wanted = self.checksum_of(upload)?.map(|checksum| checksum.algorithm);
        let received = receive_file(&self.inner, body, wanted).await?;
        let upload = upload.clone();
        self.write(move |change, bucket| {
            multipart::find(change, bucket, &upload)?;
            let extents = match received.size {
                0 => Vec::new(),
                _ => change.publish_file(received.body)?,
            };
            let checksum = received.checksum;
            let part = Part { number, size: received.size, md5: received.md5, extents, checksum };
            multipart::put_part(change, &upload, &part)
        })
        .await
    }

    async fn upload_part_copy(
        &self,
        upload: &Upload,
        number: u32,
        source: CopySource,
        range: Range<u64>,
    ) -> Result<ETag> {
        multipart::check_number(number)?;
        let checksum = self.checksum_of(upload)?.map(|checksum| checksum.algorithm);
        let target = Target { bucket: self.name.clone(), upload: upload.clone(), number, checksum };
        copy_part(&self.inner, target, source, range).await
    }

    async fn complete_upload(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let (upload, parts) = (upload.clone(), parts.to_vec());
        self.write(move |change, bucket| multipart::complete(change, bucket, &upload, &parts, &conditions))
            .await
    }

    async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let upload = upload.clone();
        self.free(move |change, bucket| multipart::abort(change, bucket, &upload)).await
    }

    async fn list_parts(&self, upload: &Upload) -> Result<Vec<PartInfo>> {
        let upload = upload.clone();
        self.read(move |connection, bucket| {
            multipart::find(connection, bucket, &upload)?;
            multipart::list_parts(connection, &upload)
        })
        .await
    }

    async fn list_uploads(&self, prefix: &[u8]) -> Result<Vec<UploadInfo>> {
        let prefix = prefix.to_vec();
        self.read(move |connection, bucket| multipart::list_uploads(connection, bucket, &prefix)).await
    }
}
