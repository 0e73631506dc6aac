//! The daemon's side: asks the keeper, starting it where it does not run.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use sandkeep_backups::{Manifest, Progress};
use sandkeep_vfs::MountOptions;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{BackupJob, BackupVolume, BucketVolume, VolumeError};

/// Names a volume for as long as its worker serves it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(pub String);

/// A mount made by the keeper and served by a worker.
#[derive(Debug)]
pub struct VolumeMount {
    /// To unmount it later.
    pub id: VolumeId,
    /// The detached mount, to be attached in a sandbox.
    pub mount: OwnedFd,
}

/// About a volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// Which.
    pub id: VolumeId,
    /// Process id of its worker.
    pub worker: u32,
    /// How often the worker was replaced after dying.
    pub restarts: u32,
}

/// Where the keeper is and how to start it.
#[derive(Clone, Debug)]
pub struct VolumesSettings {
    /// Directory of the keeper's socket, mode 0700.
    pub run: PathBuf,
    /// This program.
    pub program: PathBuf,
    /// Directory for caches of workers.
    pub cache: PathBuf,
}

/// The way to all volumes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Volumes {}

impl Volumes {
    /// Connects to the keeper, or starts it.
    pub async fn start(settings: VolumesSettings) -> Result<Self, VolumeError> {
        todo!()
    }

    /// Opens a bucket in a worker and mounts it detached.
    pub async fn mount_bucket(&self, volume: BucketVolume, options: MountOptions) -> Result<VolumeMount, VolumeError> {
        todo!()
    }

    /// Opens a backup in a worker and mounts it detached.
    pub async fn mount_backup(&self, volume: BackupVolume, options: MountOptions) -> Result<VolumeMount, VolumeError> {
        todo!()
    }

    /// Flushes, then ends a volume: its mount answers ENOTCONN afterwards. What is not uploaded at the deadline is
    /// reported. Succeeds if there is no such volume.
    pub async fn end(&self, id: &VolumeId, deadline: Duration) -> Result<(), VolumeError> {
        todo!()
    }

    /// Fails every request in flight and all later ones at once (before a sandbox is killed), keeping the worker for its
    /// uploads until [`Self::end`].
    pub async fn abort(&self, id: &VolumeId) -> Result<(), VolumeError> {
        todo!()
    }

    /// All volumes.
    pub async fn list(&self) -> Result<Vec<VolumeStatus>, VolumeError> {
        todo!()
    }

    /// Makes a backup of `directory` in a worker of its own; dropping the future cancels it and removes what was uploaded.
    pub async fn create_backup(
        &self,
        job: BackupJob,
        directory: OwnedFd,
        progress: mpsc::Sender<Progress>,
    ) -> Result<Manifest, VolumeError> {
        todo!()
    }

    /// Ends all volumes and the keeper, for an orderly shutdown.
    pub async fn stop(&self) -> Result<(), VolumeError> {
        todo!()
    }
}
