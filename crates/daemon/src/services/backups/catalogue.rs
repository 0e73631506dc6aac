//! The backups that are there.

use sandkeep_api::BackupInfo;
use sandkeep_backups::{self as backups, BackupId, Manifest, RestoreError};
use sandkeep_objects::Error as StoreError;

use crate::error::ServiceError;
use crate::services::Services;
use crate::volumes::chain;

impl Services {
    /// All, newest first.
    pub(crate) async fn backups(&self) -> Result<Vec<BackupInfo>, ServiceError> {
        let place = self.backup_place(false)?;
        match backups::list(self.open_place(&place)?, &place.prefix).await {
            Ok(manifests) => Ok(manifests.into_iter().map(info).collect()),
            // Our own bucket is made by the first backup.
            Err(RestoreError::Store(StoreError::NoSuchBucket { .. })) if place.embedded => Ok(Vec::new()),
            Err(error) => Err(failed(error, "")),
        }
    }

    /// About one.
    pub(crate) async fn backup(&self, id: &str) -> Result<BackupInfo, ServiceError> {
        let place = self.backup_place(false)?;
        let found = backups::inspect(self.open_place(&place)?, &place.prefix, &backup_id(id)?).await;
        found.map(info).map_err(|error| failed(error, id))
    }

    /// Removes one.
    pub(crate) async fn delete_backup(&self, id: &str) -> Result<(), ServiceError> {
        let place = self.backup_place(false)?;
        let deleted = backups::delete(self.open_place(&place)?, &place.prefix, &backup_id(id)?).await;
        deleted.map_err(|error| failed(error, id))
    }
}

fn backup_id(id: &str) -> Result<BackupId, ServiceError> {
    id.parse().map_err(|_| ServiceError::BackupNotFound { id: id.to_owned() })
}

fn failed(error: RestoreError, id: &str) -> ServiceError {
    match error {
        RestoreError::NotFound { id } => ServiceError::BackupNotFound { id },
        RestoreError::Expired { id, expired_at } => ServiceError::BackupExpired { id, expired_at },
        RestoreError::Store(StoreError::NoSuchBucket { .. } | StoreError::NoSuchKey { .. }) => {
            ServiceError::BackupNotFound { id: id.to_owned() }
        }
        RestoreError::Store(error) => ServiceError::Store(error),
        error => ServiceError::BackupRestore { id: id.to_owned(), reason: chain(&error) },
    }
}

fn info(manifest: Manifest) -> BackupInfo {
    let expires_at = manifest.expires_at();
    BackupInfo {
        id: manifest.id.to_string(),
        dir: manifest.dir,
        name: manifest.name,
        size_bytes: manifest.size_bytes,
        ttl: manifest.ttl,
        created_at: manifest.created_at,
        expires_at,
        entries: manifest.entries,
        content_bytes: manifest.content_bytes,
        excluded: manifest.excluded,
    }
}
