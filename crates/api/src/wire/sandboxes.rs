//! Sandboxes themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MountInfo;

/// How a sandbox is to be. All fields may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SandboxOptions {
    /// For the caller's own use.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Bounds, at the start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
    /// `none`; other modes are not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `host`; other bases are not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Sandboxes do not sleep yet, so that true is what happens anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<bool>,
    /// False: commands without a session get a fresh shell each. True at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_default_session: Option<bool>,
    /// Not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep_after: Option<Value>,
    /// Not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persist: Option<Value>,
}

/// Bounds of a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ResourceLimits {
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Thousandths of a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
}

/// About a running sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxInfo {
    /// Its id.
    pub id: String,
    /// Pid 1 is alive.
    pub running: bool,
    /// When it was started.
    pub created_at: Timestamp,
    /// As given.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Buckets mounted in it.
    #[serde(default)]
    pub mounts: Vec<MountInfo>,
    /// Directories that show a backup.
    #[serde(default)]
    pub restores: Vec<RestoredDirectory>,
}

/// A directory that shows a backup, copy-on-write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredDirectory {
    /// Where.
    pub dir: String,
    /// Which backup.
    pub backup_id: String,
}

/// All sandboxes that run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxList {
    /// By id.
    pub sandboxes: Vec<SandboxInfo>,
}
