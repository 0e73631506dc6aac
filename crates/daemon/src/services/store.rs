//! The embedded store, as the daemon and its workers reach it.

use std::sync::Arc;

use sandkeep_objects::{BucketName, Error, ObjectService, S3Settings};

use crate::error::ServiceError;
use crate::volumes::StoreSpec;

/// The gateway's store, with the daemon's own grant.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedStore {
    /// How workers reach it.
    pub(crate) settings: S3Settings,
    /// How the daemon does.
    pub(crate) service: Arc<dyn ObjectService>,
}

impl EmbeddedStore {
    /// A bucket of it, for a worker.
    pub(crate) fn bucket(&self, bucket: BucketName) -> StoreSpec {
        StoreSpec { s3: self.settings.clone(), bucket }
    }

    /// Makes a bucket if it is missing.
    pub(crate) async fn ensure_bucket(&self, bucket: &BucketName) -> Result<(), ServiceError> {
        match self.service.create_bucket(bucket).await {
            Ok(()) | Err(Error::BucketExists { .. }) => Ok(()),
            Err(error) => Err(ServiceError::Store(error)),
        }
    }
}
