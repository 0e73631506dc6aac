//! The client as a service.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::Method;

use super::action::Action;
use super::actions::{buckets, lifecycle};
use super::bucket::S3Bucket;
use super::transport::Transport;
use crate::s3::S3Settings;
use crate::{BucketInfo, BucketName, EXISTED, Error, LifecycleRule, ObjectService, ObjectStore, Result};

/// An account on an S3 server. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct S3Client {
    transport: Arc<Transport>,
}

impl S3Client {
    /// Checks the settings; connects at the first request.
    pub fn new(settings: S3Settings) -> Result<Self> {
        Ok(Self { transport: Arc::new(Transport::new(settings)?) })
    }
}

#[async_trait]
impl ObjectService for S3Client {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        let headers = self.transport.headers(Action::bucket(Method::PUT, name)).await?;
        match headers.get(EXISTED) {
            Some(_) => Err(Error::BucketExists { bucket: name.to_string() }),
            None => Ok(()),
        }
    }

    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        self.transport.headers(Action::bucket(Method::HEAD, name)).await?;
        // HEAD does not tell when the bucket was created.
        Ok(BucketInfo { name: name.clone(), created: SystemTime::UNIX_EPOCH })
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        self.transport.headers(Action::bucket(Method::DELETE, name)).await.map(drop)
    }

    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        let (_, body) = self.transport.document(Action::service(Method::GET)).await?;
        buckets::parse(&body)
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        match self.transport.document(lifecycle::request(Method::GET, bucket)).await {
            Err(Error::Server { code, .. }) if code == "NoSuchLifecycleConfiguration" => Ok(Vec::new()),
            answer => lifecycle::parse(&answer?.1),
        }
    }

    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        let action = match rules.is_empty() {
            true => lifecycle::request(Method::DELETE, bucket),
            false => lifecycle::replace(bucket, &rules)?,
        };
        self.transport.headers(action).await.map(drop)
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(S3Bucket::new(Arc::clone(&self.transport), name.clone()))
    }
}
