//! The backups in a bucket.

use std::sync::Arc;

use sandkeep_objects::ObjectStore;

use crate::{BackupId, Manifest, RestoreError};

/// All backups with a readable manifest, newest first.
pub async fn list(store: Arc<dyn ObjectStore>, key_prefix: &str) -> Result<Vec<Manifest>, RestoreError> {
    todo!()
}

/// The manifest of one.
pub async fn inspect(store: Arc<dyn ObjectStore>, key_prefix: &str, id: &BackupId) -> Result<Manifest, RestoreError> {
    todo!()
}

/// Removes a backup, manifest first; `NotFound` if there is neither object.
pub async fn delete(store: Arc<dyn ObjectStore>, key_prefix: &str, id: &BackupId) -> Result<(), RestoreError> {
    todo!()
}
