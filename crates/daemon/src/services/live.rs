//! A sandbox that runs, with what the daemon knows of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sandkeep_api::{RestoredDirectory, SandboxId, SandboxInfo, SessionChoice};
use sandkeep_sandboxes::Sandbox;
use tokio_util::sync::CancellationToken;

use crate::error::ServiceError;
use crate::grants::GrantsById;
use crate::state::{MountRecord, RestoreRecord, SandboxRecord};
use crate::volumes::VolumeId;

/// A running sandbox.
#[derive(Debug)]
pub(crate) struct Live {
    /// What its users call it.
    pub(crate) id: SandboxId,
    /// The sandbox.
    pub(crate) sandbox: Sandbox,
    /// When it was started.
    pub(crate) created_at: Timestamp,
    /// Mounts change one at a time.
    pub(crate) mounting: Queue,
    /// Backups and restores run one at a time.
    pub(crate) backing_up: Queue,
    /// Cancelled when the sandbox ends.
    lifetime: CancellationToken,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    labels: BTreeMap<String, String>,
    mounts: Vec<MountRecord>,
    restores: Vec<RestoreRecord>,
    /// Recorded apart, because they hold credentials.
    grants: GrantsById,
    granted: bool,
    /// Commands without a session get a fresh shell each.
    stateless: bool,
    /// Variables of the default session; none: an earlier daemon may have set some.
    variables: Option<BTreeMap<String, String>>,
}

/// Lets one through at a time, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Queue(tokio::sync::Mutex<()>);

impl Queue {
    /// Waits for the turn, which lasts until the guard is dropped.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.lock().await
    }
}

impl Live {
    /// A sandbox as it is recorded.
    pub(crate) fn new(sandbox: Sandbox, record: SandboxRecord) -> Self {
        let SandboxRecord { id, created_at, labels, mounts, restores, stateless, .. } = record;
        Self {
            id,
            sandbox,
            created_at,
            mounting: Queue::default(),
            backing_up: Queue::default(),
            lifetime: CancellationToken::new(),
            inner: Mutex::new(Inner { labels, mounts, restores, stateless, ..Inner::default() }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is one assignment, so a panic in between leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a future unless the sandbox ends before.
    pub(crate) async fn during<T>(
        &self,
        work: impl Future<Output = Result<T, ServiceError>>,
    ) -> Result<T, ServiceError> {
        tokio::select! {
            biased;
            () = self.lifetime.cancelled() => Err(ServiceError::Interrupted),
            result = work => result,
        }
    }

    /// Interrupts everything that runs in it.
    pub(crate) fn interrupt(&self) {
        self.lifetime.cancel();
    }

    /// Whether it ends or has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.lifetime.is_cancelled() || !self.sandbox.is_running()
    }

    /// As it is to be recorded.
    pub(crate) fn record(&self) -> SandboxRecord {
        let inner = self.inner();
        SandboxRecord {
            id: self.id.clone(),
            name: self.sandbox.name().clone(),
            created_at: self.created_at,
            labels: inner.labels.clone(),
            mounts: inner.mounts.clone(),
            restores: inner.restores.clone(),
            stateless: inner.stateless,
        }
    }

    /// As users see it.
    pub(crate) fn info(&self) -> SandboxInfo {
        let record = self.record();
        let restored =
            |restore: RestoreRecord| RestoredDirectory { dir: restore.dir, backup_id: restore.backup_id };
        SandboxInfo {
            id: record.id.as_str().to_owned(),
            running: self.sandbox.is_running(),
            created_at: record.created_at,
            labels: record.labels,
            mounts: record.mounts.into_iter().map(|mount| mount.info).collect(),
            restores: record.restores.into_iter().map(restored).collect(),
        }
    }

    /// The session in which a command runs; none: a shell of its own.
    pub(crate) fn session(&self, choice: &SessionChoice) -> Option<String> {
        match choice {
            SessionChoice::Named(session) => Some(session.clone()),
            SessionChoice::Fresh => None,
            SessionChoice::Default => (!self.inner().stateless).then(|| self.default_session()),
        }
    }

    /// The session of calls that name none.
    pub(crate) fn default_session(&self) -> String {
        format!("sandbox-{}", self.id)
    }

    /// Whether commands without a session get a fresh shell each.
    pub(crate) fn set_stateless(&self, stateless: bool) {
        self.inner().stateless = stateless;
    }

    /// What was set for the whole sandbox, if that is known.
    pub(crate) fn variables(&self) -> Option<BTreeMap<String, String>> {
        self.inner().variables.clone()
    }

    /// Notes what is set for the whole sandbox.
    pub(crate) fn set_variables(&self, variables: BTreeMap<String, String>) {
        self.inner().variables = Some(variables);
    }

    /// Changes the labels.
    pub(crate) fn set_labels(&self, labels: BTreeMap<String, String>) {
        self.inner().labels = labels;
    }

    /// All mounts, by path.
    pub(crate) fn mounts(&self) -> Vec<MountRecord> {
        self.inner().mounts.clone()
    }

    /// All restores, by directory.
    pub(crate) fn restores(&self) -> Vec<RestoreRecord> {
        self.inner().restores.clone()
    }

    /// Everything that serves it.
    pub(crate) fn volumes(&self) -> Vec<VolumeId> {
        let inner = self.inner();
        let mounts = inner.mounts.iter().map(|mount| mount.volume.clone());
        mounts.chain(inner.restores.iter().filter_map(|restore| restore.volume.clone())).collect()
    }

    /// What it may reach at `s3.internal`.
    pub(crate) fn grants(&self) -> GrantsById {
        self.inner().grants.clone()
    }

    /// Changes what it may reach.
    pub(crate) fn change_grants(&self, change: impl FnOnce(&mut GrantsById)) {
        let mut inner = self.inner();
        inner.granted = true;
        change(&mut inner.grants);
    }

    /// Whether there ever was something to reach, so that something may listen for it.
    pub(crate) fn was_granted(&self) -> bool {
        self.inner().granted
    }

    /// Adds a mount.
    pub(crate) fn add_mount(&self, record: MountRecord) {
        let mut inner = self.inner();
        inner.mounts.push(record);
        inner.mounts.sort_by(|one, other| one.info.mount_path.cmp(&other.info.mount_path));
    }

    /// Forgets a mount.
    pub(crate) fn remove_mount(&self, path: &str) {
        self.inner().mounts.retain(|mount| mount.info.mount_path != path);
    }

    /// Adds a restore.
    pub(crate) fn add_restore(&self, record: RestoreRecord) {
        let mut inner = self.inner();
        inner.restores.push(record);
        inner.restores.sort_by(|one, other| one.dir.cmp(&other.dir));
    }

    /// Forgets a restore.
    pub(crate) fn remove_restore(&self, overlay: &str) {
        self.inner().restores.retain(|restore| restore.overlay != overlay);
    }
}
