//! A store in memory, for tests and as the model that the others are compared with. It keeps lifecycle rules, and
//! nobody runs them.

mod bucket;
mod objects;
mod state;
mod uploads;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{BucketInfo, BucketName, CorsRule, LifecycleRule, ObjectService, ObjectStore, Result};

use bucket::MemoryBucket;
use state::State;

/// Buckets that live as long as the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryService {
    state: Arc<State>,
}

/// How a [`MemoryService`] imitates other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySettings {
    /// Smallest part that is not the last one; S3 has 5 MiB, the default is 1.
    pub minimum_part_bytes: u64,
    /// Whether listings tell metadata, as our own server does and most others do not.
    pub lists_metadata: bool,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { minimum_part_bytes: 1, lists_metadata: true }
    }
}

impl MemoryService {
    /// No buckets.
    pub fn new() -> Self {
        Self::default()
    }

    /// No buckets, and other habits.
    pub fn with_settings(settings: MemorySettings) -> Self {
        Self { state: Arc::new(State::new(settings)) }
    }
}

#[async_trait]
impl ObjectService for MemoryService {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        self.state.create_bucket(name)
    }

    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        self.state.with_bucket(name, |bucket| Ok(BucketInfo { name: name.clone(), created: bucket.created }))
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.state.delete_bucket(name)
    }

    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        Ok(self.state.buckets())
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        self.state.with_bucket(bucket, |bucket| Ok(bucket.lifecycle.clone()))
    }

    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        self.state.with_bucket(bucket, |bucket| {
            bucket.lifecycle = rules;
            Ok(())
        })
    }

    async fn cors(&self, bucket: &BucketName) -> Result<Vec<CorsRule>> {
        self.state.with_bucket(bucket, |bucket| Ok(bucket.cors.clone()))
    }

    async fn set_cors(&self, bucket: &BucketName, rules: Vec<CorsRule>) -> Result<()> {
        self.state.with_bucket(bucket, |bucket| {
            bucket.cors = rules;
            Ok(())
        })
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(MemoryBucket::new(name.clone(), Arc::clone(&self.state)))
    }
}
