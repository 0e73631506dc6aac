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
    /// Memory for decompressed blocks and fetched chunks.
    pub memory_budget: u64,
    /// Directory for fetched chunks; none: memory only.
    pub cache: Option<PathBuf>,
}
