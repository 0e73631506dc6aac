//! Fills a part from an existing object: by sharing its files where that wastes little, else by copying bytes.

use std::ops::Range;
use std::sync::Arc;

use md5::{Digest, Md5};
use rusqlite::Connection;

use super::body::{BodyReader, stream_body};
use super::change::Change;
use super::extents::{Extent, slice};
use super::files::Files;
use super::multipart::{self, Part};
use super::pins::{PinnedFiles, pin};
use super::read::{find_pinned, in_pinning_snapshot, inline_bytes};
use super::readers::blocking;
use super::receive::receive_file;
use super::rows::{StoredBody, find_bucket};
use super::service::Inner;
use crate::{Body, BucketName, ChecksumAlgorithm, ChecksumHasher, CopySource, ETag, Error, Result, Upload};

/// Where the bytes of a part come from.
enum Source {
    /// Few bytes, at hand.
    Bytes(bytes::Bytes),
    /// Pieces of files, which stay on disk meanwhile.
    Files { pieces: Vec<Extent>, pinned: PinnedFiles, share: bool },
}

/// Which part of which upload is filled.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) bucket: BucketName,
    pub(super) upload: Upload,
    pub(super) number: u32,
    /// The checksum that the part must have.
    pub(super) checksum: Option<ChecksumAlgorithm>,
}

/// Copies a range of an object into a part.
pub(super) async fn copy_part(
    inner: &Inner,
    target: Target,
    source: CopySource,
    range: Range<u64>,
) -> Result<ETag> {
    let length = range.end.saturating_sub(range.start);
    let (files, bucket) = (Arc::clone(&inner.files), target.bucket.clone());
    let find = move |connection: &Connection| {
        let find = |connection: &Connection| find(connection, &files, &bucket, &source, &range);
        in_pinning_snapshot(connection, &files, find)
    };
    let body = match inner.readers.read(find).await? {
        Source::Bytes(bytes) => Body::Bytes(bytes),
        Source::Files { pieces, pinned, share } => {
            if share && let Some(etag) = share_files(inner, &target, &pieces, length).await? {
                return Ok(etag);
            }
            Body::Stream { length, stream: stream_body(None, BodyReader::new(&pieces, pinned)) }
        }
    };
    let received = receive_file(inner, body, target.checksum).await?;
    inner
        .writer
        .apply(move |change| {
            let extents = change.publish_file(received.body)?;
            let (md5, checksum) = (received.md5, received.checksum);
            put_part(change, &target, &Part { number: target.number, size: length, md5, extents, checksum })
        })
        .await
}

fn find(
    connection: &Connection,
    files: &Arc<Files>,
    bucket: &BucketName,
    source: &CopySource,
    range: &Range<u64>,
) -> Result<Source> {
    let bucket = find_bucket(connection, source.bucket.as_ref().unwrap_or(bucket))?;
    let (row, pinned) = find_pinned(connection, files, bucket, &source.key)?;
    source.conditions.check_copy_source(&row.info)?;
    if range.is_empty() || range.end > row.info.size {
        return Err(Error::InvalidRange { size: Some(row.info.size) });
    }
    match row.body {
        StoredBody::Inline(id) => Ok(Source::Bytes(inline_bytes(connection, id, range)?)),
        StoredBody::Extents(extents) => {
            let pieces = slice(&extents, range);
            let share = wastes_little(connection, &pieces)?;
            Ok(Source::Files { pieces, pinned, share })
        }
    }
}

/// Whether the pieces are at least half of their files: a file stays whole as long as a piece of it is used.
fn wastes_little(connection: &Connection, pieces: &[Extent]) -> Result<bool> {
    let mut select = connection.prepare_cached("SELECT size FROM files WHERE id = ?1")?;
    let (mut used, mut kept) = (0, 0);
    for piece in pieces {
        used += piece.length;
        kept += select.query_row([piece.file.to_sql()], |row| row.get::<_, i64>(0))?.cast_unsigned();
    }
    Ok(used >= kept / 2)
}

/// Makes the part of the same files; none if one of them was deleted meanwhile.
async fn share_files(inner: &Inner, target: &Target, pieces: &[Extent], size: u64) -> Result<Option<ETag>> {
    let mut reader = BodyReader::new(pieces, pin(&inner.files, pieces));
    let mut hasher = target.checksum.map(ChecksumAlgorithm::hasher);
    let (md5, checksum) = blocking(move || {
        let mut md5 = Md5::new();
        while let Some(chunk) = reader.next_chunk()? {
            md5.update(&chunk);
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk);
            }
        }
        Ok((md5.finalize().into(), hasher.map(ChecksumHasher::checksum)))
    })
    .await?;
    let target = target.clone();
    let extents = pieces.to_vec();
    inner
        .writer
        .apply(move |change| {
            if !change.share(&extents)? {
                return Ok(None);
            }
            put_part(change, &target, &Part { number: target.number, size, md5, extents, checksum }).map(Some)
        })
        .await
}

fn put_part(change: &mut Change<'_>, target: &Target, part: &Part) -> Result<ETag> {
    let bucket = find_bucket(change, &target.bucket)?;
    multipart::find(change, bucket, &target.upload)?;
    multipart::put_part(change, &target.upload, part)
}
