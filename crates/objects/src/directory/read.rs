//! Finds objects.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;

use super::body::{BodyReader, stream_body};
use super::extents::slice;
use super::files::Files;
use super::pins::{PinnedFiles, pin};
use super::rows::{BucketId, ObjectRow, StoredBody, find_bucket, require_object};
use crate::{BucketName, ByteRange, GetRequest, GetResponse, ObjectInfo, ObjectKey, Result};

/// Runs several reads on one state of the index.
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    // Not rusqlite's transactions: those prepare both statements anew each time.
    connection.prepare_cached("BEGIN")?.execute([])?;
    let _snapshot = Snapshot(connection);
    read(connection)
}

/// A reading transaction, which ends with it.
struct Snapshot<'c>(&'c Connection);

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            tracing::warn!(%error, "a read of the index did not end well");
            // Fails only if it has ended all the same.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// As [`in_snapshot`], for reads that pin files: the guard must be older than the state that is read, or a file
/// could be deleted between the two.
pub(super) fn in_pinning_snapshot<T>(
    connection: &Connection,
    files: &Files,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let _looking = files.pins.reading();
    in_snapshot(connection, read)
}

/// Finds an object and keeps its files on disk; only inside of [`in_pinning_snapshot`].
pub(super) fn find_pinned(
    connection: &Connection,
    files: &Arc<Files>,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<(ObjectRow, PinnedFiles)> {
    let row = require_object(connection, bucket, key)?;
    let pinned = pin(files, row.body.extents());
    Ok((row, pinned))
}

/// An object found for reading.
pub(super) struct Opened {
    info: ObjectInfo,
    range: Range<u64>,
    /// All of it, if the index keeps it.
    first: Option<Bytes>,
    rest: BodyReader,
}

impl Opened {
    /// The object with its bytes, of which the first are read: a body that is gone fails here.
    pub(super) async fn begin(self) -> Result<GetResponse> {
        let Self { info, range, mut first, mut rest } = self;
        if first.is_none() {
            (first, rest) = rest.advance().await?;
        }
        Ok(GetResponse { info, range, body: stream_body(first, rest) })
    }
}

/// Finds the object that a request names.
pub(super) fn open(
    connection: &Connection,
    files: &Arc<Files>,
    bucket: &BucketName,
    request: &GetRequest,
) -> Result<Opened> {
    in_pinning_snapshot(connection, files, |connection| find_opened(connection, files, bucket, request))
}

fn find_opened(
    connection: &Connection,
    files: &Arc<Files>,
    bucket: &BucketName,
    request: &GetRequest,
) -> Result<Opened> {
    let bucket = find_bucket(connection, bucket)?;
    let (row, pinned) = find_pinned(connection, files, bucket, &request.key)?;
    request.conditions.check(&row.info)?;
    let range = ByteRange::resolve_optional(request.range, row.info.size)?;
    let (first, pieces) = match row.body {
        StoredBody::Inline(id) => (Some(inline_bytes(connection, id, &range)?), Vec::new()),
        StoredBody::Extents(extents) => (None, slice(&extents, &range)),
    };
    Ok(Opened { info: row.info, range, first, rest: BodyReader::new(&pieces, pinned) })
}

/// The bytes of a body that is kept in the index.
pub(super) fn inline_bytes(connection: &Connection, id: i64, range: &Range<u64>) -> Result<Bytes> {
    let mut select = connection.prepare_cached("SELECT bytes FROM inline_bodies WHERE id = ?1")?;
    let bytes: Vec<u8> = select.query_row([id], |row| row.get(0))?;
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let (start, end) = (index(range.start), index(range.end));
    Ok(Bytes::from(bytes).slice(start..end))
}
