//! Rules by which a bucket lets go of what is old.

use serde::{Deserialize, Serialize};

/// One rule of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleRule {
    /// What a person calls it.
    pub id: String,
    /// Which keys; empty: all.
    pub prefix: String,
    /// Whether the prefix was said in the old way, beside the filter rather than in it: it is told as it was said.
    pub plain_prefix: bool,
    /// Whether it is in force.
    pub enabled: bool,
    /// Objects go this many days after they were written.
    pub expire_after_days: Option<u32>,
    /// Unfinished uploads go this many days after they were started.
    pub abort_uploads_after_days: Option<u32>,
}

/// What a run of all rules let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Objects.
    pub objects: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}
