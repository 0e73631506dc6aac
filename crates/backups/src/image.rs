//! An archive in a bucket as a filesystem, read as it is needed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use sandkeep_objects::ObjectStore;
use serde::{Deserialize, Serialize};

use crate::{BackupId, Manifest, RestoreError};

/// Settings of an open image. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSettings {
    /// Prefix of all keys in the bucket: empty, or ends with `/`.
    pub key_prefix: String,
    /// Added to every owner stored: the first host id of the sandbox's block; 0 on the host.
    pub id_base: u32,
    /// Memory for decompressed blocks and fetched chunks.
    pub memory_budget: u64,
    /// Directory for fetched chunks; none: memory only.
    pub cache: Option<PathBuf>,
}

/// An open backup: implements [`sandkeep_vfs::FileSystem`], read-only.
#[derive(Debug)]
pub struct Image {}

impl Image {
    /// Checks manifest and expiry at `now`, then fetches the archive's superblock and all metadata tables.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        id: &BackupId,
        settings: ImageSettings,
        now: SystemTime,
    ) -> Result<Self, RestoreError> {
        todo!()
    }

    /// The backup's manifest.
    pub fn manifest(&self) -> &Manifest {
        todo!()
    }
}
