//! The things that services need from outside, as traits, so that everything before them can be tested without a
//! kernel that mounts.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use sandkeep_backups::{Manifest, Preview, Progress};
use sandkeep_objects::{BucketName, MigrationOptions, MigrationStatus};
use sandkeep_sandboxes::{Runtime, Sandbox, SandboxName, SandboxSpec};
use sandkeep_vfs::MountOptions;
use tokio::sync::mpsc;

use crate::error::ServiceError;
use crate::grants::{BucketStatus, GrantsById};
use crate::volumes::{
    BackupJob, BackupVolume, BucketVolume, FreezeSandbox, VolumeError, VolumeId, VolumeMount, VolumeStatus,
    Volumes,
};

/// Starts sandboxes: [`Runtime`].
#[async_trait]
pub(crate) trait StartSandboxes: Debug + Send + Sync + 'static {
    /// [`Runtime::create`].
    async fn create(
        &self,
        name: &SandboxName,
        spec: &SandboxSpec,
    ) -> Result<Sandbox, sandkeep_sandboxes::Error>;

    /// [`Runtime::adopt`].
    async fn adopt(&self) -> Result<Vec<Sandbox>, sandkeep_sandboxes::Error>;
}

#[async_trait]
impl StartSandboxes for Runtime {
    async fn create(
        &self,
        name: &SandboxName,
        spec: &SandboxSpec,
    ) -> Result<Sandbox, sandkeep_sandboxes::Error> {
        Self::create(self, name, spec).await
    }

    async fn adopt(&self) -> Result<Vec<Sandbox>, sandkeep_sandboxes::Error> {
        Self::adopt(self).await
    }
}

/// Serves mounts: [`Volumes`].
#[async_trait]
pub(crate) trait ServeVolumes: Debug + Send + Sync + 'static {
    /// [`Volumes::mount_bucket`].
    async fn mount_bucket(
        &self,
        volume: BucketVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError>;

    /// [`Volumes::mount_backup`].
    async fn mount_backup(
        &self,
        volume: BackupVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError>;

    /// [`Volumes::end`].
    async fn end(&self, id: &VolumeId, deadline: Duration) -> Result<(), VolumeError>;

    /// [`Volumes::abort`].
    async fn abort(&self, id: &VolumeId) -> Result<(), VolumeError>;

    /// [`Volumes::list`].
    async fn list(&self) -> Result<Vec<VolumeStatus>, VolumeError>;

    /// [`Volumes::create_backup`].
    async fn create_backup(
        &self,
        job: BackupJob,
        directories: Vec<OwnedFd>,
        progress: mpsc::Sender<Progress>,
        freezer: &dyn FreezeSandbox,
    ) -> Result<Manifest, VolumeError>;

    /// [`Volumes::preview_backup`].
    async fn preview_backup(&self, job: BackupJob, directory: OwnedFd) -> Result<Preview, VolumeError>;

    /// [`Volumes::extract_backup`].
    async fn extract_backup(&self, volume: BackupVolume, directory: OwnedFd) -> Result<(), VolumeError>;
}

#[async_trait]
impl ServeVolumes for Volumes {
    async fn mount_bucket(
        &self,
        volume: BucketVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError> {
        Self::mount_bucket(self, volume, options).await
    }

    async fn mount_backup(
        &self,
        volume: BackupVolume,
        options: MountOptions,
    ) -> Result<VolumeMount, VolumeError> {
        Self::mount_backup(self, volume, options).await
    }

    async fn end(&self, id: &VolumeId, deadline: Duration) -> Result<(), VolumeError> {
        Self::end(self, id, deadline).await
    }

    async fn abort(&self, id: &VolumeId) -> Result<(), VolumeError> {
        Self::abort(self, id).await
    }

    async fn list(&self) -> Result<Vec<VolumeStatus>, VolumeError> {
        Self::list(self).await
    }

    async fn create_backup(
        &self,
        job: BackupJob,
        directories: Vec<OwnedFd>,
        progress: mpsc::Sender<Progress>,
        freezer: &dyn FreezeSandbox,
    ) -> Result<Manifest, VolumeError> {
        Self::create_backup(self, job, directories, progress, freezer).await
    }

    async fn preview_backup(&self, job: BackupJob, directory: OwnedFd) -> Result<Preview, VolumeError> {
        Self::preview_backup(self, job, directory).await
    }

    async fn extract_backup(&self, volume: BackupVolume, directory: OwnedFd) -> Result<(), VolumeError> {
        Self::extract_backup(self, volume, directory).await
    }
}

/// Knows the buckets: [`crate::grants::GatewayControl`].
#[async_trait]
pub(crate) trait ServeBuckets: Debug + Send + Sync + 'static {
    /// All, with what is in them.
    async fn buckets(&self) -> Result<Vec<BucketStatus>, ServiceError>;

    /// One of them.
    async fn bucket(&self, name: &BucketName) -> Result<BucketStatus, ServiceError>;

    /// Begins to move one to the other store.
    async fn migrate(
        &self,
        name: &BucketName,
        options: MigrationOptions,
    ) -> Result<MigrationStatus, ServiceError>;

    /// How far that is; none: nobody did.
    async fn migration(&self, name: &BucketName) -> Result<Option<MigrationStatus>, ServiceError>;

    /// Ends it.
    async fn cancel_migration(&self, name: &BucketName) -> Result<Option<MigrationStatus>, ServiceError>;
}

/// Serves the endpoints inside sandboxes: [`crate::grants::GatewayControl`].
#[async_trait]
pub(crate) trait ServeGrants: Debug + Send + Sync + 'static {
    /// Serves these grants and no others in a sandbox from now on.
    async fn serve(&self, sandbox: &Sandbox, grants: GrantsById) -> Result<(), VolumeError>;

    /// Serves nothing in it any more.
    async fn close(&self, sandbox: &SandboxName) -> Result<(), VolumeError>;

    /// What is served, by the names of sandboxes.
    async fn list(&self) -> Result<BTreeMap<String, GrantsById>, VolumeError>;
}
