//! What a volume is, as it travels to its worker over an inherited descriptor.

use sandkeep_backups::{BackupId, CreateOptions, ImageSettings};
use sandkeep_bucketfs::BucketFsSettings;
use sandkeep_objects::{BucketName, S3Settings};
use serde::{Deserialize, Serialize};

/// A bucket and how to reach it. Holds credentials: never log it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreSpec {
    /// Server and account.
    pub s3: S3Settings,
    /// Bucket.
    pub bucket: BucketName,
}

/// A bucket to mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BucketVolume {
    /// Which bucket.
    pub store: StoreSpec,
    /// How it shows.
    pub settings: BucketFsSettings,
}

/// A backup to mount read-only, as the lower layer of an overlay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupVolume {
    /// Where backups are.
    pub store: StoreSpec,
    /// Which one.
    pub id: BackupId,
    /// How it is read.
    pub settings: ImageSettings,
}

/// A backup to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BackupJob {
    /// Where to.
    pub store: StoreSpec,
    /// First host id of the sandbox's block.
    pub id_base: u32,
    /// What.
    pub options: CreateOptions,
}

/// Why a volume could not be had. The text is fit for users; `code` lets the daemon choose its own error code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct VolumeError {
    /// What kind of failure.
    pub code: VolumeErrorCode,
    /// The chain of causes, joined.
    pub message: String,
    /// Expiry time of an expired backup, ISO 8601.
    #[serde(default)]
    pub expired_at: Option<String>,
}

/// Kinds of failure that the daemon tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeErrorCode {
    /// The bucket does not exist.
    NoSuchBucket,
    /// Credentials unknown, wrong or not sufficient.
    AccessDenied,
    /// The endpoint does not answer.
    Unreachable,
    /// No such backup.
    BackupNotFound,
    /// The backup expired.
    BackupExpired,
    /// Manifest or archive damaged.
    BackupDamaged,
    /// Cancelled.
    Cancelled,
    /// Anything else.
    Failed,
}
