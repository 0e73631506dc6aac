//! A store in memory, for tests and as the model that the others are compared with.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{BucketInfo, BucketName, ObjectService, ObjectStore, Result};

/// Buckets that live as long as the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryService {}

impl MemoryService {
    /// No buckets.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl ObjectService for MemoryService {
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
