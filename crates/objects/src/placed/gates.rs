//! Who writes to a bucket, so that a move can notice every write and hold them at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::{BucketName, ObjectKey};

/// The gates of all buckets that are being written or moved.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<BTreeMap<BucketName, Arc<Gate>>>);

/// Shared by the writers of a bucket, alone with the move that ends.
#[derive(Debug, Default)]
struct Gate {
    lock: Arc<RwLock<()>>,
    changes: Mutex<Option<Changes>>,
}

/// Keys that were written while a move runs.
#[derive(Debug, Default)]
struct Changes {
    keys: BTreeSet<ObjectKey>,
    /// Of writes whose callers left before they ended: they may still happen.
    unsure: BTreeSet<ObjectKey>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one insertion or removal.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gates {
    fn gate(&self, bucket: &BucketName) -> Arc<Gate> {
        Arc::clone(locked(&self.0).entry(bucket.clone()).or_default())
    }

    /// Forgets the gate unless somebody uses it.
    fn leave(&self, bucket: &BucketName, gate: Arc<Gate>) {
        let mut gates = locked(&self.0);
        drop(gate);
        if gates.get(bucket).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(bucket);
        }
    }

    /// Waits while the bucket is being switched over. What is written must be looked up afterwards.
    pub(super) async fn enter(self: &Arc<Self>, bucket: &BucketName, keys: Vec<ObjectKey>) -> Writing {
        let gate = self.gate(bucket);
        let permit = Arc::clone(&gate.lock).read_owned().await;
        Writing {
            gates: Arc::clone(self),
            bucket: bucket.clone(),
            gate: Some(gate),
            keys,
            finished: false,
            _permit: permit,
        }
    }

    /// Notes every write from now on; none if the bucket is being moved already.
    pub(super) fn watch(self: &Arc<Self>, bucket: &BucketName) -> Option<Watch> {
        let gate = self.gate(bucket);
        let mut changes = locked(&gate.changes);
        if changes.is_some() {
            return None;
        }
        *changes = Some(Changes::default());
        drop(changes);
        Some(Watch { gates: Arc::clone(self), bucket: bucket.clone(), gate: Some(gate) })
    }
}

/// A write in progress.
#[derive(Debug)]
pub(super) struct Writing {
    gates: Arc<Gates>,
    bucket: BucketName,
    gate: Option<Arc<Gate>>,
    keys: Vec<ObjectKey>,
    finished: bool,
    _permit: OwnedRwLockReadGuard<()>,
}

impl Writing {
    /// The outcome is known.
    pub(super) fn finish<T>(mut self, outcome: T) -> T {
        self.finished = true;
        outcome
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        if let Some(changes) = &mut *locked(&gate.changes) {
            if !self.finished {
                changes.unsure.extend(self.keys.iter().cloned());
            }
            changes.keys.extend(self.keys.drain(..));
        }
        self.gates.leave(&self.bucket, gate);
    }
}

/// A move that notes what is written meanwhile. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Watch {
    gates: Arc<Gates>,
    bucket: BucketName,
    gate: Option<Arc<Gate>>,
}

impl Watch {
    fn gate(&self) -> &Gate {
        self.gate.as_ref().expect("it is taken when dropped only")
    }

    /// The keys written since the last call.
    pub(super) fn take(&self) -> BTreeSet<ObjectKey> {
        locked(&self.gate().changes)
            .as_mut()
            .map(|changes| std::mem::take(&mut changes.keys))
            .unwrap_or_default()
    }

    /// Adds keys to look at again.
    pub(super) fn add(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        if let Some(changes) = &mut *locked(&self.gate().changes) {
            changes.keys.extend(keys);
        }
    }

    pub(super) fn pending(&self) -> usize {
        locked(&self.gate().changes).as_ref().map_or(0, |changes| changes.keys.len())
    }

    /// Keys of writes that nobody waited for.
    pub(super) fn unsure(&self) -> BTreeSet<ObjectKey> {
        locked(&self.gate().changes).as_ref().map(|changes| changes.unsure.clone()).unwrap_or_default()
    }

    /// Waits for the writes in progress, and holds new ones until the guard is dropped.
    pub(super) async fn close(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate().lock).write_owned().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        *locked(&gate.changes) = None;
        self.gates.leave(&self.bucket, gate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket() -> BucketName {
        "b".parse().expect("a name")
    }

    fn key(text: &str) -> ObjectKey {
        text.parse().expect("a key")
    }

    #[tokio::test]
    async fn a_watch_sees_writes_that_began_before_it() {
        let gates = Arc::new(Gates::default());
        let before = gates.enter(&bucket(), vec![key("before")]).await;
        let watch = gates.watch(&bucket()).expect("the first");
        assert!(gates.watch(&bucket()).is_none());
        drop(gates.enter(&bucket(), vec![key("cancelled")]).await);
        before.finish(());
        assert_eq!(watch.take().into_iter().collect::<Vec<_>>(), [key("before"), key("cancelled")]);
        assert_eq!(watch.unsure().into_iter().collect::<Vec<_>>(), [key("cancelled")]);
        assert_eq!(watch.pending(), 0);
        drop(watch);
        assert!(gates.watch(&bucket()).is_some());
        assert!(locked(&gates.0).is_empty());
    }

    #[tokio::test]
    async fn a_closed_gate_holds_writes_until_it_opens() {
        let gates = Arc::new(Gates::default());
        let watch = gates.watch(&bucket()).expect("the first");
        let writing = gates.enter(&bucket(), vec![key("k")]).await;
        let mut closing = std::pin::pin!(watch.close());
        assert!(futures::poll!(&mut closing).is_pending());
        writing.finish(());
        let closed = closing.await;
        assert_eq!(watch.pending(), 1);
        let name = bucket();
        let mut next = std::pin::pin!(gates.enter(&name, Vec::new()));
        assert!(futures::poll!(&mut next).is_pending());
        drop(closed);
        next.await.finish(());
    }
}
