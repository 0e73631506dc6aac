//! `meta.json`: what is known of a backup without reading its archive.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use sandkeep_objects::ObjectKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names a backup; its objects are `backups/{id}/data.sqsh` and `backups/{id}/meta.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(String);

impl BackupId {
    /// From a random UUID.
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid.hyphenated().to_string())
    }

    /// The id as given, any letter case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Key of the archive.
    pub fn archive_key(&self, prefix: &str) -> ObjectKey {
        ObjectKey::new(format!("{prefix}backups/{}/data.sqsh", self.0)).expect("short and not empty")
    }

    /// Key of the manifest.
    pub fn manifest_key(&self, prefix: &str) -> ObjectKey {
        ObjectKey::new(format!("{prefix}backups/{}/meta.json", self.0)).expect("short and not empty")
    }
}

impl FromStr for BackupId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that was not archived, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Path below the directory, lossy.
    pub path: String,
    /// `changed`, `vanished`, `mount`, ...
    pub reason: String,
}

/// The content of `meta.json`: the seeds' fields first, then ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Which backup.
    pub id: BackupId,
    /// The directory as the caller named it.
    pub dir: String,
    /// The caller's name for it.
    pub name: Option<String>,
    /// Bytes of the archive.
    pub size_bytes: u64,
    /// Seconds from creation until a restore is refused.
    pub ttl: f64,
    /// When; with milliseconds and `Z`.
    pub created_at: String,
    /// Files, directories and others in the archive.
    #[serde(default)]
    pub entries: u64,
    /// Bytes of all files before compression.
    #[serde(default)]
    pub content_bytes: u64,
    /// Files and directories left out by `excludes`.
    #[serde(default)]
    pub excluded: u64,
    /// ETag of the archive, pinned by restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_etag: Option<String>,
    /// What changed or vanished while it was read, or was a mount point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

impl Manifest {
    /// When a restore starts to be refused: creation plus ttl. None if `createdAt` is unreadable.
    pub fn expires_at(&self) -> Option<Timestamp> {
        todo!("and `restorable_at(now)` by conformance/ttl.json")
    }
}
