//! Why a backup could not be made or restored, as far as a caller would act differently.

/// Text that is not a backup's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a backup id: a UUID with hyphens")]
pub struct InvalidBackupId {
    /// As given.
    pub text: String,
}

/// Text that is not a compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not one of gzip, lz4, zstd, zstd:1 to zstd:22, none")]
pub struct InvalidCompression {
    /// As given.
    pub text: String,
}

/// A backup was not made; nothing of it is left in the bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The store refused.
    #[error("cannot write to the backup bucket")]
    Store(#[from] sandkeep_objects::Error),
    /// Reading the directory failed.
    #[error("cannot read {path:?}")]
    Read {
        /// Path below the directory, lossy.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// git's list of tracked files is damaged, and so nobody can say what it ignores.
    #[error("cannot tell what git ignores: {path:?}: {what}")]
    GitIndex {
        /// The index.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A limit of the squashfs format.
    #[error("squashfs cannot hold {what} (limit {limit})")]
    FormatLimit {
        /// What there is too much of.
        what: &'static str,
        /// How much it takes.
        limit: u64,
    },
    /// The temporary file for an upload in one request cannot be written.
    #[error("cannot write a temporary file")]
    Temporary {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The codec failed.
    #[error("cannot compress")]
    Compress {
        /// The codec's error.
        #[source]
        source: std::io::Error,
    },
    /// The caller gave up.
    #[error("the backup was cancelled")]
    Cancelled,
}

/// A backup could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// `meta.json` or the archive is missing.
    #[error("backup {id} does not exist")]
    NotFound {
        /// Which.
        id: String,
    },
    /// Its time to live has elapsed.
    #[error("backup {id} expired at {expired_at}")]
    Expired {
        /// Which.
        id: String,
        /// When, ISO 8601.
        expired_at: String,
    },
    /// `meta.json` cannot be understood.
    #[error("meta.json of backup {id} is damaged: {what}")]
    DamagedManifest {
        /// Which.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The archive is not what a writer makes.
    #[error("the archive of backup {id} is damaged: {what}")]
    DamagedArchive {
        /// Which.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The store refused.
    #[error("cannot read from the backup bucket")]
    Store(#[from] sandkeep_objects::Error),
}

/// A backup was not extracted; what was written so far is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The archive is damaged, or the store is away.
    #[error("cannot read {path:?} of the archive: {errno}")]
    Read {
        /// Path in the archive, lossy.
        path: String,
        /// As the kernel would say it.
        errno: String,
    },
    /// The filesystem refused.
    #[error("cannot write {path:?}")]
    Write {
        /// Path below the directory, lossy.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The caller gave up.
    #[error("the restore was cancelled")]
    Cancelled,
}

impl ExtractError {
    pub(crate) fn write(path: &[u8], error: impl Into<std::io::Error>) -> Self {
        Self::Write { path: String::from_utf8_lossy(path).into_owned(), source: error.into() }
    }
}

impl From<crate::walk::Unreadable> for ExtractError {
    fn from(unreadable: crate::walk::Unreadable) -> Self {
        let path = String::from_utf8_lossy(&unreadable.path).into_owned();
        Self::Read { path, errno: unreadable.errno.to_string() }
    }
}

impl CreateError {
    /// Of a path below the directory.
    pub(crate) fn read(path: &[u8], error: impl Into<std::io::Error>) -> Self {
        Self::Read { path: String::from_utf8_lossy(path).into_owned(), source: error.into() }
    }

    /// A codec fails only for want of memory.
    pub(crate) fn compress(source: std::io::Error) -> Self {
        Self::Compress { source }
    }
}
