//! Errors of the system and of SQLite as errors of a store.

use std::io;
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::Error;

/// An error of the system; a full disk or quota is [`Error::NoSpace`].
pub(super) fn io_failure(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace,
        _ => Error::Io { source: Arc::new(source) },
    }
}

/// What happens when the index can no longer be written because its thread has ended.
pub(super) fn closed() -> Error {
    io_failure(io::Error::other("the store is closed"))
}

/// A row that the store cannot have written.
pub(super) fn damaged(what: &str) -> Error {
    Error::Corrupt { what: format!("the index holds {what} that cannot be read") }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NoSpace,
            _ => Self::Io { source: Arc::new(source) },
        }
    }
}
