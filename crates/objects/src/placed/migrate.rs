//! Moves an embedded bucket elsewhere: copies, compares, catches up with what is written meanwhile, switches.
//!
//! Writes go on all the time. At the end they wait, at most [`CLOSE_LIMIT`] at a time, until the last changes are
//! copied; then they go to the other place. Nothing before the switch touches the embedded bucket.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::OwnedRwLockWriteGuard;

use super::gates::Watch;
use super::journal::{Journal, fingerprint};
use super::object;
use super::pages::Pages;
use super::service::Inner;
use super::status::{MigrationError, MigrationOptions, MigrationOutcome, MigrationPhase, MigrationStatus};
use crate::{
    BucketName, DirectoryService, Error, ListedObject, NestedService, ObjectKey, ObjectService, ObjectStore,
    UploadInfo,
};

type Result<T> = std::result::Result<T, MigrationError>;

/// Objects copied at once.
const PARALLEL: usize = 8;
/// Changes that may be left when writes are held: their number bounds how long.
const FEW: usize = 64;
/// Rounds of catching up before the writers are too many.
const ROUNDS: usize = 1000;
/// How long writes are held while those in progress end; clients wait longer than this.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// Attempts to find a moment without long writes and uploads, and the pause between them.
const CLOSINGS: usize = 12;
const PAUSE: Duration = Duration::from_secs(5);

/// A move that can begin.
pub(super) struct Plan {
    inner: Arc<Inner>,
    target: Arc<NestedService>,
    bucket: BucketName,
    options: MigrationOptions,
    journal: Journal,
    watch: Watch,
    status: Arc<Mutex<MigrationStatus>>,
}

impl Plan {
    /// Looks whether it can be.
    pub(super) async fn make(
        inner: &Arc<Inner>,
        target: Arc<NestedService>,
        bucket: &BucketName,
        options: MigrationOptions,
    ) -> Result<Self> {
        let usage = inner.embedded.usage(bucket).await?;
        let place = target.place_of(bucket);
        let running = || MigrationError::Running { bucket: bucket.as_str().to_owned() };
        let watch = inner.gates.watch(bucket).ok_or_else(running)?;
        let journal = Journal::open(&inner.journals, bucket, &target.unchecked(bucket).location()).await?;
        // What lies there is an earlier run's, if there was one.
        let free = journal.resumed || is_free(&target, bucket).await?;
        if !free {
            journal.delete().await;
            return Err(MigrationError::Occupied { place });
        }
        let status = MigrationStatus {
            phase: MigrationPhase::Copying,
            target: place,
            total_objects: usage.objects,
            total_bytes: usage.bytes,
            done_objects: 0,
            done_bytes: 0,
            found_objects: 0,
            changed_objects: 0,
            outcome: None,
        };
        let (inner, bucket, status) = (Arc::clone(inner), bucket.clone(), Arc::new(Mutex::new(status)));
        Ok(Self { inner, target, bucket, options, journal, watch, status })
    }

    pub(super) fn status(&self) -> Arc<Mutex<MigrationStatus>> {
        Arc::clone(&self.status)
    }

    /// To its end, which the status tells.
    pub(super) async fn run(self) {
        let (status, bucket) = (self.status(), self.bucket.clone());
        let outcome = match self.moved().await {
            Ok(kept) => {
                tracing::info!(%bucket, "a bucket was moved to the other store");
                MigrationOutcome::Switched { kept: kept.map(|name| name.as_str().to_owned()) }
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(%bucket, error = reason, "a bucket was not moved");
                MigrationOutcome::Failed { reason }
            }
        };
        let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
        status.phase = MigrationPhase::Ended;
        status.outcome.get_or_insert(outcome);
    }

