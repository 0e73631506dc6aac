//! Mounting and unmounting, one change of a sandbox at a time, with nothing left behind by a failure.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_api::{ErrorCode, InvalidInput, MountInfo, MountRequest, SandboxId};
use sandkeep_bucketfs::{BucketFsSettings, Owner};
use sandkeep_sandboxes::{self as sandboxes, Detach, Placement};
use sandkeep_vfs::MountOptions;

use super::plan::Plan;
use super::target::Target;
use crate::error::ServiceError;
use crate::services::{Live, Services};
use crate::state::MountRecord;
use crate::volumes::{BucketVolume, VolumeError, VolumeId, VolumeMount, chain};

/// A mount is there within it, or has failed.
const MOUNT_LIMIT: Duration = Duration::from_secs(6);
/// What is not uploaded by then is reported as lost.
const UNMOUNT_DEADLINE: Duration = Duration::from_secs(60);
/// Directories of every sandbox stay when a mount on them ends.
const STANDING: [&str; 11] = [
    "/workspace",
    "/home",
    "/home/sandbox",
    "/root",
    "/tmp",
    "/var/tmp",
    "/app",
    "/mnt",
    "/data",
    "/storage",
    "/opt",
];
/// Where workers note their multipart uploads, below the data directory.
const UPLOADS: &str = "uploads";
/// The kernel reads ahead this much of what a program reads in sequence.
const READ_AHEAD_KIB: u32 = 4096;

impl Services {
    /// Mounts a bucket. The same mount again changes nothing.
    pub(crate) async fn mount(
        self: &Arc<Self>,
        id: &SandboxId,
        request: MountRequest,
    ) -> Result<MountInfo, ServiceError> {
        let mut plan = Plan::new(request)?;
        // Bad requests start no sandbox; where one runs, a used path is refused before the endpoint is looked at.
        if self.existing(id).is_err() {
            self.mount_target(&plan)?;
        }
        let live = self.live(id).await?;
        plan.add_variables(self.variables(&live).await?);
        let services = Arc::clone(self);
        // A task of its own: a caller that leaves must not leave half a mount behind.
        let mount = async move { services.mount_in_turn(&live, &plan).await };
        tokio::spawn(mount).await.map_err(|_| ServiceError::Task)?
    }

    async fn mount_in_turn(&self, live: &Live, plan: &Plan) -> Result<MountInfo, ServiceError> {
        let _turn = live.during(async { Ok(live.mounting.turn().await) }).await?;
        let info = plan.info();
        if let Some(there) = live.mounts().into_iter().find(|mount| mount.info.mount_path == plan.path) {
            return if there.info == info { Ok(info) } else { Err(in_use(&there.info).into()) };
        }
        let target = self.mount_target(plan)?;
        if target.create {
            let created = self.store.ensure_bucket(&target.store.bucket).await;
            created.map_err(|error| ServiceError::Mount { reason: chain(&error) })?;
        }
        let grant = self.grant_of(plan, &target);
        let VolumeMount { id: volume, mount } = self.open_volume(live, plan, target).await?;
        let record = MountRecord { info: info.clone(), volume, attached: false };
        match self.attach(live, mount, record.clone()).await {
            Ok(()) => {
                self.grant_mount(live, &plan.path, grant).await;
                Ok(info)
            }
            Err(error) => {
                self.undo(live, &record).await;
                Err(error)
            }
        }
    }

    async fn open_volume(
        &self,
        live: &Live,
        plan: &Plan,
        target: Target,
    ) -> Result<VolumeMount, ServiceError> {
        let bucket = target.store.bucket.clone();
        let endpoint = target.store.s3.endpoint.clone();
        let uploads_directory = Some(self.settings.data.join(UPLOADS));
        let settings = BucketFsSettings { uploads_directory, ..settings(live, plan) };
        let volume = BucketVolume { store: target.store, settings };
        let options = MountOptions {
            source: plan.source(),
            subtype: "sandkeep".to_owned(),
            read_only: plan.read_only,
            allow_other: true,
            trusted: false,
            read_ahead_kib: READ_AHEAD_KIB,
        };
        let volumes = Arc::clone(&self.volumes);
        // Where the limit passes, the answer still comes, and what it brings must be ended.
        let mut opening = tokio::spawn(async move { volumes.mount_bucket(volume, options).await });
        let opened = async { Ok(tokio::time::timeout(MOUNT_LIMIT, &mut opening).await) };
        match live.during(opened).await {
            Ok(Ok(Ok(Ok(mount)))) => Ok(mount),
            Ok(Ok(Ok(Err(error)))) => Err(refused(&error, bucket.as_str(), &endpoint)),
            Ok(Ok(Err(_))) => Err(ServiceError::Task),
            Ok(Err(_)) => {
                self.end_when_opened(opening);
                let seconds = MOUNT_LIMIT.as_secs();
                let reason =
                    format!("{endpoint} did not answer within {seconds} seconds (bucket \"{bucket}\")");
                Err(ServiceError::Mount { reason })
            }
            Err(interrupted) => {
                self.end_when_opened(opening);
                Err(interrupted)
            }
        }
    }

