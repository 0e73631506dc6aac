//! From the first use of an id to its end.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sandkeep_api::{SandboxId, SandboxInfo, SandboxOptions, base32};
use sandkeep_sandboxes::{Limits, Network, SandboxName, SandboxSpec};
use tracing::warn;

use super::registry::{Claim, Claimed};
use super::{Live, Services};
use crate::error::ServiceError;
use crate::state::SandboxRecord;
use crate::volumes::VolumeId;

/// How long a destroyed sandbox's files may take to be uploaded.
const UPLOAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long the end of a sandbox waits for a mount or restore that is being undone.
const UNDO_DEADLINE: Duration = Duration::from_secs(20);
/// Of the id in the runtime's name, for those who look at a host's processes.
const SLUG_LENGTH: usize = 40;
const MAX_LABELS: usize = 64;

/// What comes first when a sandbox ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its processes: what they have not closed is given up.
    Destroy,
    /// Its files: everything written is uploaded.
    Shutdown,
}

impl Services {
    /// The sandbox of an id, started if it does not run.
    pub(crate) async fn live(self: &Arc<Self>, id: &SandboxId) -> Result<Arc<Live>, ServiceError> {
        self.live_with(id, &SandboxOptions::default()).await
    }

    /// The sandbox of an id that runs; none is started.
    pub(crate) fn existing(&self, id: &SandboxId) -> Result<Arc<Live>, ServiceError> {
        self.registry.find(id).ok_or_else(|| ServiceError::SandboxNotFound { id: id.clone() })
    }

    /// All sandboxes.
    pub(crate) fn list(&self) -> Vec<SandboxInfo> {
        self.registry.all().iter().filter(|live| !live.is_over()).map(|live| live.info()).collect()
    }

    /// Starts a sandbox with options, or changes the labels of one that runs.
    pub(crate) async fn put(
        self: &Arc<Self>,
        id: &SandboxId,
        options: &SandboxOptions,
    ) -> Result<SandboxInfo, ServiceError> {
        check_options(options)?;
        let live = self.live_with(id, options).await?;
        let before = live.record();
        live.set_labels(options.labels.clone());
        if let Some(enabled) = options.enable_default_session {
            live.set_stateless(!enabled);
        }
        if live.record() != before {
            self.state.put_sandbox(live.record()).await?;
        }
        Ok(live.info())
    }

    async fn live_with(
        self: &Arc<Self>,
        id: &SandboxId,
        options: &SandboxOptions,
    ) -> Result<Arc<Live>, ServiceError> {
        loop {
            if self.registry.is_closed() {
                return Err(ServiceError::Stopping);
            }
            match self.registry.claim(id) {
                Claimed::Live(live) => return Ok(live),
                // The channel never carries a value: it closes when the change is over.
                Claimed::Changing(mut over) => drop(over.changed().await),
                Claimed::Free(claim, dead) => {
                    let (services, id, options) = (Arc::clone(self), id.clone(), options.clone());
                    // A task of its own: a caller that leaves must not leave half a sandbox behind.
                    let start = async move { services.start(claim, dead, id, options).await };
                    return tokio::spawn(start).await.map_err(|_| ServiceError::Task)?;
                }
            }
        }
    }

    async fn start(
        self: Arc<Self>,
        claim: Claim,
        dead: Option<Arc<Live>>,
        id: SandboxId,
        options: SandboxOptions,
    ) -> Result<Arc<Live>, ServiceError> {
        if let Some(dead) = dead {
            self.end(&dead, Ending::Destroy).await?;
        }
        let name = new_name(&id);
        let sandbox = self.runtime.create(&name, &self.spec(&options)).await.map_err(ServiceError::Start)?;
        let (mounts, restores) = (Vec::new(), Vec::new());
        let record = SandboxRecord {
            id,
            name,
            created_at: sandkeep_api::now(),
            labels: options.labels,
            mounts,
            restores,
            stateless: options.enable_default_session == Some(false),
        };
        let live = Arc::new(Live::new(sandbox, record.clone()));
        if let Err(error) = self.state.put_sandbox(record).await {
            live.sandbox.destroy().await.map_err(ServiceError::Destroy)?;
            return Err(error);
        }
        claim.settle(Arc::clone(&live));
        Ok(live)
    }

    fn spec(&self, options: &SandboxOptions) -> SandboxSpec {
        let limits = options.limits.unwrap_or_default();
        SandboxSpec {
            hostname: "sandbox".to_owned(),
            network: Network::None,
            limits: Limits {
                memory: limits.memory,
                processes: limits.processes,
                cpu_millis: limits.cpu_millis,
            },
            expose: self.settings.expose.clone(),
        }
    }

