//! Backups of directories.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ErrorBody;

/// Options of `createBackup`, as the client sends them. The server checks the JSON itself
/// ([`crate::checks::backup_options`]), because the contract prescribes the order and the texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupRequest {
    /// Which directory.
    pub dir: String,
    /// The caller's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds until restores are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<f64>,
    /// Leave out what git ignores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitignore: Option<bool>,
    /// Leave out what matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excludes: Vec<String>,
    /// How to compress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<BackupCompression>,
    /// Upload in parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multipart: Option<bool>,
    /// Use the binding's bucket directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_bucket: Option<bool>,
}

/// How to compress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupCompression {
    /// `gzip`, `lz4` or `zstd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// At least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
}

/// A backup's handle: plain JSON that may be kept anywhere and used from any sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectoryBackup {
    /// Which backup.
    pub id: String,
    /// Where it was, and where a restore goes.
    pub dir: String,
    /// It was made through the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_bucket: Option<bool>,
}

/// A restore that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreResult {
    /// Always true.
    pub success: bool,
    /// Where.
    pub dir: String,
    /// Which backup.
    pub id: String,
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupProgress {
    /// Files, directories and others found.
    pub entries: u64,
    /// Bytes of all files found.
    pub total_bytes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes uploaded.
    pub uploaded_bytes: u64,
}

/// What a streamed backup says, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum BackupEvent {
    /// Somewhat further.
    Progress(BackupProgress),
    /// Done; nothing follows.
    Complete {
        /// The handle.
        backup: DirectoryBackup,
    },
    /// Failed; nothing follows, nothing is left.
    Error {
        /// Why.
        error: ErrorBody,
    },
}

/// What is known of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupInfo {
    /// Which backup.
    pub id: String,
    /// The directory it was made of.
    pub dir: String,
    /// The caller's name for it.
    pub name: Option<String>,
    /// Bytes of the archive.
    pub size_bytes: u64,
    /// Seconds.
    pub ttl: f64,
    /// When it was made, as its manifest says.
    pub created_at: String,
    /// When restores start to be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Files, directories and others in it.
    #[serde(default)]
    pub entries: u64,
    /// Bytes of all files before compression.
    #[serde(default)]
    pub content_bytes: u64,
    /// Files and directories that were left out.
    #[serde(default)]
    pub excluded: u64,
}

/// All backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupList {
    /// Newest first.
    pub backups: Vec<BackupInfo>,
}
