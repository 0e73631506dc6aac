//! What a program sees when the store fails: the one place that maps store errors to errno.

use sandkeep_objects::{Error, KeyError, ObjectKey};
use sandkeep_vfs::Errno;

/// Result of an operation on files.
pub(crate) type Result<T> = std::result::Result<T, Errno>;

/// The errno of a store error.
pub(crate) fn errno(error: &Error) -> Errno {
    match error {
        Error::NoSuchKey { .. } => Errno::ENOENT,
        // Everything read is pinned to a version: another one is there now.
        Error::PreconditionFailed | Error::NotModified | Error::InvalidRange { .. } => Errno::ESTALE,
        Error::AccessDenied | Error::InvalidCredentials { .. } => Errno::EACCES,
        Error::Key(KeyError::TooLong { .. }) => Errno::ENAMETOOLONG,
        Error::Key(KeyError::Empty | KeyError::InvalidBucketName { .. }) => Errno::EINVAL,
        Error::TooLarge => Errno::EFBIG,
        Error::NoSpace | Error::Server { status: 507, .. } => Errno::ENOSPC,
        Error::Unsupported { .. } | Error::Server { status: 501, .. } => Errno::EOPNOTSUPP,
        Error::Server { status: 400, code, .. } if UNFIT_KEY.contains(&code.as_str()) => Errno::EILSEQ,
        Error::Server { status: 400, code, .. } if code == "KeyTooLongError" => Errno::ENAMETOOLONG,
        Error::Unreachable { .. } => Errno::ETIMEDOUT,
        Error::NoSuchBucket { .. } | Error::WrongRegion { .. } => Errno::ENODEV,
        _ => Errno::EIO,
    }
}

/// What servers call keys that they do not take.
const UNFIT_KEY: [&str; 3] = ["InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName"];

/// Logs a store error that a program will only see as a number, and returns that number.
pub(crate) fn failed(action: &'static str, key: &ObjectKey, error: &Error) -> Errno {
    let errno = errno(error);
    match errno {
        Errno::ENOENT | Errno::ESTALE => {
            tracing::debug!(action, key = %key.display(), %error, "the store refused");
        }
        _ => {
            tracing::warn!(action, key = %key.display(), error = error as &dyn std::error::Error, "the store failed");
        }
    }
    errno
}

/// Whether a store cannot do what was asked, so that another way must be tried.
pub(crate) fn unsupported(error: &Error) -> bool {
    errno(error) == Errno::EOPNOTSUPP
}

/// Logs a failure of the spool and returns its errno.
pub(crate) fn spool_failed(error: &std::io::Error) -> Errno {
    tracing::warn!(%error, "the spool for written data fails");
    match error.raw_os_error() {
        Some(number) if Errno(number) == Errno::ENOSPC || Errno(number) == Errno::EDQUOT => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}
