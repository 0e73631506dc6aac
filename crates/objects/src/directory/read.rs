//! Finds objects and streams their bodies.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rusqlite::Connection;

use super::extents::{Extent, slice};
use super::files::Files;
use super::pins::{PinnedFiles, pin};
use super::readers::blocking;
use super::rows::{BucketId, ObjectRow, StoredBody, find_bucket, require_object};
use crate::{BucketName, ByteRange, ByteStream, Error, GetRequest, ObjectInfo, ObjectKey, Result};

/// Bytes read at once; what a slow receiver costs in memory.
const CHUNK: u64 = 256 * 1024;

/// Runs several reads on one state of the index.
pub(super) fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    read(&snapshot)
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

/// An object opened for reading, with the first bytes at hand.
pub(super) struct Opened {
    pub(super) info: ObjectInfo,
    pub(super) range: Range<u64>,
    first: Option<Bytes>,
    rest: BodyReader,
}

impl Opened {
    /// The bytes, read as they are asked for.
    pub(super) fn into_stream(self) -> ByteStream {
        stream_body(self.first, self.rest)
    }
}

/// Opens the object that a request names.
pub(super) fn open(
    connection: &Connection,
    files: &Arc<Files>,
    bucket: &BucketName,
    request: &GetRequest,
) -> Result<Opened> {
    let find = |connection: &Connection| find_opened(connection, files, bucket, request);
    let mut opened = in_pinning_snapshot(connection, files, find)?;
    if opened.first.is_none() {
        opened.first = opened.rest.next_chunk()?;
    }
    Ok(opened)
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

/// Reads extents one after the other; blocks.
pub(super) struct BodyReader {
    /// The extents still to read, last first.
    extents: Vec<Extent>,
    /// The file of the last of them, positioned.
    open: Option<File>,
    pinned: PinnedFiles,
}

impl BodyReader {
    pub(super) fn new(extents: &[Extent], pinned: PinnedFiles) -> Self {
        Self { extents: extents.iter().rev().copied().collect(), open: None, pinned }
    }

    /// The next bytes; none at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(extent) = self.extents.last_mut() else { return Ok(None) };
        let mut file = match self.open.take() {
            Some(file) => file,
            None => open_at(&self.pinned.files, extent)?,
        };
        let bytes = read_exactly(&mut file, extent.length.min(CHUNK))?;
        extent.length -= bytes.len() as u64;
        if extent.length == 0 {
            self.extents.pop();
        } else {
            self.open = Some(file);
        }
        Ok(Some(bytes))
    }
}

/// Streams what a reader reads, after the bytes that it has read already.
pub(super) fn stream_body(first: Option<Bytes>, rest: BodyReader) -> ByteStream {
    let first = stream::iter(first.filter(|bytes| !bytes.is_empty()).map(Ok));
    let rest = stream::try_unfold(rest, |mut reader| async move {
        if reader.extents.is_empty() {
            return Ok(None);
        }
        blocking(move || Ok(reader.next_chunk()?.map(|bytes| (bytes, reader)))).await
    });
    first.chain(rest).boxed()
}

fn open_at(files: &Files, extent: &Extent) -> Result<File> {
    let mut file = files.open_body(extent.file)?;
    file.seek(SeekFrom::Start(extent.offset)).map_err(super::failure::io_failure)?;
    Ok(file)
}

fn read_exactly(file: &mut File, length: u64) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut bytes).map_err(super::failure::io_failure)?;
    if bytes.len() as u64 != length {
        return Err(Error::Corrupt { what: "a body file is shorter than the index says".to_owned() });
    }
    Ok(bytes.into())
}
