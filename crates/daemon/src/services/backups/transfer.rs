//! Archives out of the service and into it.

use std::fs::File;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sandkeep_api::{BackupInfo, ErrorCode, InvalidInput};
use sandkeep_backups::{self as backups, BackupId, Image, ImageSettings, ImportOptions};
use sandkeep_objects::GetRequest;
use uuid::Uuid;

use super::catalogue::{backup_id, failed, info};
use crate::error::ServiceError;
use crate::services::Services;
use crate::volumes::chain;

/// Memory for chunks and decompressed blocks of an image that is exported.
const IMAGE_MEMORY: u64 = 64 << 20;

/// The bytes of an export.
type Exported = BoxStream<'static, std::io::Result<Bytes>>;

impl Services {
    /// A backup's archive as it is, or as a tar stream.
    pub(crate) async fn export_backup(&self, id: &str, as_tar: bool) -> Result<Exported, ServiceError> {
        let (place, store) = self.place_and_store()?;
        let backup = backup_id(id)?;
        if as_tar {
            let settings = ImageSettings {
                key_prefix: place.prefix,
                id_base: 0,
                memory_budget: IMAGE_MEMORY,
                cache: None,
            };
            let image = Image::open_even_if_expired(store, &backup, settings).await;
            let tar = image.map_err(|error| failed(error, id))?.into_tar();
            let pieces =
                stream::unfold(tar, |mut tar| async move { tar.recv().await.map(|piece| (piece, tar)) });
            return Ok(pieces.map_err(|error| std::io::Error::other(chain(&error))).boxed());
        }
        backups::inspect(std::sync::Arc::clone(&store), &place.prefix, &backup)
            .await
            .map_err(|error| failed(error, id))?;
        let archive = store.get(GetRequest::whole(backup.archive_key(&place.prefix))).await;
        let archive = archive.map_err(|error| failed(error.into(), id))?;
        Ok(archive.body.map_err(|error| std::io::Error::other(chain(&error))).boxed())
    }

    /// A temporary file for an archive that comes in, where there is room for it.
    pub(crate) fn import_file(&self) -> Result<File, ServiceError> {
        let failed = |error: std::io::Error| ServiceError::BackupCreate {
            reason: format!("cannot write a temporary file: {error}"),
        };
        std::fs::create_dir_all(self.cache_directory()).map_err(failed)?;
        tempfile::tempfile_in(self.cache_directory()).map_err(failed)
    }

    /// Makes a backup of an archive.
    pub(crate) async fn import_backup(
        &self,
        file: File,
        dir: String,
        name: Option<String>,
        ttl: f64,
    ) -> Result<BackupInfo, ServiceError> {
        let (place, store) = self.place_and_store()?;
        if place.embedded {
            self.store.ensure_bucket(&place.store.bucket).await?;
        }
        let options = ImportOptions {
            id: BackupId::new(Uuid::new_v4()),
            now: SystemTime::now(),
            key_prefix: place.prefix,
            dir,
            name,
            ttl,
        };
        backups::import(store, file, options).await.map(|manifest| info(&manifest)).map_err(|error| {
            match error {
                backups::RestoreError::DamagedArchive { what, .. } => {
                    let message = format!("this is not an archive that can be restored: {what}");
                    InvalidInput::new(ErrorCode::InvalidBackupConfig, message).into()
                }
                error => failed(error, ""),
            }
        })
    }
}