    fn tell(&self) -> MutexGuard<'_, MigrationStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn embedded(&self) -> Arc<dyn ObjectStore> {
        self.inner.embedded.bucket(&self.bucket)
    }

    async fn moved(self) -> Result<Option<BucketName>> {
        self.copy_all().await?;
        self.tell().phase = MigrationPhase::Comparing;
        self.compare().await?;
        self.catch_up().await?;
        let closed = self.close().await?;
        let (status, inner, delete) = (self.status(), Arc::clone(&self.inner), self.options.delete_source);
        // From here on it ends one way, whoever cancels: half a switch must not be.
        let switched = tokio::spawn(self.switch(closed));
        let kept = switched.await.map_err(|error| MigrationError::Store(failed(error)))??;
        if !delete {
            return Ok(Some(kept));
        }
        status.lock().unwrap_or_else(PoisonError::into_inner).phase = MigrationPhase::Deleting;
        match delete_bucket(&inner, &kept).await {
            Ok(()) => Ok(None),
            Err(error) => {
                tracing::warn!(bucket = %kept, %error, "the embedded bucket of a move stays");
                Ok(Some(kept))
            }
        }
    }

    /// Every object that no earlier run copied as it is now.
    async fn copy_all(&self) -> Result<()> {
        let mut pages = Pages::new(self.embedded());
        while let Some(page) = pages.next_page().await? {
            let keys = page.iter().map(|object| object.key.clone()).collect();
            let known = self.journal.find(keys).await?;
            let (found, missing): (Vec<_>, Vec<_>) =
                page.into_iter().zip(known).partition(|(object, copied)| {
                    copied.as_ref().is_some_and(|copied| fingerprint_of(object) == copied.fingerprint)
                });
            let bytes: u64 = found.iter().map(|(object, _)| object.size).sum();
            {
                let mut status = self.tell();
                status.found_objects += found.len() as u64;
                status.done_objects += found.len() as u64;
                status.done_bytes += bytes;
            }
            let copies = missing.into_iter().map(|(object, _)| async move {
                self.copy(object.key).await?;
                let mut status = self.tell();
                status.done_objects += 1;
                status.done_bytes += object.size;
                Ok::<_, MigrationError>(())
            });
            stream::iter(copies).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        }
        Ok(())
    }

    async fn copy(&self, key: ObjectKey) -> Result<()> {
        let target = self.target.unchecked(&self.bucket);
        match object::copy(&*self.embedded(), &*target, &key).await? {
            Some(copied) => self.journal.add(key, copied).await?,
            None => self.journal.remove(key).await?,
        }
        Ok(())
    }

    /// Puts on the list of changes what is not the same on both sides, by their listings and the journal.
    async fn compare(&self) -> Result<()> {
        let mut here = Pages::new(self.embedded());
        let mut there = Pages::new(self.target.unchecked(&self.bucket));
        while let Some(page) = here.next_page().await? {
            let keys: Vec<ObjectKey> = page.iter().map(|object| object.key.clone()).collect();
            let known = self.journal.find(keys).await?;
            for (object, copied) in page.into_iter().zip(known) {
                while let Some(extra) = there.next_before(&object.key).await? {
                    self.watch.add([extra.key]);
                }
                let twin = there.next_if(&object.key).await?;
                let same = copied.zip(twin).is_some_and(|(copied, twin)| {
                    copied.fingerprint == fingerprint_of(&object)
                        && copied.etag == twin.etag
                        && twin.size == object.size
                });
                if !same {
                    self.watch.add([object.key]);
                }
            }
        }
        while let Some(extra) = there.next().await? {
            self.watch.add([extra.key]);
        }
        Ok(())
    }

    async fn copy_changes(&self, keys: BTreeSet<ObjectKey>) -> Result<()> {
        let copies = keys.into_iter().map(|key| async move {
            self.copy(key).await?;
            self.tell().changed_objects += 1;
            Ok(())
        });
        stream::iter(copies).buffer_unordered(PARALLEL).try_collect().await
    }

    /// Copies what was changed meanwhile until few changes are left.
    async fn catch_up(&self) -> Result<()> {
        for _ in 0..ROUNDS {
            self.copy_changes(self.watch.take()).await?;
            if self.watch.pending() <= FEW {
                return Ok(());
            }
        }
        Err(MigrationError::TooBusy)
    }

    /// Holds writes at a moment when none lasts long and no upload is in progress.
    async fn close(&self) -> Result<OwnedRwLockWriteGuard<()>> {
        self.tell().phase = MigrationPhase::Waiting;
        let mut why = MigrationError::TooBusy;
        for attempt in 1..=CLOSINGS {
            if let Ok(closed) = tokio::time::timeout(CLOSE_LIMIT, self.watch.close()).await {
                match self.uploads().await? {
                    None => return Ok(closed),
                    Some(in_progress) => why = in_progress,
                }
            }
            if attempt < CLOSINGS {
                tokio::time::sleep(PAUSE).await;
                self.catch_up().await?;
            }
        }
        Err(why)
    }

    /// What keeps the bucket from being switched over.
    async fn uploads(&self) -> Result<Option<MigrationError>> {
        let store = self.embedded();
        let uploads: Vec<UploadInfo> = store.list_uploads(b"").await?;
        let Some(first) = uploads.first() else { return Ok(None) };
        if !self.options.abort_uploads {
            let (count, key) = (uploads.len(), first.upload.key.display());
            return Ok(Some(MigrationError::UploadsInProgress { count, key }));
        }
        for info in &uploads {
            store.abort_upload(&info.upload).await?;
        }
        Ok(None)
    }

    /// The last changes, and then the name. Gives the name of the embedded bucket from now on.
    async fn switch(self, closed: OwnedRwLockWriteGuard<()>) -> Result<BucketName> {
        {
            let mut status = self.tell();
            if status.outcome.is_some() {
                return Err(MigrationError::TooBusy);
            }
            status.phase = MigrationPhase::Switching;
        }
        let embedded = &self.inner.embedded;
        embedded.settle().await?;
        let changes = self.watch.take().into_iter().chain(self.watch.unsure()).collect();
        self.copy_changes(changes).await?;
        let info = embedded.head_bucket(&self.bucket).await?;
        let lifecycle = embedded.lifecycle(&self.bucket).await?;
        let cors = embedded.cors(&self.bucket).await?;
        self.target.adopt(&info, lifecycle, cors).await?;
        let kept = rename(embedded, &self.bucket).await?;
        self.inner.change_names(|names| {
            names.remove(&self.bucket);
            names.insert(kept.clone());
        });
        drop(closed);
        self.journal.delete().await;
        Ok(kept)
    }
}

