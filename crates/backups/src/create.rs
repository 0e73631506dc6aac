//! Creating a backup: scan, compress, upload, manifest last.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_objects::ObjectStore;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

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
    todo!()
}
