//! Why something of an archive cannot be read.

use sandkeep_objects::Error as StoreError;
use sandkeep_vfs::Errno;

use crate::squashfs::reader::ReadError;
use crate::{BackupId, RestoreError};

/// A read that did not succeed. Failures are never cached: once the store is back, reads succeed again.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The archive is not what a writer makes.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// The store refused, or was away for too long.
    #[error("cannot read the archive")]
    Store(#[from] StoreError),
}

impl Failure {
    /// As the kernel sees it.
    pub(super) fn errno(&self) -> Errno {
        match self {
            Self::Damaged(what) => tracing::warn!(what, "an archive is damaged"),
            Self::Store(error) => tracing::warn!(%error, "an archive cannot be read"),
        }
        Errno::EIO
    }

    /// As whoever opens the image sees it.
    pub(super) fn restore_error(self, id: &BackupId) -> RestoreError {
        match self {
            Self::Damaged(what) => damaged(id, what),
            Self::Store(error) => refused(id, error),
        }
    }
}

/// What a parse found, apart from missing bytes.
impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { what } => Self::Damaged(what),
            ReadError::Missing { .. } => Self::Damaged("its tables lead out of it"),
        }
    }
}

/// A damaged archive.
pub(crate) fn damaged(id: &BackupId, what: impl Into<String>) -> RestoreError {
    RestoreError::DamagedArchive { id: id.to_string(), what: what.into() }
}

/// A store's answer to a request for a part of the backup.
pub(super) fn refused(id: &BackupId, error: StoreError) -> RestoreError {
    match error {
        StoreError::NoSuchKey { .. } => RestoreError::NotFound { id: id.to_string() },
        StoreError::InvalidRange { .. } => damaged(id, "it is empty"),
        StoreError::PreconditionFailed => damaged(id, "it was replaced while it was opened"),
        error => RestoreError::Store(error),
    }
}
