//! What can be set of an open image.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of an open image. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSettings {
    /// Prefix of all keys in the bucket: empty, or ends with `/`.
    pub key_prefix: String,
    /// Added to every owner stored: the first host id of the sandbox's block; 0 on the host.
    pub id_base: u32,
    /// Memory for decompressed blocks and fetched chunks. At least 16 MiB are used.
    pub memory_budget: u64,
    /// Directory for fetched chunks; none: memory only. They are in a file without a name, gone with the image.
    pub cache: Option<PathBuf>,
}

/// Less than this is no use: read-ahead would push out what was just read.
const MIN_BUDGET: u64 = 16 << 20;

/// How a memory budget is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Most that the stored metadata may take and still be kept whole.
    pub(super) pinned: u64,
    /// Unpacked metadata.
    pub(super) metadata: u64,
    /// Unpacked data.
    pub(super) blocks: u64,
    /// Fetched chunks.
    pub(super) chunks: u64,
}

impl Budget {
    pub(super) fn of(memory: u64) -> Self {
        let memory = memory.max(MIN_BUDGET);
        Self {
            pinned: memory * 3 / 8,
            metadata: memory / 16,
            blocks: memory * 3 / 16,
            chunks: memory * 3 / 8,
        }
    }
}
