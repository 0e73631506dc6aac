//! What a backup is made of, how, and who watches.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Compression;
use crate::{BackupId, LeftOut, LeftOutPath};

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
    /// Leave out what git ignores.
    pub gitignore: bool,
    /// Codec of all blocks; none: that of the archive that the new one begins with, else the default.
    pub compression: Option<Compression>,
    /// Threads that read and compress, at least 1.
    pub threads: usize,
    /// False: one PUT instead of a multipart upload.
    pub multipart: bool,
    /// A file on this host that belongs to the directory: what the last backup of it left for this one, and what this
    /// one leaves for the next. None: every file is read every time.
    pub record: Option<PathBuf>,
}

/// What to read.
#[derive(Debug)]
pub struct Source {
    /// The directory, opened with O_DIRECTORY. Mounts below it are not entered.
    pub directory: OwnedFd,
    /// Subtracted from every owner found: the first host id of the sandbox's block; 0 on the host.
    pub id_base: u32,
    /// How the directory came about, if it is a restored one.
    pub overlay: Option<Overlay>,
    /// Stops those who write to the directory; none: they go on.
    pub freezer: Option<Arc<dyn Freezer>>,
}

/// Stops those who write to a directory for a moment. Its methods block.
pub trait Freezer: fmt::Debug + Send + Sync {
    /// Stops them; false if they do not stop.
    fn freeze(&self) -> bool;
    /// Lets them go on; answers whether they were stopped all the time.
    fn thaw(&self) -> bool;
}

/// A restored directory: an overlay over the archive of a backup.
#[derive(Debug)]
pub struct Overlay {
    /// The directory with the overlay's `upper` and `work`.
    pub layer: OwnedFd,
    /// The backup below.
    pub backup: BackupId,
    /// Paths below the directory on which other things are mounted.
    pub mounts: Vec<String>,
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
    /// Bytes that the store has copied from an earlier archive so far.
    #[serde(default)]
    pub copied_bytes: u64,
}

/// What a backup would hold and leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Names in the archive.
    pub entries: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// Rules that leave something out.
    pub rules: Vec<LeftOut>,
    /// What they leave out: the first ten thousand.
    pub left_out: Vec<LeftOutPath>,
    /// Names left out in all.
    pub excluded: u64,
}

/// Receives progress, a few times a second.
pub trait ProgressSink: Send + Sync {
    /// Takes the newest state.
    fn report(&self, progress: Progress);
}
