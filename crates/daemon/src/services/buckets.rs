//! Buckets of the embedded store.

use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_api::{BucketInfo, ErrorCode, InvalidInput};
use sandkeep_objects::BucketName;

use super::Services;
use crate::error::ServiceError;

impl Services {
    /// All, by name.
    pub(crate) async fn buckets(&self) -> Result<Vec<BucketInfo>, ServiceError> {
        let buckets = self.store.service.list_buckets().await.map_err(ServiceError::Store)?;
        Ok(buckets.into_iter().map(|bucket| info(&bucket)).collect())
    }

    /// Makes one.
    pub(crate) async fn create_bucket(&self, name: &str) -> Result<BucketInfo, ServiceError> {
        let name = bucket_name(name)?;
        self.store.service.create_bucket(&name).await.map_err(ServiceError::Store)?;
        let bucket = self.store.service.head_bucket(&name).await.map_err(ServiceError::Store)?;
        Ok(info(&bucket))
    }

    /// Removes an empty one.
    pub(crate) async fn delete_bucket(&self, name: &str) -> Result<(), ServiceError> {
        self.store.service.delete_bucket(&bucket_name(name)?).await.map_err(ServiceError::Store)
    }
}

fn bucket_name(name: &str) -> Result<BucketName, InvalidInput> {
    name.parse().map_err(|error: sandkeep_objects::KeyError| {
        InvalidInput::new(ErrorCode::ValidationFailed, error.to_string()).with("field", "name")
    })
}

fn info(bucket: &sandkeep_objects::BucketInfo) -> BucketInfo {
    BucketInfo { name: bucket.name.as_str().to_owned(), created_at: timestamp(bucket.created) }
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}
