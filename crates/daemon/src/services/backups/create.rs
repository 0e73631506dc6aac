//! Making a backup.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::SystemTime;

use sandkeep_api::checks::{BackupOptions, CompressionFormat};
use sandkeep_api::{DirectoryBackup, SandboxId};
use sandkeep_backups::{BackupId, Compression, CreateOptions, Progress};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::place::Place;
use crate::error::ServiceError;
use crate::services::{Live, Services};
use crate::volumes::{BackupJob, chain};

/// Compression gains nothing from more threads than this for each processor.
const THREADS_PER_PROCESSOR: usize = 2;
/// States of progress that may wait; what does not fit is skipped.
const PROGRESS_WAITING: usize = 4;

/// Receives progress.
pub(crate) type ProgressReceiver = mpsc::Receiver<Progress>;

impl Services {
    /// Makes a backup of a directory; dropping the future cancels it.
    pub(crate) async fn create_backup(
        self: &Arc<Self>,
        id: &SandboxId,
        options: BackupOptions,
        progress: mpsc::Sender<Progress>,
    ) -> Result<DirectoryBackup, ServiceError> {
        if options.gitignore {
            return Err(ServiceError::NotSupported { what: "gitignore (useGitignore)".to_owned() });
        }
        let place = self.backup_place(options.local_bucket)?;
        let live = self.live(id).await?;
        live.during(self.back_up(&live, place, options, progress)).await
    }

    /// A channel for progress.
    pub(crate) fn progress_channel() -> (mpsc::Sender<Progress>, ProgressReceiver) {
        mpsc::channel(PROGRESS_WAITING)
    }

    async fn back_up(
        &self,
        live: &Live,
        place: Place,
        options: BackupOptions,
        progress: mpsc::Sender<Progress>,
    ) -> Result<DirectoryBackup, ServiceError> {
        let _turn = live.backing_up.turn().await;
        let failed = |reason: String| ServiceError::BackupCreate { reason };
        let opened = live.sandbox.open_directory(&options.dir).await;
        let directory = opened.map_err(|error| failed(format!("{}: {}", options.dir, chain(&error))))?;
        if place.embedded {
            self.store.ensure_bucket(&place.store.bucket).await.map_err(|error| failed(chain(&error)))?;
        }
        let (dir, local_bucket) = (options.dir.clone(), options.local_bucket);
        let job = BackupJob {
            store: place.store,
            id_base: live.sandbox.id_base(),
            options: create_options(options, place.prefix),
        };
        let made = self.volumes.create_backup(job, directory, progress).await;
        let manifest = made.map_err(|error| failed(error.message))?;
        Ok(DirectoryBackup { id: manifest.id.to_string(), dir, local_bucket: local_bucket.then_some(true) })
    }
}

fn create_options(options: BackupOptions, key_prefix: String) -> CreateOptions {
    let processors = available_parallelism().map_or(1, usize::from);
    let threads = usize::try_from(options.compression.threads).unwrap_or(usize::MAX);
    CreateOptions {
        id: BackupId::new(Uuid::new_v4()),
        now: SystemTime::now(),
        key_prefix,
        dir: options.dir,
        name: options.name,
        ttl: options.ttl,
        excludes: options.excludes,
        compression: match options.compression.format {
            Some(CompressionFormat::Gzip) => Compression::Gzip,
            Some(CompressionFormat::Lz4) => Compression::Lz4,
            Some(CompressionFormat::Zstd) => Compression::Zstd,
            None => Compression::default(),
        },
        threads: threads.min(processors * THREADS_PER_PROCESSOR),
        multipart: options.multipart,
    }
}
