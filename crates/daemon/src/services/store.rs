//! The embedded store, as the daemon and its workers reach it.

use std::net::SocketAddr;
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
    /// Where everyone else reaches it.
    pub(crate) address: SocketAddr,
    /// Whether with HTTPS.
    pub(crate) tls: bool,
}

impl EmbeddedStore {
    /// Where everyone on this host reaches it.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match self.address {
            address if address.ip().is_unspecified() => format!("{scheme}://127.0.0.1:{}", address.port()),
            address => format!("{scheme}://{address}"),
        }
    }

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
