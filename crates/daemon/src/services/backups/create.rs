//! Making a backup.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::SystemTime;

use sandkeep_api::checks::{BackupOptions, CompressionFormat, normalize};
use sandkeep_api::{BackupMade, BackupPreview, DirectoryBackup, LeftOutName, SandboxId};
use sandkeep_backups::{BackupId, Compression, CreateOptions, Progress, ZstdLevel};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::catalogue::{info, left_out};
use super::freeze::SandboxFreezer;
use super::place::Place;
use crate::error::ServiceError;
use crate::services::{Live, Services};
use crate::state::RestoreRecord;
use crate::volumes::{BackupJob, OverlayJob, chain};

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
    ) -> Result<BackupMade, ServiceError> {
        let place = self.backup_place(options.local_bucket)?;
        let live = self.live(id).await?;
        live.during(self.back_up(&live, place, options, progress)).await
    }

    /// Says what a backup would hold and leave out.
    pub(crate) async fn preview_backup(
        self: &Arc<Self>,
        id: &SandboxId,
        options: BackupOptions,
    ) -> Result<BackupPreview, ServiceError> {
        let place = self.backup_place(options.local_bucket)?;
        let live = self.live(id).await?;
        live.during(self.preview(&live, place, options)).await
    }

    /// A channel for progress.
    pub(crate) fn progress_channel() -> (mpsc::Sender<Progress>, ProgressReceiver) {
        mpsc::channel(PROGRESS_WAITING)
    }

    async fn preview(
        &self,
        live: &Live,
        place: Place,
        options: BackupOptions,
    ) -> Result<BackupPreview, ServiceError> {
        let directory = open(live, &options.dir).await?;
        let options = create_options(options, place.prefix, None);
        let job = BackupJob {
            store: place.store,
            id_base: live.sandbox.id_base(),
            options,
            preview: true,
            overlay: None,
            freeze: false,
        };
        let seen = self.volumes.preview_backup(job, directory).await;
        let seen = seen.map_err(|error| ServiceError::BackupCreate { reason: error.message })?;
        let name = |left: sandkeep_backups::LeftOutPath| LeftOutName {
            path: left.path,
            rule: left.rule,
            files: left.files,
            bytes: left.bytes,
        };
        Ok(BackupPreview {
            entries: seen.entries,
            content_bytes: seen.content_bytes,
            excluded: seen.excluded,
            rules: seen.rules.into_iter().map(left_out).collect(),
            left_out: seen.left_out.into_iter().map(name).collect(),
        })
    }

    async fn back_up(
        &self,
        live: &Live,
        place: Place,
        options: BackupOptions,
        progress: mpsc::Sender<Progress>,
    ) -> Result<BackupMade, ServiceError> {
        let _turn = live.backing_up.turn().await;
        let failed = |reason: String| ServiceError::BackupCreate { reason };
        let directory = open(live, &options.dir).await?;
        if place.embedded {
            self.store.ensure_bucket(&place.store.bucket).await.map_err(|error| failed(chain(&error)))?;
        }
        let (dir, local_bucket, freeze) = (options.dir.clone(), options.local_bucket, options.freeze);
        let record = (!options.full).then(|| self.record_of(live, &dir));
        let layers = if options.full { None } else { layers(live, &dir, &directory).await };
        let (overlay, layer) = layers.unzip();
        let job = BackupJob {
            store: place.store,
            id_base: live.sandbox.id_base(),
            options: create_options(options, place.prefix, record),
            preview: false,
            overlay,
            freeze,
        };
        let directories = [directory].into_iter().chain(layer).collect();
        let freezer = SandboxFreezer::new(&live.sandbox);
        let made = self.volumes.create_backup(job, directories, progress, &freezer).await;
        let manifest = made.map_err(|error| failed(error.message))?;
        let backup =
            DirectoryBackup { id: manifest.id.to_string(), dir, local_bucket: local_bucket.then_some(true) };
        Ok(BackupMade { backup, info: info(&manifest) })
    }

    /// Where the backups of a directory leave what the next one needs to know.
    fn record_of(&self, live: &Live, dir: &str) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        normalize(dir).hash(&mut hasher);
        self.records_of(live).join(format!("{:016x}", hasher.finish()))
    }

    fn records_of(&self, live: &Live) -> PathBuf {
        self.settings.data.join("backup-records").join(live.sandbox.name().as_str())
    }

    /// What backups left for the next ones is of no use once the sandbox is gone.
    pub(in crate::services) async fn forget_backups_of(&self, live: &Live) {
        match tokio::fs::remove_dir_all(self.records_of(live)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(sandbox = %live.id, %error, "what backups have left is still there");
            }
            _ => {}
        }
    }
}

async fn open(live: &Live, dir: &str) -> Result<OwnedFd, ServiceError> {
    let opened = live.sandbox.open_directory(dir).await;
    opened.map_err(|error| ServiceError::BackupCreate { reason: format!("{dir}: {}", chain(&error)) })
}

/// How a directory came about, if it shows a restored backup: then only its upper layer has to be read.
async fn layers(live: &Live, dir: &str, directory: &OwnedFd) -> Option<(OverlayJob, OwnedFd)> {
    let dir = normalize(dir);
    let restore =
        live.restores().into_iter().find(|restore| restore.dir == dir && restore.volume.is_some())?;
    // Links may have been changed since the restore: the directory must be the one itself.
    let path = std::fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    if path.as_os_str() != dir.as_str() || live.mounts().iter().any(|mount| mount.info.mount_path == dir) {
        return None;
    }
    let layer = live.sandbox.open_layer(&restore.overlay).await;
    let layer = layer.inspect_err(|error| tracing::warn!(dir, %error, "every file is read again")).ok()?;
    let backup = restore.backup_id.parse().ok()?;
    Some((OverlayJob { backup, mounts: mounted_below(live, &restore) }, layer))
}

/// Paths below a restored directory on which something else is mounted.
fn mounted_below(live: &Live, restore: &RestoreRecord) -> Vec<String> {
    let mounts = live.mounts().into_iter().map(|mount| mount.info.mount_path);
    let restores = live.restores().into_iter().map(|other| other.dir);
    let below = |path: String| Some(path.strip_prefix(&restore.dir)?.strip_prefix('/')?.to_owned());
    mounts.chain(restores).filter_map(below).collect()
}

fn create_options(options: BackupOptions, key_prefix: String, record: Option<PathBuf>) -> CreateOptions {
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
        gitignore: options.gitignore,
        compression: options.compression.format.map(compression),
        threads: threads.min(processors * THREADS_PER_PROCESSOR),
        multipart: options.multipart,
        record,
    }
}

fn compression(format: CompressionFormat) -> Compression {
    match format {
        CompressionFormat::Gzip => Compression::Gzip,
        CompressionFormat::Lz4 => Compression::Lz4,
        CompressionFormat::Zstd => Compression::default(),
        CompressionFormat::ZstdLevel(level) => Compression::Zstd(ZstdLevel::new(level).unwrap_or_default()),
        CompressionFormat::None => Compression::None,
    }
}
