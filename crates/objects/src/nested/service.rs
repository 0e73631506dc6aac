//! The buckets as a service.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::expire;
use super::records::{Record, Records, outer_missing};
use super::store::NestedStore;
use crate::{
    BucketInfo, BucketName, CorsRule, Error, Expired, LifecycleRule, ListRequest, ObjectService, ObjectStore,
    Result,
};

/// Buckets below a prefix of one bucket.
///
/// A bucket is deleted by its record, after a look whether it is empty: an object that is written in the same moment
/// from another machine stays, unseen, and shows again when a bucket of the name is created.
#[derive(Clone, Debug)]
pub struct NestedService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) outer: Arc<dyn ObjectStore>,
    /// Empty, or ends with a slash.
    prefix: String,
    pub(super) records: Records,
}

impl Inner {
    /// What all keys of a bucket start with.
    pub(super) fn prefix_of(&self, name: &BucketName) -> String {
        format!("{}{name}/", self.prefix)
    }
}

impl NestedService {
    /// Buckets in `outer` below `prefix`, which is empty or ends with a slash.
    pub fn new(outer: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let records = Records::new(Arc::clone(&outer), prefix);
        Self { inner: Arc::new(Inner { outer, prefix: prefix.to_owned(), records }) }
    }

    /// Runs the lifecycle rules of all buckets as of `now`. Safe at any time, also from several machines.
    pub async fn expire(&self, now: SystemTime) -> Result<Expired> {
        let mut total = Expired::default();
        for (name, record) in self.inner.records.list().await? {
            let expired = expire::expire(&*self.bucket(&name), &record.lifecycle, now).await?;
            total.objects += expired.objects;
            total.uploads += expired.uploads;
        }
        Ok(total)
    }

    /// Where the keys of a bucket start, for people: `BUCKET/PREFIX`.
    pub fn place_of(&self, name: &BucketName) -> String {
        format!("{}/{}", self.inner.outer.bucket_name(), self.inner.prefix_of(name))
    }

    /// Whether nothing lies where the keys of a bucket do, whether it exists or not.
    pub(crate) async fn is_vacant(&self, name: &BucketName) -> Result<bool> {
        let prefix = self.inner.prefix_of(name).into_bytes();
        // The folder itself, as consoles make it, is none of the bucket's objects.
        let request = ListRequest { prefix: prefix.clone(), limit: 2, ..ListRequest::default() };
        let page = self.inner.outer.list(request).await.map_err(outer_missing)?;
        Ok(page.objects.iter().all(|object| object.key.as_bytes() == prefix))
    }

    /// The objects of a bucket that need not exist yet.
    pub(crate) fn unchecked(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(NestedStore::unchecked(Arc::clone(&self.inner), name.clone()))
    }

    /// Lets a bucket exist from now on, with these rules, whether it did before or not.
    pub(crate) async fn adopt(
        &self,
        info: &BucketInfo,
        lifecycle: Vec<LifecycleRule>,
        cors: Vec<CorsRule>,
    ) -> Result<()> {
        let record = Record { lifecycle, cors, ..Record::new(info.created) };
        self.inner.records.create(&info.name, record, true).await
    }
}

fn info(name: BucketName, record: &Record) -> BucketInfo {
    BucketInfo { name, created: record.created.try_into().unwrap_or(SystemTime::UNIX_EPOCH) }
}

#[async_trait]
impl ObjectService for NestedService {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        self.inner.records.create(name, Record::new(SystemTime::now()), false).await
    }

    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        Ok(info(name.clone(), &self.inner.records.get(name).await?))
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.inner.records.get(name).await?;
        if !self.is_vacant(name).await? {
            return Err(Error::BucketNotEmpty { bucket: name.as_str().to_owned() });
        }
        let store = self.unchecked(name);
        for upload in store.list_uploads(b"").await? {
            store.abort_upload(&upload.upload).await?;
        }
        self.inner.records.delete(name).await
    }

    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        let records = self.inner.records.list().await?;
        Ok(records.into_iter().map(|(name, record)| info(name, &record)).collect())
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        Ok(self.inner.records.get(bucket).await?.lifecycle)
    }

    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        self.inner.records.change(bucket, |record| record.lifecycle.clone_from(&rules)).await
    }

    async fn cors(&self, bucket: &BucketName) -> Result<Vec<CorsRule>> {
        Ok(self.inner.records.get(bucket).await?.cors)
    }

    async fn set_cors(&self, bucket: &BucketName, rules: Vec<CorsRule>) -> Result<()> {
        self.inner.records.change(bucket, |record| record.cors.clone_from(&rules)).await
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(NestedStore::new(Arc::clone(&self.inner), name.clone()))
    }
}
