//! Buckets of the service: embedded ones, and those in the store that its settings name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Creates a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateBucket {
    /// Its name.
    pub name: String,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BucketPlace {
    /// In the embedded store.
    Embedded,
    /// In the store of `[buckets] default`.
    Remote,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketInfo {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where it is.
    pub place: BucketPlace,
    /// Objects in it.
    pub objects: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// There are more: counting ended at 100,000 objects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// All buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BucketList {
    /// By name.
    pub buckets: Vec<BucketInfo>,
}

/// The rules by which a bucket lets go of what is old. Replaces those before; an empty list: nothing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketLifecycle {
    /// At most 1,000.
    pub rules: Vec<BucketRule>,
}

/// One of them: what starts with a prefix goes after a number of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketRule {
    /// What a person calls it; at most 255 characters.
    pub id: String,
    /// Which keys; empty: all.
    #[serde(default)]
    pub prefix: String,
    /// Whether it is in force.
    #[serde(default = "in_force")]
    pub enabled: bool,
    /// Objects go this many days after they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after_days: Option<u32>,
    /// Unfinished multipart uploads go this many days after they were begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_incomplete_after_days: Option<u32>,
}

fn in_force() -> bool {
    true
}

/// Moves an embedded bucket to the store of `[buckets] default`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MigrationRequest {
    /// Deletes the embedded bucket after the switch; else it stays under another name.
    pub delete_source: bool,
    /// Aborts multipart uploads that are in progress at the switch, instead of waiting for them.
    pub abort_uploads: bool,
}

/// What a move does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationPhase {
    /// Objects are copied and compared.
    Copying,
    /// Listings are compared; what was written meanwhile is copied.
    Comparing,
    /// For a moment without long writes and uploads in progress.
    Waiting,
    /// Writes are held.
    Switching,
    /// The embedded bucket is being deleted.
    Deleting,
    /// It is over.
    Ended,
}

/// How a move came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MigrationResult {
    /// The bucket is in the other store.
    Switched,
    /// The bucket is where it was.
    Failed,
    /// The bucket is where it was, because somebody said so.
    Cancelled,
}

/// How far a move is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationInfo {
    /// The bucket.
    pub bucket: String,
    /// What it does.
    pub phase: MigrationPhase,
    /// Where to: `BUCKET/PREFIX`.
    pub target: String,
    /// Objects at the start.
    pub total_objects: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Objects that are there and were compared.
    pub done_objects: u64,
    /// Their bytes.
    pub done_bytes: u64,
    /// Those of them that an earlier run had copied.
    pub found_objects: u64,
    /// Objects copied again, or deleted, because they were changed meanwhile.
    pub changed_objects: u64,
    /// How it came out, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<MigrationResult>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The name of the embedded bucket that stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}
