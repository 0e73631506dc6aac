//! `sandkeep backup create DIR --to s3://...`: a backup of a directory of the host, made by this process.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use sandkeep_backups::{BackupId, CreateOptions, Manifest, ProgressSink, Source};
use tokio_util::sync::CancellationToken;

use crate::volumes::{StoreSpec, VolumeError, worker};

/// A directory of the host to be backed up.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// Where to.
    pub store: StoreSpec,
    /// Which directory.
    pub directory: PathBuf,
    /// How.
    pub options: CreateOptions,
}

/// Makes the backup. Cancelling removes what was uploaded.
pub async fn create_backup(
    request: BackupRequest,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<Manifest, VolumeError> {
    let directory = open_directory(&request.directory)?;
    let source = Source { directory: directory.into(), id_base: 0 };
    let store = worker::connect(request.store)?;
    Ok(sandkeep_backups::create(store, source, request.options, progress, cancel).await?)
}

fn open_directory(path: &std::path::Path) -> Result<File, VolumeError> {
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Ok(file),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    opened.map_err(|error| VolumeError::failed(&format!("cannot read {}", path.display()), &error))
}

/// The backups below a prefix of a bucket (empty, or ending with `/`), newest first.
pub async fn list_backups(store: StoreSpec, key_prefix: &str) -> Result<Vec<Manifest>, VolumeError> {
    Ok(sandkeep_backups::list(worker::connect(store)?, key_prefix).await?)
}

/// An id for a new backup.
pub fn new_backup_id() -> BackupId {
    BackupId::new(uuid::Uuid::new_v4())
}
