//! A new daemon finds what the one before it left: sandboxes that still run, their mounts, and what is nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sandkeep_sandboxes::{Detach, Sandbox, SandboxName};
use tracing::{info, warn};

use super::{Live, Services};
use crate::error::ServiceError;
use crate::grants::GrantsById;
use crate::state::{RestoreRecord, SandboxRecord};
use crate::volumes::{VolumeError, VolumeId};

/// Why recovery could not look around.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    /// The records.
    #[error(transparent)]
    State(#[from] ServiceError),
    /// The runtime.
    #[error(transparent)]
    Runtime(#[from] sandkeep_sandboxes::Error),
    /// The keeper.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
}

impl Services {
    /// Adopts what is recorded and alive, forgets what is gone, ends what is nobody's.
    pub(crate) async fn recover(&self) -> Result<(), RecoveryError> {
        let records = self.state.sandboxes().await?;
        let adopted = self.runtime.adopt().await?;
        let mut sandboxes: BTreeMap<SandboxName, Sandbox> =
            adopted.into_iter().map(|sandbox| (sandbox.name().clone(), sandbox)).collect();
        let mut orphans: BTreeSet<VolumeId> = self.volumes.list().await?.into_iter().map(|v| v.id).collect();
        let mut served = self.served().await;
        for record in records {
            let grants = served.remove(record.name.as_str());
            match sandboxes.remove(&record.name).filter(Sandbox::is_running) {
                Some(sandbox) => self.adopt(sandbox, record, grants, &mut orphans).await?,
                None => {
                    self.close_orphan(&record.name).await;
                    self.state.remove_sandbox(record.id).await?;
                }
            }
        }
        for name in served.keys().filter_map(|name| SandboxName::new(name.as_str())) {
            self.close_orphan(&name).await;
        }
        for volume in &orphans {
            info!(volume = %volume.0, "ends a volume that belongs to no sandbox");
            self.abort_orphan(volume).await;
        }
        for sandbox in sandboxes.into_values() {
            info!(name = sandbox.name().as_str(), "ends a sandbox that is not recorded");
            if let Err(error) = sandbox.destroy().await {
                warn!(name = sandbox.name().as_str(), %error, "cannot end a sandbox");
            }
        }
        for volume in &orphans {
            self.end_volume(volume).await;
        }
        Ok(())
    }

    /// A sandbox may hang on a volume that is nobody's: its requests fail first.
    async fn abort_orphan(&self, volume: &VolumeId) {
        if let Err(error) = self.volumes.abort(volume).await {
            warn!(volume = %volume.0, %error, "cannot abort a volume");
        }
    }

    async fn adopt(
        &self,
        sandbox: Sandbox,
        mut record: SandboxRecord,
        grants: Option<GrantsById>,
        volumes: &mut BTreeSet<VolumeId>,
    ) -> Result<(), RecoveryError> {
        info!(sandbox = %record.id, "adopts a sandbox");
        let id = record.id.clone();
        for mount in record.mounts.extract_if(.., |mount| !mount.attached || !volumes.contains(&mount.volume))
        {
            self.take_away(&sandbox, &mount.info.mount_path).await;
            self.state.remove_mount(id.clone(), mount.info.mount_path).await?;
        }
        let is_lost = |restore: &mut RestoreRecord| {
            restore.volume.as_ref().is_some_and(|volume| !volumes.contains(volume))
        };
        for restore in record.restores.extract_if(.., is_lost) {
            warn!(sandbox = %id, dir = restore.dir, "what served a restored directory is gone: restore again");
            self.state.remove_restore(id.clone(), restore.overlay).await?;
        }
        let live = Arc::new(Live::new(sandbox, record));
        for volume in live.volumes() {
            volumes.remove(&volume);
        }
        self.adopt_grants(&live, grants).await;
        self.registry.adopt(live);
        Ok(())
    }

    /// What the gateway serves for the daemon before this one.
    async fn served(&self) -> BTreeMap<String, GrantsById> {
        self.endpoints.list().await.unwrap_or_else(|error| {
            warn!(%error, "the S3 endpoint does not say what it serves in sandboxes");
            BTreeMap::new()
        })
    }

    async fn close_orphan(&self, name: &SandboxName) {
        if let Err(error) = self.endpoints.close(name).await {
            warn!(name = name.as_str(), %error, "the endpoint of a sandbox is not closed");
        }
    }

    /// A mount that has no volume any more, or was not reported to anyone.
    async fn take_away(&self, sandbox: &Sandbox, path: &str) {
        if let Err(error) = sandbox.detach(path, Detach::Force, false).await {
            info!(path, %error, "a mount was gone already");
        }
    }
}
