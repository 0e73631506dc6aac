//! Creating a backup: scan, compress, upload, manifest last.
//!
//! Two halves run at once: a thread that scans, reads and compresses ([`archive`]), and the upload of the parts that
//! it makes ([`upload`]), with a channel of one part between them.

mod archive;
mod attributes;
mod cleanup;
mod content;
mod directory;
mod meter;
mod parts;
mod report;
mod scan;
mod spool;
mod upload;
mod xattrs;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_objects::{ETag, ObjectMetadata, ObjectStore, PutRequest, WriteConditions};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::archive::{Job, Written};
use self::cleanup::Cleanup;
use self::meter::Meter;
use self::parts::Part;
use self::upload::Target;
use crate::manifest::format_timestamp;
use crate::{BackupId, CreateError, Manifest};

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// zlib, level 6: what every squashfs reader knows.
    Gzip,
    /// lz4: least work.
    Lz4,
    /// zstd level 1: as cheap as lz4 and a third smaller.
    #[default]
    Zstd,
}

/// What to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateOptions {
    /// The new backup's id.
    pub id: BackupId,
    /// Recorded as creation time.
    pub now: SystemTime,
    /// Prefix of all keys in the bucket: empty, or ends with `/`.
    pub key_prefix: String,
    /// The directory's name as recorded in the manifest.
    pub dir: String,
    /// The caller's name for it.
    pub name: Option<String>,
    /// Seconds until restores are refused; positive.
    pub ttl: f64,
    /// Patterns as the caller gave them (contract.md section 7).
    pub excludes: Vec<String>,
    /// Codec of all blocks.
    pub compression: Compression,
    /// Threads that read and compress, at least 1.
    pub threads: usize,
    /// False: one PUT instead of a multipart upload.
    pub multipart: bool,
}

/// What to read.
#[derive(Debug)]
pub struct Source {
    /// The directory, opened with O_DIRECTORY. Mounts below it are not entered.
    pub directory: OwnedFd,
    /// Subtracted from every owner found: the first host id of the sandbox's block; 0 on the host.
    pub id_base: u32,
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Files, directories and others found by the scan.
    pub entries: u64,
    /// Bytes of all files found by the scan.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub read_bytes: u64,
    /// Bytes uploaded so far.
    pub uploaded_bytes: u64,
}

/// Receives progress, a few times a second.
pub trait ProgressSink: Send + Sync {
    /// Takes the newest state.
    fn report(&self, progress: Progress);
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
        let (written, etag) = self.archive(source).await?;
        let target = self.target();
        upload::verify(&target, written.bytes, &etag).await?;
        if self.cancel.is_cancelled() {
            return Err(CreateError::Cancelled);
        }
        let manifest = self.manifest(written, etag);
        self.publish(&manifest).await?;
        self.cleanup.keep();
        self.meter.report();
        Ok(manifest)
    }

    /// Makes and uploads the archive. When this returns, no thread works any more.
    async fn archive(&self, source: Source) -> Result<(Written, ETag), CreateError> {
        // Stops the thread also when this future is dropped.
        let stop = self.cancel.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let (parts, receiver) = mpsc::channel(1);
        let (parts, receiver) =
            if self.options.multipart { (Some(parts), Some(receiver)) } else { (None, None) };
        let job = Job {
            source,
            options: self.options.clone(),
            meter: Arc::clone(&self.meter),
            stop: stop.clone(),
            parts,
        };
        let thread = tokio::task::spawn_blocking(move || archive::write(job));
        match receiver {
            Some(receiver) => self.upload_while_made(thread, receiver, &stop).await,
            None => self.upload_when_made(thread).await,
        }
    }

    async fn upload_while_made(
        &self,
        thread: JoinHandle<Result<Written, CreateError>>,
        receiver: mpsc::Receiver<Part>,
        stop: &CancellationToken,
    ) -> Result<(Written, ETag), CreateError> {
        let target = self.target();
        let uploaded = self.unless_cancelled(upload::upload_parts(&target, receiver)).await;
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
        thread: JoinHandle<Result<Written, CreateError>>,
    ) -> Result<(Written, ETag), CreateError> {
        let mut written = join(thread).await?;
        let spool = written.spool.take().expect("without parts there is a temporary file");
        let target = self.target();
        let etag = self.unless_cancelled(upload::upload_spool(&target, spool, written.bytes)).await?;
        Ok((written, etag))
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

    fn target(&self) -> Target<'_> {
        Target {
            store: self.store.as_ref(),
            key: self.cleanup.archive(),
            meter: &self.meter,
            cleanup: &self.cleanup,
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
            excluded: written.report.excluded,
            archive_etag: Some(etag.0),
            skipped: written.report.skipped,
            skipped_count: written.report.skipped_count,
        }
    }

    /// Not cancelled half way: when it is written, the backup exists.
    async fn publish(&self, manifest: &Manifest) -> Result<(), CreateError> {
        let json = serde_json::to_vec(manifest).expect("a manifest has string keys and finite numbers");
        let metadata =
            ObjectMetadata { content_type: Some("application/json".to_owned()), ..ObjectMetadata::default() };
        let key = self.cleanup.manifest().clone();
        self.cleanup.manifest_may_exist();
        self.store
            .put(
                PutRequest { key, metadata, conditions: WriteConditions::None },
                bytes::Bytes::from(json).into(),
            )
            .await?;
        Ok(())
    }
}

/// The thread's result; its panic goes on here.
async fn join(thread: JoinHandle<Result<Written, CreateError>>) -> Result<Written, CreateError> {
    match thread.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down.
        Err(_) => Err(CreateError::Cancelled),
    }
}
