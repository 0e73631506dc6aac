//! Creating a backup: scan, compress, upload, manifest last.
//!
//! Two halves run at once: a thread that scans, reads and compresses ([`archive`]), and the upload of the parts that
//! it makes ([`upload`]), with a channel of one part between them.

mod archive;
mod attributes;
mod base;
mod cleanup;
mod compression;
mod content;
mod directory;
mod ignored;
mod known;
mod lower;
mod meter;
mod parts;
mod previous;
mod report;
mod request;
mod scan;
mod snapshot;
mod spool;
mod upload;
mod xattrs;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use sandkeep_objects::{
    Conditions, CopySource, ETag, ObjectMetadata, ObjectStore, PutRequest, WriteConditions,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::base::fetch;
pub use self::compression::{Compression, ZstdLevel};
pub(crate) use self::directory::SourceDirectory;
pub use self::request::{CreateOptions, Freezer, Overlay, Preview, Progress, ProgressSink, Source};

use self::archive::{Job, Written};
use self::cleanup::Cleanup;
use self::known::Known;
use self::meter::Meter;
use self::parts::Part;
use self::upload::Target;
use crate::catalogue::{Summary, put_entry};
use crate::manifest::{MANIFEST_VERSION, format_timestamp};
use crate::{CreateError, Manifest};

/// Says what a backup with these options would hold and leave out. Uploads nothing.
pub async fn preview(
    store: Arc<dyn ObjectStore>,
    source: Source,
    options: CreateOptions,
    cancel: CancellationToken,
) -> Result<Preview, CreateError> {
    let stop = cancel.child_token();
    let _stop_on_drop = stop.clone().drop_guard();
    let meter = Arc::new(Meter::new(Arc::new(Silent)));
    let source = Arc::new(Source { overlay: None, freezer: None, ..source });
    let runtime = tokio::runtime::Handle::current();
    let job = Job { source, options, meter, stop, parts: None, known: None, store, runtime };
    let (tree, mut report) = join(tokio::task::spawn_blocking(move || archive::preview(&job))).await?;
    let (entries, content_bytes) = archive::totals(&tree);
    let rules = report.left_out().to_vec();
    let excluded = rules.iter().map(|rule| rule.names).sum();
    Ok(Preview { entries, content_bytes, rules, left_out: report.take_listed(), excluded })
}

/// Tells nobody.
struct Silent;

impl ProgressSink for Silent {
    fn report(&self, _: Progress) {}
}

/// Archives a directory into the bucket. On any error nothing is left in the bucket.
pub async fn create(
    store: Arc<dyn ObjectStore>,
    source: Source,
    options: CreateOptions,
    progress: Arc<dyn ProgressSink>,
    cancel: CancellationToken,
) -> Result<Manifest, CreateError> {
    let cleanup = Cleanup::new(
        Arc::clone(&store),
        options.id.archive_key(&options.key_prefix),
        options.id.manifest_key(&options.key_prefix),
    );
    let backup = Backup { store, options, meter: Arc::new(Meter::new(progress)), cleanup, cancel };
    let result = Box::pin(backup.make(source)).await;
    if result.is_err() {
        backup.cleanup.run().await;
    }
    result
}

/// A backup being made.
struct Backup {
    store: Arc<dyn ObjectStore>,
    options: CreateOptions,
    meter: Arc<Meter>,
    cleanup: Cleanup,
    cancel: CancellationToken,
}

impl Backup {
    async fn make(&self, source: Source) -> Result<Manifest, CreateError> {
        let known = self.unless_cancelled(Known::find(&self.store, &source, &self.options)).await?;
        let source = Arc::new(source);
        let base = known.as_ref().map(|known| CopySource {
            bucket: None,
            key: known.base.id.archive_key(&self.options.key_prefix),
            conditions: Conditions { if_match: Some(known.base.etag.clone()), ..Conditions::default() },
        });
        let cannot_copy = AtomicBool::new(false);
        let mut archived = self.archive(&source, known, base.as_ref(), &cannot_copy).await;
        if archived.is_err() && cannot_copy.load(Ordering::SeqCst) && !self.cancel.is_cancelled() {
            self.cleanup.run().await;
            self.meter.reset();
            archived = self.archive(&source, None, None, &cannot_copy).await;
        }
        let (mut written, etag) = archived?;
        upload::verify(&self.target(None, &cannot_copy), written.bytes, &etag).await?;
        if self.cancel.is_cancelled() {
            return Err(CreateError::Cancelled);
        }
        let record = self.options.record.clone().zip(written.draft.take());
        let next = written.base(&self.options, etag.clone());
        let manifest = self.manifest(written, etag);
        self.publish(&manifest).await?;
        self.cleanup.keep();
        self.meter.report();
        if let Some((path, draft)) = record {
            self.record(path, draft, next).await;
        }
        Ok(manifest)
    }

