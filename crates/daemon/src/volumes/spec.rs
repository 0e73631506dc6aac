//! What a volume is, as it travels to its worker over an inherited descriptor.

use std::error::Error;

use sandkeep_backups::{BackupId, CreateError, CreateOptions, ExtractError, ImageSettings, RestoreError};
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
    /// Only say what would be left out.
    pub preview: bool,
    /// How the directory came about, if it is a restored one; its layer comes along as a descriptor.
    pub overlay: Option<OverlayJob>,
    /// Ask for the sandbox to be frozen while its files are taken.
    pub freeze: bool,
}

/// A restored directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OverlayJob {
    /// The backup below.
    pub backup: BackupId,
    /// Paths below the directory on which other things are mounted.
    pub mounts: Vec<String>,
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

impl VolumeError {
    /// A failure of no special kind.
    pub fn plain(message: impl Into<String>) -> Self {
        Self { code: VolumeErrorCode::Failed, message: message.into(), expired_at: None }
    }

    /// A failure of no special kind, with its causes.
    pub fn failed(what: &str, error: &dyn Error) -> Self {
        Self::plain(format!("{what}: {}", chain(error)))
    }
}

/// The texts of an error and all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<&sandkeep_objects::Error> for VolumeError {
    fn from(error: &sandkeep_objects::Error) -> Self {
        use sandkeep_objects::Error as Store;
        let code = match error {
            Store::NoSuchBucket { .. } => VolumeErrorCode::NoSuchBucket,
            Store::InvalidCredentials { .. } | Store::AccessDenied => VolumeErrorCode::AccessDenied,
            Store::Unreachable { .. } => VolumeErrorCode::Unreachable,
            _ => VolumeErrorCode::Failed,
        };
        Self { code, message: chain(error), expired_at: None }
    }
}

impl From<sandkeep_bucketfs::Error> for VolumeError {
    fn from(error: sandkeep_bucketfs::Error) -> Self {
        match &error {
            sandkeep_bucketfs::Error::Store(store) => store.into(),
            _ => Self::plain(chain(&error)),
        }
    }
}

impl From<CreateError> for VolumeError {
    fn from(error: CreateError) -> Self {
        match &error {
            CreateError::Store(store) => store.into(),
            CreateError::Cancelled => {
                Self { code: VolumeErrorCode::Cancelled, ..Self::plain(error.to_string()) }
            }
            _ => Self::plain(chain(&error)),
        }
    }
}

impl From<ExtractError> for VolumeError {
    fn from(error: ExtractError) -> Self {
        let code = match error {
            ExtractError::Cancelled => VolumeErrorCode::Cancelled,
            ExtractError::Read { .. } => VolumeErrorCode::BackupDamaged,
            _ => VolumeErrorCode::Failed,
        };
        Self { code, ..Self::plain(chain(&error)) }
    }
}

impl From<RestoreError> for VolumeError {
    fn from(error: RestoreError) -> Self {
        let mut answer = Self::plain(chain(&error));
        match error {
            RestoreError::Store(store) => answer = (&store).into(),
            RestoreError::NotFound { .. } => answer.code = VolumeErrorCode::BackupNotFound,
            RestoreError::Expired { expired_at, .. } => {
                answer.code = VolumeErrorCode::BackupExpired;
                answer.expired_at = Some(expired_at);
            }
            RestoreError::DamagedManifest { .. } | RestoreError::DamagedArchive { .. } => {
                answer.code = VolumeErrorCode::BackupDamaged;
            }
            _ => {}
        }
        answer
    }
}
