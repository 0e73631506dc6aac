//! What can be set of a mounted bucket.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who owns what carries no owner of its own, and how ids map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Added to every stored uid and gid on the way to the kernel and subtracted on the way back: the first host id of
    /// a sandbox's block. 0 on the host.
    pub id_base: u32,
    /// Owner of objects without metadata, before `id_base` is added.
    pub default_uid: u32,
    /// Group of objects without metadata, before `id_base` is added.
    pub default_gid: u32,
}

/// Settings of one mount. All sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketFsSettings {
    /// Only keys below this are shown, without it. Empty, or ends with `/`; no leading slash.
    pub prefix: String,
    /// Every change fails with EROFS.
    pub read_only: bool,
    /// Ids.
    pub owner: Owner,
    /// Mode of files without metadata.
    pub file_mode: u32,
    /// Mode of directories without metadata.
    pub directory_mode: u32,
    /// How long metadata may be stale towards changes by others.
    pub metadata_age: Duration,
    /// Size of the first parts of multipart uploads (at least 5 MiB on S3); files above it are uploaded in parts while
    /// written. From 8 MiB on, parts grow so that the largest object (5 TiB) fits in 10,000.
    pub part_size: u64,
    /// Memory for data on its way, half of it in each direction.
    pub memory_budget: u64,
    /// Uploads and downloads at once in the background; what a program waits for is never held up by this.
    pub transfers: usize,
    /// HEAD, LIST, COPY and DELETE requests at once.
    pub metadata_requests: usize,
    /// All parts of an upload but the last must have the same size, 16 MiB at least: files end at 10,000 of them. Also
    /// without this where the store says so (R2).
    pub equal_parts: bool,
    /// Where written data wait in unlinked files; none: the system's temporary directory.
    pub spool_directory: Option<PathBuf>,
    /// Where this host's mounts note their multipart uploads, so that the next mount of a bucket aborts what a killed
    /// one has left; none: nowhere. One directory for all mounts.
    pub uploads_directory: Option<PathBuf>,
    /// Most that one file being written keeps there. Of larger files, parts uploaded long ago are let go: they cannot
    /// be read back or changed before `close`.
    pub spool_limit: u64,
}

impl BucketFsSettings {
    /// Modes of files and of directories without metadata under a umask, as s3fs has them.
    pub fn with_umask(self, mask: u32) -> Self {
        Self { file_mode: 0o666 & !mask, directory_mode: 0o777 & !mask, ..self }
    }
}

impl Default for BucketFsSettings {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            read_only: false,
            owner: Owner::default(),
            file_mode: 0o644,
            directory_mode: 0o755,
            metadata_age: Duration::from_secs(1),
            part_size: 8 << 20,
            memory_budget: 64 << 20,
            transfers: 16,
            metadata_requests: 64,
            equal_parts: false,
            spool_directory: None,
            uploads_directory: None,
            spool_limit: 4 << 30,
        }
    }
}
