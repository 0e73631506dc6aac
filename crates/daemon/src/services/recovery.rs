//! A new daemon finds what the one before it left: sandboxes that still run, their mounts, and what is nobody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sandkeep_sandboxes::{Detach, Sandbox, SandboxName};
use tracing::{info, warn};

use super::{Live, Services};
use crate::error::ServiceError;
use crate::state::SandboxRecord;
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
        for record in records {
            match sandboxes.remove(&record.name).filter(Sandbox::is_running) {
                Some(sandbox) => self.adopt(sandbox, record, &mut orphans).await?,
                None => self.state.remove_sandbox(record.id).await?,
            }
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
        volumes: &mut BTreeSet<VolumeId>,
    ) -> Result<(), RecoveryError> {
        info!(sandbox = %record.id, "adopts a sandbox");
        let id = record.id.clone();
        for mount in record.mounts.extract_if(.., |mount| !mount.attached || !volumes.contains(&mount.volume))
        {
            self.take_away(&sandbox, &mount.info.mount_path).await;
            self.state.remove_mount(id.clone(), mount.info.mount_path).await?;
        }
        for restore in record.restores.extract_if(.., |restore| !volumes.contains(&restore.volume)) {
            warn!(sandbox = %id, dir = restore.dir, "what served a restored directory is gone: restore again");
            self.state.remove_restore(id.clone(), restore.overlay).await?;
        }
        let live = Arc::new(Live::new(sandbox, record));
        for volume in live.volumes() {
            volumes.remove(&volume);
        }
        self.registry.adopt(live);
        Ok(())
    }

    /// A mount that has no volume any more, or was not reported to anyone.
    async fn take_away(&self, sandbox: &Sandbox, path: &str) {
        if let Err(error) = sandbox.detach(path, Detach::Force, false).await {
            info!(path, %error, "a mount was gone already");
        }
    }
}
