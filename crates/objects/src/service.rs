//! Many buckets under one account.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BucketName, CorsRule, Error, LifecycleRule, ListRequest, ObjectStore, Result};

/// The header by which our own server says that a bucket it was told to create was there already. S3 calls that a
/// success in one region, and so must a server that wants to be used like it.
pub const EXISTED: &str = "x-sandkeep-bucket-existed";

/// A bucket in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    /// Its name.
    pub name: BucketName,
    /// When it was created.
    pub created: SystemTime,
}

/// How much is in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Objects.
    pub objects: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// There is more: counting ended at [`MAX_COUNTED`] objects.
    pub more: bool,
}

/// Objects that are counted where counting means listing them.
pub const MAX_COUNTED: u64 = 100_000;

/// An account of an object store: creates buckets and hands out stores for them.
#[async_trait]
pub trait ObjectService: Debug + Send + Sync + 'static {
    /// Creates a bucket; [`crate::Error::BucketExists`] if there is one.
    async fn create_bucket(&self, name: &BucketName) -> Result<()>;

    /// Succeeds if the bucket exists and may be used; else [`crate::Error::NoSuchBucket`] or an access error.
    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo>;

    /// Deletes an empty bucket.
    async fn delete_bucket(&self, name: &BucketName) -> Result<()>;

    /// All buckets the credentials may see, by name.
    async fn list_buckets(&self) -> Result<Vec<BucketInfo>>;

    /// How much is in a bucket.
    async fn usage(&self, bucket: &BucketName) -> Result<Usage> {
        count(&*self.bucket(bucket)).await
    }

    /// The rules by which a bucket lets go of what is old.
    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        let _ = bucket;
        Err(Error::Unsupported { what: "lifecycle rules" })
    }

    /// Replaces these rules; none: nothing goes by itself.
    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        let _ = (bucket, rules);
        Err(Error::Unsupported { what: "lifecycle rules" })
    }

    /// Which pages may use a bucket from a browser; none where there are no such rules.
    async fn cors(&self, bucket: &BucketName) -> Result<Vec<CorsRule>> {
        let _ = bucket;
        Ok(Vec::new())
    }

    /// Replaces these rules; none: no page may.
    async fn set_cors(&self, bucket: &BucketName, rules: Vec<CorsRule>) -> Result<()> {
        let _ = (bucket, rules);
        Err(Error::Unsupported { what: "CORS rules" })
    }

    /// The store of one bucket. Does not check that the bucket exists: the first operation does.
    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore>;
}

/// Counts what listings show.
async fn count(store: &dyn ObjectStore) -> Result<Usage> {
    let mut usage = Usage::default();
    let mut request = ListRequest::default();
    loop {
        let page = store.list(request.clone()).await?;
        usage.objects += page.objects.len() as u64;
        usage.bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
        request.continuation = page.next;
        usage.more = request.continuation.is_some();
        if !usage.more || usage.objects >= MAX_COUNTED {
            return Ok(usage);
        }
    }
}