    /// Makes and uploads the archive. When this returns, no thread works any more.
    async fn archive(
        &self,
        source: &Arc<Source>,
        known: Option<Known>,
        base: Option<&CopySource>,
        cannot_copy: &AtomicBool,
    ) -> Result<(Written, ETag), CreateError> {
        // Stops the thread also when this future is dropped.
        let stop = self.cancel.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let (parts, receiver) = mpsc::channel(1);
        let (parts, receiver) =
            if self.options.multipart { (Some(parts), Some(receiver)) } else { (None, None) };
        let job = Job {
            source: Arc::clone(source),
            options: self.options.clone(),
            meter: Arc::clone(&self.meter),
            stop: stop.clone(),
            parts,
            known,
            store: Arc::clone(&self.store),
            runtime: tokio::runtime::Handle::current(),
        };
        let thread = tokio::task::spawn_blocking(move || archive::write(job));
        let target = self.target(base, cannot_copy);
        match receiver {
            Some(receiver) => self.upload_while_made(&target, thread, receiver, &stop).await,
            None => self.upload_when_made(&target, thread).await,
        }
    }

    async fn upload_while_made(
        &self,
        target: &Target<'_>,
        thread: JoinHandle<Result<Written, CreateError>>,
        receiver: mpsc::Receiver<Part>,
        stop: &CancellationToken,
    ) -> Result<(Written, ETag), CreateError> {
        let uploaded = self.unless_cancelled(upload::upload_parts(target, receiver)).await;
        if uploaded.is_err() {
            stop.cancel();
        }
        let written = join(thread).await;
        match uploaded? {
            Some(etag) => Ok((written?, etag)),
            None => Err(written.err().unwrap_or(CreateError::Cancelled)),
        }
    }

    async fn upload_when_made(
        &self,
        target: &Target<'_>,
        thread: JoinHandle<Result<Written, CreateError>>,
    ) -> Result<(Written, ETag), CreateError> {
        let mut written = join(thread).await?;
        let spool = written.spool.take().expect("without parts there is a temporary file");
        let etag = self.unless_cancelled(upload::upload_spool(target, spool, written.bytes)).await?;
        Ok((written, etag))
    }

    /// The backup is made; what cannot be left for the next one is no reason to say otherwise.
    async fn record(&self, path: PathBuf, draft: previous::Draft, base: base::Base) {
        let (location, prefix) = (self.store.location(), self.options.key_prefix.clone());
        let written = tokio::task::spawn_blocking(move || draft.write(&path, location, prefix, base)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the next backup will have to read every file");
        }
    }

    async fn unless_cancelled<T>(
        &self,
        work: impl Future<Output = sandkeep_objects::Result<T>>,
    ) -> Result<T, CreateError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(CreateError::Cancelled),
            done = work => Ok(done?),
        }
    }

    fn target<'a>(&'a self, base: Option<&'a CopySource>, cannot_copy: &'a AtomicBool) -> Target<'a> {
        Target {
            store: self.store.as_ref(),
            key: self.cleanup.archive(),
            meter: &self.meter,
            cleanup: &self.cleanup,
            base,
            cannot_copy,
        }
    }

    fn manifest(&self, written: Written, etag: ETag) -> Manifest {
        let options = &self.options;
        // Every time that a clock shows is in range; a time that is not is recorded as 1970.
        let created = Timestamp::try_from(options.now).unwrap_or_default();
        Manifest {
            id: options.id.clone(),
            dir: options.dir.clone(),
            name: options.name.clone(),
            size_bytes: written.bytes,
            ttl: options.ttl,
            created_at: format_timestamp(created),
            entries: written.entries,
            content_bytes: written.content_bytes,
            excluded: written.report.left_out().iter().map(|rule| rule.names).sum(),
            left_out: written.report.left_out().to_vec(),
            archive_etag: Some(etag.0),
            consistency: written.is_frozen.map(|frozen| if frozen { "frozen" } else { "fuzzy" }.to_owned()),
            base: written.begun.as_ref().map(|base| base.id.clone()),
            copied_bytes: self.meter.copied_bytes(),
            integrity: Some(written.integrity),
            version: MANIFEST_VERSION,
            skipped: written.report.skipped,
            skipped_count: written.report.skipped_count,
        }
    }

    /// Not cancelled half way: when it is written, the backup exists.
    async fn publish(&self, manifest: &Manifest) -> Result<(), CreateError> {
        self.cleanup.manifest_may_exist();
        let summary = Summary::of(manifest);
        let (published, ()) = futures::join!(
            publish_manifest(self.store.as_ref(), &self.options.key_prefix, manifest),
            put_entry(self.store.as_ref(), &self.options.key_prefix, &summary),
        );
        Ok(published?)
    }
}

/// Writes `meta.json`.
pub(crate) async fn publish_manifest(
    store: &dyn ObjectStore,
    key_prefix: &str,
    manifest: &Manifest,
) -> sandkeep_objects::Result<()> {
    let json = serde_json::to_vec(manifest).expect("a manifest has string keys and finite numbers");
    let metadata =
        ObjectMetadata { content_type: Some("application/json".to_owned()), ..ObjectMetadata::default() };
    let key = manifest.id.manifest_key(key_prefix);
    let request = PutRequest { key, metadata, conditions: WriteConditions::None };
    store.put(request, bytes::Bytes::from(json).into()).await.map(drop)
}

/// The thread's result; its panic goes on here.
async fn join<T>(thread: JoinHandle<Result<T, CreateError>>) -> Result<T, CreateError> {
    match thread.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(CreateError::Cancelled),
    }
}
