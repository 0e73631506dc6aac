//! Which sandboxes run, and which are being started or ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandkeep_api::SandboxId;
use tokio::sync::watch;

use super::Live;

/// All sandboxes by id.
#[derive(Debug, Default)]
pub(super) struct Registry {
    slots: Mutex<HashMap<SandboxId, Slot>>,
    closed: AtomicBool,
}

#[derive(Debug)]
enum Slot {
    /// Someone starts or ends it; the channel closes when that is over.
    Changing(watch::Receiver<()>),
    Live(Arc<Live>),
}

/// What [`Registry::claim`] found.
#[derive(Debug)]
pub(super) enum Claimed {
    /// It runs.
    Live(Arc<Live>),
    /// Someone else changes it.
    Changing(watch::Receiver<()>),
    /// It does not run, and the claimant may start it. What died by itself comes along, to be cleared away.
    Free(Claim, Option<Arc<Live>>),
}

/// The right to start or end a sandbox. Dropped unsettled, the id is free again.
#[derive(Debug)]
pub(super) struct Claim {
    registry: Arc<Registry>,
    id: SandboxId,
    _over: watch::Sender<()>,
}

impl Registry {
    fn slots(&self) -> MutexGuard<'_, HashMap<SandboxId, Slot>> {
        // Every change is one insertion or removal.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds a sandbox, or gives the right to start it.
    pub(super) fn claim(self: &Arc<Self>, id: &SandboxId) -> Claimed {
        let mut slots = self.slots();
        match slots.get(id) {
            Some(Slot::Changing(over)) => return Claimed::Changing(over.clone()),
            Some(Slot::Live(live)) if !live.is_over() => return Claimed::Live(Arc::clone(live)),
            Some(Slot::Live(_)) | None => {}
        }
        let (claim, slot) = self.new_claim(id);
        let dead = match slots.insert(id.clone(), slot) {
            Some(Slot::Live(dead)) => Some(dead),
            Some(Slot::Changing(_)) | None => None,
        };
        Claimed::Free(claim, dead)
    }

    /// Takes a sandbox out to end it. `Free` has it if it is there.
    pub(super) fn claim_existing(self: &Arc<Self>, id: &SandboxId) -> Option<Claimed> {
        let mut slots = self.slots();
        match slots.get(id)? {
            Slot::Changing(over) => Some(Claimed::Changing(over.clone())),
            Slot::Live(live) => {
                let live = Arc::clone(live);
                let (claim, slot) = self.new_claim(id);
                slots.insert(id.clone(), slot);
                Some(Claimed::Free(claim, Some(live)))
            }
        }
    }

    fn new_claim(self: &Arc<Self>, id: &SandboxId) -> (Claim, Slot) {
        let (over, waiting) = watch::channel(());
        (Claim { registry: Arc::clone(self), id: id.clone(), _over: over }, Slot::Changing(waiting))
    }

    /// Adds a sandbox that was found running.
    pub(super) fn adopt(&self, live: Arc<Live>) {
        self.slots().insert(live.id.clone(), Slot::Live(live));
    }

    /// A sandbox that runs.
    pub(super) fn find(&self, id: &SandboxId) -> Option<Arc<Live>> {
        match self.slots().get(id)? {
            Slot::Live(live) if !live.is_over() => Some(Arc::clone(live)),
            Slot::Live(_) | Slot::Changing(_) => None,
        }
    }

    /// All that run, by id.
    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        let live = |slot: &Slot| match slot {
            Slot::Live(live) => Some(Arc::clone(live)),
            Slot::Changing(_) => None,
        };
        let mut all: Vec<Arc<Live>> = self.slots().values().filter_map(live).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }

    /// Ids of all that run or change.
    pub(super) fn ids(&self) -> Vec<SandboxId> {
        self.slots().keys().cloned().collect()
    }

    /// No sandbox is started from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

impl Claim {
    /// The sandbox was started.
    pub(super) fn settle(self, live: Arc<Live>) {
        self.registry.slots().insert(self.id.clone(), Slot::Live(live));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut slots = self.registry.slots();
        if matches!(slots.get(&self.id), Some(Slot::Changing(_))) {
            slots.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_claims_and_the_others_wait_until_it_gives_up() {
        let registry = Arc::new(Registry::default());
        let id = SandboxId::from_sdk("a").expect("valid");
        let Claimed::Free(claim, None) = registry.claim(&id) else { panic!("the id is free") };
        let Claimed::Changing(mut over) = registry.claim(&id) else { panic!("it is claimed") };
        assert!(matches!(registry.claim_existing(&id), Some(Claimed::Changing(_))));
        assert!(registry.find(&id).is_none());
        drop(claim);
        over.changed().await.expect_err("the claim is over");
        assert!(registry.claim_existing(&id).is_none());
        assert!(matches!(registry.claim(&id), Claimed::Free(_, None)));
    }
}
