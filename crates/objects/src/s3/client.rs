//! The client as a service.

use std::sync::Arc;

use async_trait::async_trait;

use crate::s3::S3Settings;
use crate::{BucketInfo, BucketName, ObjectService, ObjectStore, Result};

/// An account on an S3 server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct S3Client {}

impl S3Client {
    /// Checks the settings; connects at the first request.
    pub fn new(settings: S3Settings) -> Result<Self> {
        todo!()
    }
}

#[async_trait]
impl ObjectService for S3Client {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        todo!()
    }
    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        todo!()
    }
    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        todo!()
    }
    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        todo!()
    }
    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        todo!()
    }
}
