//! Showing a backup in a directory: the archive below, a fresh layer above, put in place without a gap.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use sandkeep_api::checks::{RestoreHandle, normalize};
use sandkeep_api::{RestoreResult, SandboxId};
use sandkeep_backups::{BackupId, ImageSettings};
use sandkeep_sandboxes::{self as sandboxes, Detach, Placement};
use sandkeep_vfs::MountOptions;
use tracing::warn;
use uuid::Uuid;

use super::place::Place;
use crate::error::ServiceError;
use crate::services::{Live, Services};
use crate::state::RestoreRecord;
use crate::volumes::{BackupVolume, VolumeError, VolumeErrorCode, VolumeMount, chain};

/// Memory of a worker for chunks and decompressed blocks.
const IMAGE_MEMORY: u64 = 64 << 20;
/// The kernel reads ahead this much of what a program reads in sequence.
const READ_AHEAD_KIB: u32 = 1024;

impl Services {
    /// Shows a backup in a directory. On failure the directory shows what it showed.
    pub(crate) async fn restore_backup(
        self: &Arc<Self>,
        id: &SandboxId,
        handle: RestoreHandle,
    ) -> Result<RestoreResult, ServiceError> {
        let place = self.backup_place(handle.local_bucket)?;
        let live = self.live(id).await?;
        let services = Arc::clone(self);
        // A task of its own: a caller that leaves must not leave half a restore behind.
        let restore = async move { services.restore_in_turn(&live, place, handle).await };
        tokio::spawn(restore).await.map_err(|_| ServiceError::Task)?
    }

    async fn restore_in_turn(
        &self,
        live: &Live,
        place: Place,
        handle: RestoreHandle,
    ) -> Result<RestoreResult, ServiceError> {
        let _turn = live.during(async { Ok(live.backing_up.turn().await) }).await?;
        let record = RestoreRecord {
            dir: normalize(&handle.dir),
            backup_id: handle.id.clone(),
            volume: None,
            overlay: Uuid::new_v4().to_string(),
        };
        let (record, made) = if handle.eager {
            let made = self.write_files(live, place, &handle, &record).await;
            (record, made)
        } else {
            let image = self.open_image(live, place, &handle).await?;
            let record = RestoreRecord { volume: Some(image.id.clone()), ..record };
            let made = self.lay_over(live, image, &record).await;
            (record, made)
        };
        let shown = match made {
            Ok(mount) => self.show(live, mount, &record).await,
            Err(error) => Err(error),
        };
        match shown {
            Ok(()) => Ok(RestoreResult { success: true, dir: handle.dir, id: handle.id }),
            Err(error) => {
                self.drop_restore(live, &record).await;
                Err(error)
            }
        }
    }

    /// The files of a backup, written into a directory of their own.
    async fn write_files(
        &self,
        live: &Live,
        place: Place,
        handle: &RestoreHandle,
        record: &RestoreRecord,
    ) -> Result<OwnedFd, ServiceError> {
        let embedded = place.embedded;
        let volume = self.volume(live, place, handle)?;
        let written = async {
            let directory =
                live.sandbox.make_tree(&record.overlay).await.map_err(|error| agent(&error, record))?;
            let extracted = self.volumes.extract_backup(volume, directory).await;
            extracted.map_err(|error| refused(error, &handle.id, embedded))?;
            live.sandbox.show_tree(&record.overlay).await.map_err(|error| agent(&error, record))
        };
        live.during(written).await
    }

    /// The archive below a fresh upper layer.
    async fn lay_over(
        &self,
        live: &Live,
        image: VolumeMount,
        record: &RestoreRecord,
    ) -> Result<OwnedFd, ServiceError> {
        let overlay = async {
            live.sandbox.overlay(image.mount, &record.overlay).await.map_err(|error| agent(&error, record))
        };
        live.during(overlay).await
    }

    fn volume(
        &self,
        live: &Live,
        place: Place,
        handle: &RestoreHandle,
    ) -> Result<BackupVolume, ServiceError> {
        let id: BackupId =
            handle.id.parse().map_err(|_| ServiceError::BackupNotFound { id: handle.id.clone() })?;
        let settings = ImageSettings {
            key_prefix: place.prefix,
            id_base: live.sandbox.id_base(),
            memory_budget: IMAGE_MEMORY,
            cache: Some(self.cache_directory()),
        };
        Ok(BackupVolume { store: place.store, id, settings })
    }

