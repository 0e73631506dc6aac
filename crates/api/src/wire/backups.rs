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
    /// Only say what would be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Read everything again, whatever is known from earlier backups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// Freeze the sandbox while its files are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<bool>,
}

/// How to compress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupCompression {
    /// `gzip`, `lz4`, `zstd`, `zstd:1` to `zstd:22`, or `none`.
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

/// A backup that was made: its handle, and what is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupMade {
    /// The handle.
    #[serde(flatten)]
    pub backup: DirectoryBackup,
    /// About it.
    pub info: BackupInfo,
}

/// Where to restore what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreRequest {
    /// Which backup, and where to.
    #[serde(flatten)]
    pub backup: DirectoryBackup,
    /// Write the files instead of showing the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eager: Option<bool>,
}

/// What a backup would hold and leave out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupPreview {
    /// Files, directories and others in it.
    pub entries: u64,
    /// Bytes of all files.
    pub content_bytes: u64,
    /// Names left out in all; a directory counts once.
    pub excluded: u64,
    /// Rules that leave something out.
    pub rules: Vec<LeftOutRule>,
    /// What they leave out: the first ten thousand.
    pub left_out: Vec<LeftOutName>,
}

/// What one rule left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutRule {
    /// `exclude` or `gitignore`.
    pub by: String,
    /// The pattern, as it was written.
    pub pattern: String,
    /// File and line of a pattern of git's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Names that it matched.
    pub names: u64,
    /// Files there and below.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// A name that would be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutName {
    /// Below the directory; a directory's ends with a slash.
    pub path: String,
    /// Why: index in the list of rules.
    pub rule: usize,
    /// Files there and below.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

/// Something that was not archived as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedName {
    /// Below the directory.
    pub path: String,
    /// `changed`, `vanished`, `mount`, `acl` or `owner`.
    pub reason: String,
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
    /// Bytes that the store copied from an earlier archive.
    pub copied_bytes: u64,
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
        /// About it.
        info: Box<BackupInfo>,
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
    /// What was left out, by rule; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutRule>,
    /// What was not archived as it was: the first thousand; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedName>,
    /// How many there were in all.
    #[serde(default)]
    pub skipped_count: u64,
    /// The backup whose archive it began with; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Bytes that the store copied from there; not in lists.
    #[serde(default)]
    pub copied_bytes: u64,
    /// `frozen` or `fuzzy`: whether something ran while the files were taken; not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
}

/// Which backups a list is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct BackupQuery {
    /// Of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of that directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Made at least so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// Made at most so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer_than: Option<u64>,
    /// At most so many, 1 to 1,000; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Goes on behind a page: its `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A backup whose archive was read and is what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupVerified {
    /// Which backup.
    pub id: String,
    /// Bytes read.
    pub bytes: u64,
    /// Compared with its hashes; else unpacked, because it has none.
    pub by_hashes: bool,
}

/// Which backups are to be deleted. Rules for keeping hold for each directory by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PruneRequest {
    /// Those that have expired.
    pub expired: bool,
    /// All but the newest so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u64>,
    /// All but the newest of each of the last so many days that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_daily: Option<u64>,
    /// All but the newest of each of the last so many weeks that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_weekly: Option<u64>,
    /// Only say which.
    pub dry_run: bool,
}

/// What was deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneResult {
    /// Which, and why.
    pub pruned: Vec<PrunedBackup>,
    /// Nothing was deleted.
    pub dry_run: bool,
}

/// A backup that was deleted, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedBackup {
    /// Which.
    pub id: String,
    /// `expired` or `superseded`.
    pub reason: String,
    /// Bytes of its archive.
    pub size_bytes: u64,
}

/// Where to copy a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyBackupRequest {
    /// An embedded bucket, or a binding.
    pub bucket: String,
    /// Start of the keys there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// All backups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupList {
    /// Newest first.
    pub backups: Vec<BackupInfo>,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
