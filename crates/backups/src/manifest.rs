//! `meta.json`: what is known of a backup without reading its archive.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_objects::ObjectKey;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::integrity::Integrity;
use crate::selection::Rule;
use crate::{InvalidBackupId, RestoreError};

/// A restore is refused this long before the backup expires, so that it does not expire while in use.
const EXPIRY_MARGIN_MILLISECONDS: f64 = 60_000.0;

/// Of manifests that are written now.
pub(crate) const MANIFEST_VERSION: u32 = 1;

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
    type Err = InvalidBackupId;
    fn from_str(text: &str) -> Result<Self, InvalidBackupId> {
        /// `conformance/restore_handle.json` refuses UUIDs without hyphens, in braces and as URN.
        const HYPHENATED_BYTES: usize = 36;
        let valid = text.len() == HYPHENATED_BYTES && Uuid::try_parse(text).is_ok();
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidBackupId { text: text.to_owned() }) }
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something that was not archived as it was, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Path below the directory, lossy.
    pub path: String,
    /// `changed` or `vanished` while it was read; `mount`: a mount point, archived empty; `acl`: archived without
    /// its POSIX ACL; `owner`: it belongs to an id outside of the sandbox's block, archived as nobody's.
    pub reason: String,
}

/// What one rule left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// `exclude` or `gitignore`.
    pub by: String,
    /// The pattern, as it was written.
    pub pattern: String,
    /// File and line of a pattern of git's, from the top of its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Names that it matched; a directory counts once.
    pub names: u64,
    /// Everything but directories, at these names and below.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

impl LeftOut {
    /// Nothing yet.
    pub(crate) fn by(rule: &Rule) -> Self {
        match rule {
            Rule::Exclude(pattern) => {
                Self { by: "exclude".to_owned(), pattern: pattern.clone(), ..Self::default() }
            }
            Rule::Gitignore { pattern, source } => Self {
                by: "gitignore".to_owned(),
                pattern: pattern.clone(),
                source: Some(source.clone()),
                ..Self::default()
            },
        }
    }
}

/// Something that a dry run says would be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutPath {
    /// Path below the directory, lossy; a directory's ends with a slash.
    pub path: String,
    /// Why: index in the list of rules.
    pub rule: usize,
    /// Everything but directories, there and below.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
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
    /// Names left out by `excludes` and git's rules; a directory counts once with all it contains.
    #[serde(default)]
    pub excluded: u64,
    /// What was left out, by rule: the first thousand rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Form of this manifest: 0 where nobody said, 1 since archives are hashed.
    #[serde(default)]
    pub version: u32,
    /// The backup whose archive this one began with, if part of it was not read and sent again. Not needed any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BackupId>,
    /// Bytes that the store copied from there.
    #[serde(default)]
    pub copied_bytes: u64,
    /// `frozen`: nothing in the sandbox ran while the files were taken; `fuzzy`: things did; none: nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// Hashes of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Integrity>,
    /// ETag of the archive, pinned by restores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_etag: Option<String>,
    /// What changed or vanished while it was read, was a mount point, or lost an attribute: the first thousand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many there were in all.
    #[serde(default)]
    pub skipped_count: u64,
}

impl Manifest {
    /// Reads `meta.json` of backup `id`.
    pub fn parse(id: &BackupId, json: &[u8]) -> Result<Self, RestoreError> {
        let damaged = |what: String| RestoreError::DamagedManifest { id: id.to_string(), what };
        let manifest: Self = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        if !manifest.id.as_str().eq_ignore_ascii_case(id.as_str()) {
            return Err(damaged(format!("it names another backup, {}", manifest.id)));
        }
        Ok(manifest)
    }

    /// When a restore starts to be refused: creation plus ttl. None if `createdAt` is unreadable.
    pub fn expires_at(&self) -> Option<Timestamp> {
        expiry(&self.created_at, self.ttl)
    }

    /// Whether a restore is allowed: `now` plus a minute is not later than creation plus ttl.
    pub fn check_restorable(&self, now: SystemTime) -> Result<(), RestoreError> {
        let damaged =
            |what: &str| RestoreError::DamagedManifest { id: self.id.to_string(), what: what.into() };
        let expiry = expiry_milliseconds(&self.created_at, self.ttl)
            .ok_or_else(|| damaged("createdAt is not a date"))?;
        let now = Timestamp::try_from(now).map_err(|_| damaged("the clock is out of range"))?;
        if now.as_millisecond() as f64 + EXPIRY_MARGIN_MILLISECONDS <= expiry {
            return Ok(());
        }
        let expired_at = self.expires_at().map(format_timestamp).unwrap_or_default();
        Err(RestoreError::Expired { id: self.id.to_string(), expired_at })
    }
}

/// Creation plus ttl; none if the date is unreadable.
pub(crate) fn expiry(created_at: &str, ttl: f64) -> Option<Timestamp> {
    let milliseconds = expiry_milliseconds(created_at, ttl)?;
    // A ttl of centuries is a ttl.
    if milliseconds >= Timestamp::MAX.as_millisecond() as f64 {
        return Some(Timestamp::MAX);
    }
    Timestamp::from_millisecond(milliseconds as i64).ok()
}

/// In floating point like the seeds' own arithmetic: a ttl may be a fraction and has no upper limit.
fn expiry_milliseconds(created_at: &str, ttl: f64) -> Option<f64> {
    let created: Timestamp = created_at.parse().ok()?;
    Some(created.as_millisecond() as f64 + ttl * 1000.0)
}

/// ISO 8601 with milliseconds and `Z`, as JavaScript's `toISOString` writes it.
pub(crate) fn format_timestamp(time: Timestamp) -> String {
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn created(ttl: f64) -> Manifest {
        let json = serde_json::json!({
            "id": "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e", "dir": "/workspace", "name": null, "sizeBytes": 1,
            "ttl": ttl, "createdAt": "2024-05-06T07:08:09.120Z",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn restores_are_refused_a_minute_before_expiry() {
        let table = include_str!("../../../conformance/ttl.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let manifest = created(case["input"]["ttl"].as_f64().unwrap());
            let age = Duration::from_secs(case["input"]["ageSeconds"].as_u64().unwrap());
            let created: Timestamp = manifest.created_at.parse().unwrap();
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(created.as_millisecond() as u64) + age;
            assert_eq!(manifest.check_restorable(now).is_ok(), case["expect"].as_bool().unwrap(), "{case}");
        }
    }

    #[test]
    fn expiry_reads_like_javascript_and_never_overflows() {
        assert_eq!(format_timestamp(created(0.5).expires_at().unwrap()), "2024-05-06T07:08:09.620Z");
        assert_eq!(format_timestamp(created(60.0).expires_at().unwrap()), "2024-05-06T07:09:09.120Z");
        assert!(created(1e300).expires_at().is_some());
        assert!(created(1e300).check_restorable(SystemTime::now()).is_ok());
    }

    #[test]
    fn ids_are_hyphenated_uuids() {
        let table = include_str!("../../../conformance/restore_handle.json");
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let Some(id) = case["input"]["id"].as_str() else { continue };
            let valid_elsewhere = case["expect"]["ok"].is_object();
            let only_id_is_wrong = case["input"]["dir"] == "/workspace/p";
            if valid_elsewhere || only_id_is_wrong {
                assert_eq!(id.parse::<BackupId>().is_ok(), valid_elsewhere, "{case}");
            }
        }
    }
}