    fn end_when_opened(&self, opening: tokio::task::JoinHandle<Result<VolumeMount, VolumeError>>) {
        let volumes = Arc::clone(&self.volumes);
        tokio::spawn(async move {
            if let Ok(Ok(late)) = opening.await
                && let Err(error) = volumes.end(&late.id, Duration::ZERO).await
            {
                tracing::warn!(volume = %late.id.0, %error, "cannot end a volume that came too late");
            }
        });
    }

    async fn attach(
        &self,
        live: &Live,
        mount: std::os::fd::OwnedFd,
        record: MountRecord,
    ) -> Result<(), ServiceError> {
        self.state.put_mount(live.id.clone(), record.clone()).await?;
        let path = record.info.mount_path.clone();
        let attached = async {
            let failed = |error: sandboxes::Error| ServiceError::Mount { reason: chain(&error) };
            live.sandbox.attach(mount, &path, Placement::OnTop).await.map_err(failed)
        };
        live.during(attached).await?;
        let record = MountRecord { attached: true, ..record };
        live.add_mount(record.clone());
        self.state.put_mount(live.id.clone(), record).await
    }

    async fn undo(&self, live: &Live, record: &MountRecord) {
        let path = &record.info.mount_path;
        if live.mounts().iter().any(|mount| mount.info.mount_path == *path) {
            live.remove_mount(path);
            let detached = live.sandbox.detach(path, Detach::Force, is_removable(path)).await;
            if let Err(error) = detached {
                tracing::warn!(path, %error, "cannot detach a mount that failed");
            }
        }
        self.end_volume(&record.volume).await;
        if let Err(error) = self.state.remove_mount(live.id.clone(), path.clone()).await {
            tracing::warn!(path, %error, "cannot forget a mount that failed");
        }
    }

    /// Takes a mount away, with everything uploaded.
    pub(crate) async fn unmount(self: &Arc<Self>, id: &SandboxId, path: &str) -> Result<(), ServiceError> {
        let path = sandkeep_api::checks::normalize(path);
        let nothing = |path: &str| {
            let message = format!("No active mount found at path: {path}");
            InvalidInput::new(ErrorCode::InvalidMountConfig, message)
        };
        let live = self.existing(id).map_err(|_| nothing(&path))?;
        let services = Arc::clone(self);
        let unmount = async move {
            let _turn = live.during(async { Ok(live.mounting.turn().await) }).await?;
            match live.mounts().into_iter().find(|mount| mount.info.mount_path == path) {
                None => Err(nothing(&path).into()),
                Some(mount) => services.detach(&live, &path, &mount.volume).await,
            }
        };
        tokio::spawn(unmount).await.map_err(|_| ServiceError::Task)?
    }

    async fn detach(&self, live: &Live, path: &str, volume: &VolumeId) -> Result<(), ServiceError> {
        let failed = |reason: String| ServiceError::Unmount { path: path.to_owned(), reason };
        let detached = live.sandbox.detach(path, Detach::Polite, is_removable(path)).await;
        detached.map_err(|error| failed(busy(&error)))?;
        live.remove_mount(path);
        self.revoke_mount(live, path).await;
        let ended = self.volumes.end(volume, UNMOUNT_DEADLINE).await;
        self.state.remove_mount(live.id.clone(), path.to_owned()).await?;
        ended.map_err(|error| failed(error.message))
    }
}

fn settings(live: &Live, plan: &Plan) -> BucketFsSettings {
    let defaults = BucketFsSettings::default();
    let defaults = match plan.hints.umask {
        Some(mask) => defaults.with_umask(mask),
        None => defaults,
    };
    BucketFsSettings {
        prefix: plan.prefix.clone(),
        read_only: plan.read_only,
        owner: Owner {
            id_base: live.sandbox.id_base(),
            default_uid: plan.hints.uid.unwrap_or_default(),
            default_gid: plan.hints.gid.unwrap_or_default(),
        },
        metadata_age: plan.hints.metadata_age.unwrap_or(defaults.metadata_age),
        part_size: plan.hints.part_size.unwrap_or(defaults.part_size),
        ..defaults
    }
}

fn is_removable(path: &str) -> bool {
    !STANDING.contains(&path)
}

fn in_use(there: &MountInfo) -> InvalidInput {
    let message = format!(
        "Mount path already in use: {} shows bucket \"{}\". Unmount it first or use another path.",
        there.mount_path, there.bucket
    );
    InvalidInput::new(ErrorCode::InvalidMountConfig, message).with("mountPath", there.mount_path.as_str())
}

fn refused(error: &VolumeError, bucket: &str, endpoint: &url::Url) -> ServiceError {
    ServiceError::Mount { reason: format!("bucket \"{bucket}\" at {endpoint}: {}", error.message) }
}

/// Says who keeps a mount busy.
fn busy(error: &sandboxes::Error) -> String {
    match error {
        sandboxes::Error::Busy { holders, .. } if !holders.is_empty() => {
            let holders: Vec<String> =
                holders.iter().map(|holder| format!("{} (pid {})", holder.command, holder.pid)).collect();
            format!("in use by {}", holders.join(", "))
        }
        error => chain(error),
    }
}
