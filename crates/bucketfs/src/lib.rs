//! A bucket, or a prefix of one, as a directory.
//!
//! Owns the rules between keys and paths, listing, metadata as s3fs stores them, read-ahead, the write path and the
//! caches. Pure logic over [`sandkeep_objects::ObjectStore`]: knows no network, no kernel, no sandbox.

mod error;
mod settings;

pub use error::Error;
pub use settings::{BucketFsSettings, Owner};

use std::sync::Arc;

use sandkeep_objects::ObjectStore;

/// A bucket as a filesystem: implements [`sandkeep_vfs::FileSystem`].
#[derive(Debug)]
pub struct BucketFs {}

impl BucketFs {
    /// Opens a bucket. Lists one key to prove that bucket, credentials and endpoint work.
    ///
    /// # Errors
    /// Whatever the store answers to that listing.
    pub async fn open(store: Arc<dyn ObjectStore>, settings: BucketFsSettings) -> Result<Self, Error> {
        todo!()
    }

    /// Uploads everything that is still dirty, for a clean end; gives up at the deadline.
    pub async fn flush_all(&self, deadline: std::time::Duration) -> Result<(), Error> {
        todo!()
    }
}
