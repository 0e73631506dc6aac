//! A sandbox that is frozen while the files of a backup are taken, for a bounded time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sandkeep_sandboxes::{Frozen, Sandbox};
use tokio::task::AbortHandle;

use crate::volumes::FreezeSandbox;

/// How long processes may take to stop. One that waits for a file of a mount does not stop before it has it.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest time for which a sandbox stands still.
const MAX_FROZEN: Duration = Duration::from_secs(2);

/// Freezes one sandbox, and thaws it in any case.
pub(super) struct SandboxFreezer {
    sandbox: Sandbox,
    frozen: Arc<Mutex<Option<Frozen>>>,
    limit: Mutex<Option<AbortHandle>>,
}

impl SandboxFreezer {
    pub(super) fn new(sandbox: &Sandbox) -> Self {
        Self { sandbox: sandbox.clone(), frozen: Arc::default(), limit: Mutex::default() }
    }

    fn take(frozen: &Mutex<Option<Frozen>>) -> Option<Frozen> {
        frozen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl FreezeSandbox for SandboxFreezer {
    async fn freeze(&self) -> bool {
        let stopped = match self.sandbox.freeze(PATIENCE).await {
            Ok(stopped) => stopped,
            Err(error) => {
                tracing::info!(%error, "a sandbox is not frozen for its backup");
                None
            }
        };
        let Some(stopped) = stopped else { return false };
        *self.frozen.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopped);
        let frozen = Arc::clone(&self.frozen);
        let limit = tokio::spawn(async move {
            tokio::time::sleep(MAX_FROZEN).await;
            drop(Self::take(&frozen));
        });
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = Some(limit.abort_handle());
        true
    }

    async fn thaw(&self) -> bool {
        if let Some(limit) = self.limit.lock().unwrap_or_else(PoisonError::into_inner).take() {
            limit.abort();
        }
        Self::take(&self.frozen).is_some()
    }
}
