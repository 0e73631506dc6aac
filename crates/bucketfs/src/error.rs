//! What can go wrong when a bucket is opened; operations on files speak errno.

/// Opening or flushing a bucket failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused.
    #[error("cannot use the bucket")]
    Store(#[from] sandkeep_objects::Error),
    /// The prefix is no possible start of keys.
    #[error("the prefix {prefix:?} is longer than a key can be")]
    PrefixTooLong {
        /// The prefix.
        prefix: String,
    },
    /// Dirty files were left at the deadline.
    #[error("{files} files could not be uploaded in time")]
    Unflushed {
        /// How many.
        files: usize,
    },
}
