//! The buckets of both places as one service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::task::AbortHandle;

use super::gates::Gates;
use super::migrate;
use super::status::{MigrationError, MigrationOptions, MigrationOutcome, MigrationPhase, MigrationStatus};
use super::store::PlacedStore;
use crate::{
    BucketInfo, BucketName, CorsRule, DirectoryService, Error, Expired, LifecycleRule, NestedService,
    ObjectService, ObjectStore, Result, Usage,
};

/// Buckets of the embedded store, and of one elsewhere if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlacedService {
    inner: Arc<Inner>,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the embedded store.
    Embedded,
    /// In the store elsewhere.
    Elsewhere,
}

/// A bucket, where it is, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBucket {
    /// Name and creation.
    pub info: BucketInfo,
    /// Where.
    pub placement: Placement,
    /// How much.
    pub usage: Usage,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) embedded: DirectoryService,
    elsewhere: RwLock<Option<Arc<NestedService>>>,
    /// Names of embedded buckets. Only this process changes them, always through here.
    names: RwLock<BTreeSet<BucketName>>,
    pub(super) gates: Arc<Gates>,
    migrations: Mutex<BTreeMap<BucketName, Running>>,
    /// Journals of moves.
    pub(super) journals: PathBuf,
}

/// A move of a bucket that runs or has ended.
#[derive(Debug)]
struct Running {
    status: Arc<Mutex<MigrationStatus>>,
    task: Option<AbortHandle>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PlacedService {
    /// The buckets of `embedded`, whose directory also keeps the journals of moves. Nothing is elsewhere yet.
    pub async fn new(embedded: DirectoryService, directory: &Path) -> Result<Self> {
        let names = embedded.list_buckets().await?.into_iter().map(|bucket| bucket.name).collect();
        let inner = Inner {
            embedded,
            elsewhere: RwLock::default(),
            names: RwLock::new(names),
            gates: Arc::default(),
            migrations: Mutex::default(),
            journals: directory.join("migrations"),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where buckets are that are not embedded, from now on. A move to another place than this one ends.
    pub fn set_elsewhere(&self, elsewhere: Option<NestedService>) {
        for running in locked(&self.inner.migrations).values() {
            running.cancel();
        }
        *self.inner.elsewhere.write().unwrap_or_else(PoisonError::into_inner) = elsewhere.map(Arc::new);
    }

    /// Where a bucket of this name is, or would be made.
    pub fn placement(&self, name: &BucketName) -> Placement {
        self.inner.placement(name)
    }

    /// All buckets with what is in them, by name.
    pub async fn stored_buckets(&self) -> Result<Vec<StoredBucket>> {
        let mut stored = Vec::new();
        for info in self.list_buckets().await? {
            let placement = self.placement(&info.name);
            match self.usage(&info.name).await {
                Ok(usage) => stored.push(StoredBucket { info, placement, usage }),
                // Deleted meanwhile.
                Err(Error::NoSuchBucket { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(stored)
    }

    /// Runs the lifecycle rules of all buckets as of `now`; while a bucket is being moved, those of no embedded one.
    pub async fn expire(&self, now: SystemTime) -> Result<Expired> {
        let mut total = Expired::default();
        if !locked(&self.inner.migrations).values().any(Running::is_running) {
            total = self.inner.embedded.expire(now).await?;
        }
        if let Some(elsewhere) = self.inner.elsewhere() {
            let expired = elsewhere.expire(now).await?;
            total.objects += expired.objects;
            total.uploads += expired.uploads;
        }
        Ok(total)
    }

    /// Begins to move an embedded bucket elsewhere, on the current tokio runtime.
    pub async fn migrate(
        &self,
        bucket: &BucketName,
        options: MigrationOptions,
    ) -> std::result::Result<MigrationStatus, MigrationError> {
        if let Some(running) = locked(&self.inner.migrations).get(bucket)
            && running.is_running()
        {
            return Err(MigrationError::Running { bucket: bucket.as_str().to_owned() });
        }
        let elsewhere = self.inner.elsewhere().ok_or(MigrationError::NoTarget)?;
        if self.placement(bucket) == Placement::Elsewhere {
            elsewhere.head_bucket(bucket).await?;
            return Err(MigrationError::AlreadyThere { bucket: bucket.as_str().to_owned() });
        }
        let plan = migrate::Plan::make(&self.inner, elsewhere, bucket, options).await?;
        let status = plan.status();
        let first = locked(&status).clone();
        let task = tokio::spawn(plan.run()).abort_handle();
        let running = Running { status, task: Some(task) };
        locked(&self.inner.migrations).insert(bucket.clone(), running);
        Ok(first)
    }

    /// How far the last move of a bucket is, since this process began.
    pub fn migration(&self, bucket: &BucketName) -> Option<MigrationStatus> {
        locked(&self.inner.migrations).get(bucket).map(|running| locked(&running.status).clone())
    }

    /// Ends a move, unless the bucket is being switched over already.
    pub fn cancel_migration(&self, bucket: &BucketName) -> Option<MigrationStatus> {
        let migrations = locked(&self.inner.migrations);
        let running = migrations.get(bucket)?;
        running.cancel();
        Some(locked(&running.status).clone())
    }
}

impl Running {
    fn is_running(&self) -> bool {
        locked(&self.status).outcome.is_none()
    }

    fn cancel(&self) {
        let mut status = locked(&self.status);
        if status.outcome.is_none()
            && !matches!(status.phase, MigrationPhase::Switching | MigrationPhase::Deleting)
        {
            status.phase = MigrationPhase::Ended;
            status.outcome = Some(MigrationOutcome::Cancelled);
            if let Some(task) = &self.task {
                task.abort();
            }
        }
    }
}

impl Inner {
    pub(super) fn elsewhere(&self) -> Option<Arc<NestedService>> {
        self.elsewhere.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn placement(&self, name: &BucketName) -> Placement {
        let elsewhere = self.elsewhere.read().unwrap_or_else(PoisonError::into_inner).is_some();
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        if elsewhere && !names.contains(name) { Placement::Elsewhere } else { Placement::Embedded }
    }

    /// Who has a bucket of this name, or would.
    pub(super) fn service_of(&self, name: &BucketName) -> Arc<dyn ObjectService> {
        match (self.placement(name), self.elsewhere()) {
            (Placement::Elsewhere, Some(elsewhere)) => elsewhere,
            _ => Arc::new(self.embedded.clone()),
        }
    }

    pub(super) fn change_names(&self, change: impl FnOnce(&mut BTreeSet<BucketName>)) {
        change(&mut self.names.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn is_moving(&self, name: &BucketName) -> bool {
        locked(&self.migrations).get(name).is_some_and(Running::is_running)
    }
}

#[async_trait]
impl ObjectService for PlacedService {
    async fn create_bucket(&self, name: &BucketName) -> Result<()> {
        let inner = &self.inner;
        let writing = inner.gates.enter(name, Vec::new()).await;
        let elsewhere = inner.elsewhere();
        let created = match elsewhere {
            Some(elsewhere) if inner.placement(name) == Placement::Elsewhere => {
                elsewhere.create_bucket(name).await
            }
            _ => {
                let created = inner.embedded.create_bucket(name).await;
                if created.is_ok() {
                    inner.change_names(|names| {
                        names.insert(name.clone());
                    });
                }
                created
            }
        };
        writing.finish(created)
    }

    async fn head_bucket(&self, name: &BucketName) -> Result<BucketInfo> {
        self.inner.service_of(name).head_bucket(name).await
    }

    async fn delete_bucket(&self, name: &BucketName) -> Result<()> {
        if self.inner.is_moving(name) {
            return Err(Error::BucketBusy { bucket: name.as_str().to_owned() });
        }
        let writing = self.inner.gates.enter(name, Vec::new()).await;
        let deleted = self.inner.service_of(name).delete_bucket(name).await;
        if deleted.is_ok() {
            self.inner.change_names(|names| {
                names.remove(name);
            });
        }
        writing.finish(deleted)
    }

    async fn list_buckets(&self) -> Result<Vec<BucketInfo>> {
        let mut buckets = self.inner.embedded.list_buckets().await?;
        if let Some(elsewhere) = self.inner.elsewhere() {
            let there = elsewhere.list_buckets().await?;
            let visible = |info: &BucketInfo| self.inner.placement(&info.name) == Placement::Elsewhere;
            buckets.extend(there.into_iter().filter(visible));
            buckets.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Ok(buckets)
    }

    async fn usage(&self, bucket: &BucketName) -> Result<Usage> {
        self.inner.service_of(bucket).usage(bucket).await
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>> {
        self.inner.service_of(bucket).lifecycle(bucket).await
    }

    async fn set_lifecycle(&self, bucket: &BucketName, rules: Vec<LifecycleRule>) -> Result<()> {
        let writing = self.inner.gates.enter(bucket, Vec::new()).await;
        writing.finish(self.inner.service_of(bucket).set_lifecycle(bucket, rules).await)
    }

    async fn cors(&self, bucket: &BucketName) -> Result<Vec<CorsRule>> {
        self.inner.service_of(bucket).cors(bucket).await
    }

    async fn set_cors(&self, bucket: &BucketName, rules: Vec<CorsRule>) -> Result<()> {
        let writing = self.inner.gates.enter(bucket, Vec::new()).await;
        writing.finish(self.inner.service_of(bucket).set_cors(bucket, rules).await)
    }

    fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        Arc::new(PlacedStore::new(Arc::clone(&self.inner), name.clone()))
    }
}