/// Neither a bucket nor objects are where it would go.
async fn is_free(target: &NestedService, bucket: &BucketName) -> Result<bool> {
    match target.head_bucket(bucket).await {
        Err(Error::NoSuchBucket { .. }) => Ok(target.is_vacant(bucket).await?),
        Ok(_) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives the embedded bucket a name that says what it is.
async fn rename(embedded: &DirectoryService, bucket: &BucketName) -> Result<BucketName> {
    for number in 1.. {
        let suffix = if number == 1 { "-moved".to_owned() } else { format!("-moved-{number}") };
        let start: String = bucket.as_str().chars().take(63 - suffix.len()).collect();
        let name: BucketName = format!("{start}{suffix}").parse().map_err(Error::from)?;
        match embedded.rename_bucket(bucket, &name).await {
            Err(Error::BucketExists { .. }) => {}
            renamed => return Ok(renamed.map(|()| name)?),
        }
    }
    Err(MigrationError::TooBusy)
}

async fn delete_bucket(inner: &Inner, bucket: &BucketName) -> Result<()> {
    let store = inner.embedded.bucket(bucket);
    let mut pages = Pages::new(Arc::clone(&store));
    while let Some(page) = pages.next_page().await? {
        let keys: Vec<ObjectKey> = page.into_iter().map(|object| object.key).collect();
        for outcome in store.delete_many(&keys).await? {
            outcome?;
        }
    }
    inner.embedded.delete_bucket(bucket).await?;
    inner.change_names(|names| {
        names.remove(bucket);
    });
    Ok(())
}

fn fingerprint_of(object: &ListedObject) -> [u8; 16] {
    let metadata = object.metadata.clone().unwrap_or_default();
    fingerprint(object.size, &object.etag, object.last_modified, &metadata)
}

fn failed(error: tokio::task::JoinError) -> Error {
    Error::Io { source: Arc::new(std::io::Error::other(error)) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let texts = std::iter::successors(Some(error), |error| error.source());
    texts.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
