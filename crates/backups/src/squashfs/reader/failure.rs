//! Why a parse of an archive stopped.

use std::ops::Range;

/// A step of reading an archive that did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// These bytes of the archive have to be fetched; then the step can be tried again.
    #[error("bytes {range:?} are not at hand")]
    Missing {
        /// Offsets in the archive.
        range: Range<u64>,
    },
    /// The archive is not what a writer makes.
    #[error("{what}")]
    Damaged {
        /// Which check failed.
        what: &'static str,
    },
}

pub(crate) type Result<T> = std::result::Result<T, ReadError>;

/// A damaged archive, as a result.
pub(crate) fn damaged<T>(what: &'static str) -> Result<T> {
    Err(ReadError::Damaged { what })
}

/// Turns a false condition into a damaged archive.
pub(crate) fn check(holds: bool, what: &'static str) -> Result<()> {
    if holds { Ok(()) } else { damaged(what) }
}