    async fn open_image(
        &self,
        live: &Live,
        place: Place,
        handle: &RestoreHandle,
    ) -> Result<VolumeMount, ServiceError> {
        let embedded = place.embedded;
        let volume = self.volume(live, place, handle)?;
        let options = MountOptions {
            source: format!("backup:{}", volume.id),
            subtype: "sandkeep-backup".to_owned(),
            read_only: true,
            allow_other: true,
            trusted: true,
            read_ahead_kib: READ_AHEAD_KIB,
        };
        let opened = async {
            let mount = self.volumes.mount_backup(volume, options).await;
            mount.map_err(|error| refused(error, &handle.id, embedded))
        };
        live.during(opened).await
    }

    /// Puts what was made in its place, and ends what was there.
    async fn show(&self, live: &Live, mount: OwnedFd, record: &RestoreRecord) -> Result<(), ServiceError> {
        let _turn = live.during(async { Ok(live.mounting.turn().await) }).await?;
        check_mounts(live, &record.dir)?;
        let old = shown_below(live, &record.dir);
        let placement =
            if old.iter().any(|old| old.dir == record.dir) { Placement::Replace } else { Placement::OnTop };
        self.state.put_restore(live.id.clone(), record.clone()).await?;
        for below in old.iter().filter(|old| old.dir != record.dir) {
            // Buckets below stay where they are; what was restored there is covered by the new view.
            if let Err(error) = live.sandbox.detach(&below.dir, Detach::Force, false).await {
                warn!(dir = below.dir, %error, "an old view below the new one was gone already");
            }
        }
        let attached = async {
            live.sandbox.attach(mount, &record.dir, placement).await.map_err(|error| agent(&error, record))
        };
        live.during(attached).await?;
        live.add_restore(record.clone());
        for old in &old {
            self.drop_restore(live, old).await;
        }
        Ok(())
    }

    /// Removes what served a view that nobody sees any more.
    async fn drop_restore(&self, live: &Live, record: &RestoreRecord) {
        if let Some(volume) = &record.volume {
            self.end_volume(volume).await;
        }
        if let Err(error) = live.sandbox.drop_overlay(&record.overlay).await {
            warn!(dir = record.dir, %error, "cannot remove an old upper layer");
        }
        live.remove_restore(&record.overlay);
        if let Err(error) = self.state.remove_restore(live.id.clone(), record.overlay.clone()).await {
            warn!(dir = record.dir, %error, "cannot forget an old restore");
        }
    }
}

fn agent(error: &sandboxes::Error, record: &RestoreRecord) -> ServiceError {
    ServiceError::BackupRestore { id: record.backup_id.clone(), reason: chain(error) }
}

/// What the new view covers.
fn shown_below(live: &Live, dir: &str) -> Vec<RestoreRecord> {
    live.restores().into_iter().filter(|old| is_below(&old.dir, dir)).collect()
}

/// A bucket at the directory would be covered and could never be unmounted. Those below stay on top of what is restored.
fn check_mounts(live: &Live, dir: &str) -> Result<(), ServiceError> {
    match live.mounts().into_iter().find(|mount| mount.info.mount_path == dir) {
        None => Ok(()),
        Some(mount) => Err(ServiceError::NotSupported {
            what: format!(
                "restoring {dir} over the bucket mounted at {} (unmount it first)",
                mount.info.mount_path
            ),
        }),
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

fn refused(error: VolumeError, id: &str, embedded: bool) -> ServiceError {
    let id = id.to_owned();
    match error.code {
        VolumeErrorCode::BackupNotFound => ServiceError::BackupNotFound { id },
        // Our own bucket is made by the first backup.
        VolumeErrorCode::NoSuchBucket if embedded => ServiceError::BackupNotFound { id },
        VolumeErrorCode::BackupExpired => {
            ServiceError::BackupExpired { id, expired_at: error.expired_at.unwrap_or_default() }
        }
        VolumeErrorCode::NoSuchBucket
        | VolumeErrorCode::AccessDenied
        | VolumeErrorCode::Unreachable
        | VolumeErrorCode::BackupDamaged
        | VolumeErrorCode::Cancelled
        | VolumeErrorCode::Failed => ServiceError::BackupRestore { id, reason: error.message },
    }
}