    /// Ends a sandbox; calls at the same time share one end, and no sandbox is success.
    pub(crate) async fn destroy(
        self: &Arc<Self>,
        id: &SandboxId,
        ending: Ending,
    ) -> Result<(), ServiceError> {
        loop {
            match self.registry.claim_existing(id) {
                Some(Claimed::Changing(mut over)) => drop(over.changed().await),
                Some(Claimed::Free(claim, Some(live))) => {
                    let services = Arc::clone(self);
                    let end = async move {
                        let ended = services.end(&live, ending).await;
                        drop(claim);
                        ended
                    };
                    return tokio::spawn(end).await.map_err(|_| ServiceError::Task)?;
                }
                Some(Claimed::Free(_, None) | Claimed::Live(_)) | None => return Ok(()),
            }
        }
    }

    /// Ends all sandboxes and starts none from now on.
    pub(crate) async fn shut_down(self: &Arc<Self>) {
        self.registry.close();
        let ids = self.registry.ids();
        let ends = ids.iter().map(|id| async move { (id, self.destroy(id, Ending::Shutdown).await) });
        for (id, ended) in join_all(ends).await {
            if let Err(error) = ended {
                warn!(sandbox = %id, error = %crate::volumes::chain(&error), "a sandbox did not end cleanly");
            }
        }
    }

    async fn end(&self, live: &Live, ending: Ending) -> Result<(), ServiceError> {
        live.interrupt();
        // Forgotten first: whatever fails from here on, the next daemon ends as nobody's.
        self.state.remove_sandbox(live.id.clone()).await?;
        let undone = async { (live.backing_up.turn().await, live.mounting.turn().await) };
        let _turns = tokio::time::timeout(UNDO_DEADLINE, undone).await.ok();
        let volumes = live.volumes();
        if ending == Ending::Shutdown {
            self.end_volumes(&volumes).await;
        }
        join_all(volumes.iter().map(|id| self.abort_volume(id))).await;
        // The listener would keep the sandbox's network alive.
        self.close_endpoint(live).await;
        let destroyed = live.sandbox.destroy().await.map_err(ServiceError::Destroy);
        self.end_volumes(&volumes).await;
        self.forget_backups_of(live).await;
        destroyed
    }

    async fn abort_volume(&self, id: &VolumeId) {
        if let Err(error) = self.volumes.abort(id).await {
            warn!(volume = %id.0, %error, "cannot abort a volume");
        }
    }

    async fn end_volumes(&self, ids: &[VolumeId]) {
        join_all(ids.iter().map(|id| self.end_volume(id))).await;
    }

    /// Ends a volume that nobody uses any more.
    pub(super) async fn end_volume(&self, id: &VolumeId) {
        if let Err(error) = self.volumes.end(id, UPLOAD_DEADLINE).await {
            warn!(volume = %id.0, %error, "a volume did not end cleanly");
        }
    }
}

/// A name that was never used before, so that an id is free again while its last sandbox still ends.
fn new_name(id: &SandboxId) -> SandboxName {
    let mut random = [0; 5];
    getrandom::fill(&mut random).expect("the kernel always has random bytes after its start");
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let slug: String = id.as_str().chars().take(SLUG_LENGTH).map(safe).collect();
    SandboxName::new(format!("{slug}-{}", base32(&random))).expect("letters, digits and hyphens, at most 49")
}

fn check_options(options: &SandboxOptions) -> Result<(), ServiceError> {
    let unsupported = |what: &str| Err(ServiceError::NotSupported { what: what.to_owned() });
    match options {
        SandboxOptions { network: Some(mode), .. } if mode != "none" => {
            unsupported(&format!("network {mode:?} (only \"none\" is)"))
        }
        SandboxOptions { base: Some(base), .. } if base != "host" => {
            unsupported(&format!("base {base:?} (only \"host\" is)"))
        }
        SandboxOptions { sleep_after: Some(_), .. } => unsupported("sleepAfter"),
        SandboxOptions { persist: Some(_), .. } => unsupported("persist"),
        SandboxOptions { labels, .. } if labels.len() > MAX_LABELS => Err(sandkeep_api::InvalidInput::new(
            sandkeep_api::ErrorCode::ValidationFailed,
            format!("labels: at most {MAX_LABELS} are allowed"),
        )
        .into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_never_the_same() {
        for id in ["data-processor", "a b/ü", &"x".repeat(63), &"a2".repeat(64)] {
            let id = SandboxId::from_record((*id).to_owned());
            assert_ne!(new_name(&id), new_name(&id), "{id}");
        }
    }
}
