//! The embedded store: an index in SQLite, bodies in files, under one directory that one process owns.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{BucketInfo, BucketName, ObjectService, ObjectStore, Result};

/// The embedded store.
#[derive(Clone, Debug)]
pub struct DirectoryService {}

impl DirectoryService {
    /// Opens or makes the store in `directory`, takes its lock, and collects what a crash left behind.
    ///
    /// # Errors
    /// Another process holds the lock (the error names its pid); the directory cannot be used.
    pub async fn open(directory: &Path) -> Result<Self> {
        todo!()
    }
}

#[async_trait]
impl ObjectService for DirectoryService {
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
