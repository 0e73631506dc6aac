//! Rows of the index as values.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::extents::{self, Extent};
use super::failure::damaged;
use crate::{BucketName, ETag, Error, ObjectInfo, ObjectKey, ObjectMetadata, Result};

/// A bucket within the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketId(pub(super) i64);

/// Where the bytes of an object are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredBody {
    /// In this row of `inline_bodies`.
    Inline(i64),
    /// In files; none: the object is empty.
    Extents(Vec<Extent>),
}

impl StoredBody {
    /// The files it uses.
    pub(super) fn extents(&self) -> &[Extent] {
        match self {
            Self::Inline(_) => &[],
            Self::Extents(extents) => extents,
        }
    }
}

/// A row of `objects`.
#[derive(Clone, Debug)]
pub(super) struct ObjectRow {
    pub(super) bucket: BucketId,
    pub(super) key: ObjectKey,
    pub(super) info: ObjectInfo,
    /// The multipart upload that made it, so that a repeated completion finds its outcome.
    pub(super) upload: Option<String>,
    pub(super) body: StoredBody,
    /// The parts it was made of, as JSON.
    pub(super) parts: Option<String>,
}

impl ObjectRow {
    /// Writes the row over the one that is there.
    pub(super) fn store(&self, connection: &Connection) -> Result<()> {
        let (inline, extents) = match &self.body {
            StoredBody::Inline(id) => (Some(id), None),
            StoredBody::Extents(extents) => (None, Some(extents::encode(extents))),
        };
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO objects
                     (bucket, key, size, etag, modified, metadata, upload, inline_body, extents,
                      checksum, parts)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.bucket.0,
                self.key.as_bytes(),
                self.info.size.cast_signed(),
                self.info.etag.0,
                time_to_sql(self.info.last_modified),
                metadata_to_sql(&self.info.metadata),
                self.upload,
                inline,
                extents,
                self.info.checksum.as_ref().map(ToString::to_string),
                self.parts
            ])?;
        Ok(())
    }
}

/// The bucket of that name.
pub(super) fn find_bucket(connection: &Connection, name: &BucketName) -> Result<BucketId> {
    connection
        .prepare_cached("SELECT id FROM buckets WHERE name = ?1")?
        .query_row([name.as_str()], |row| Ok(BucketId(row.get(0)?)))
        .optional()?
        .ok_or_else(|| Error::NoSuchBucket { bucket: name.as_str().to_owned() })
}

/// The object of that key, if there is one.
pub(super) fn find_object(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<Option<ObjectRow>> {
    let mut select = connection.prepare_cached(
        "SELECT size, etag, modified, metadata, upload, inline_body, extents, checksum, parts FROM objects
         WHERE bucket = ?1 AND key = ?2",
    )?;
    let mut rows = select.query(params![bucket.0, key.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let body = match row.get::<_, Option<i64>>(5)? {
        Some(id) => StoredBody::Inline(id),
        None => StoredBody::Extents(extents::decode(&row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default())?),
    };
    let info = ObjectInfo { checksum: checksum_from_sql(row.get(7)?)?, ..info_from_row(row)? };
    let (upload, parts) = (row.get(4)?, row.get(8)?);
    Ok(Some(ObjectRow { bucket, key: key.clone(), info, upload, body, parts }))
}

/// The object of that key, or the error that there is none.
pub(super) fn require_object(
    connection: &Connection,
    bucket: BucketId,
    key: &ObjectKey,
) -> Result<ObjectRow> {
    find_object(connection, bucket, key)?.ok_or_else(|| Error::NoSuchKey { key: key.display() })
}

/// Reads the columns size, etag, modified, metadata.
pub(super) fn info_from_row(row: &Row<'_>) -> Result<ObjectInfo> {
    Ok(ObjectInfo {
        size: row.get::<_, i64>(0)?.cast_unsigned(),
        etag: ETag(row.get(1)?),
        last_modified: time_from_sql(row.get(2)?),
        metadata: metadata_from_sql(row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?)?,
        checksum: None,
    })
}

/// A checksum, or what an upload says about checksums.
pub(super) fn checksum_from_sql<T: FromStr>(text: Option<String>) -> Result<Option<T>> {
    text.map(|text| text.parse().map_err(|_| damaged("a checksum"))).transpose()
}

/// Nanoseconds since 1970.
pub(super) fn time_to_sql(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn time_from_sql(nanoseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds.max(0).cast_unsigned())
}

/// JSON; NULL for no metadata, which is the most frequent case.
pub(super) fn metadata_to_sql(metadata: &ObjectMetadata) -> Box<dyn ToSql> {
    if *metadata == ObjectMetadata::default() {
        return Box::new(Null);
    }
    Box::new(serde_json::to_string(metadata).expect("strings always become JSON"))
}

pub(super) fn metadata_from_sql(text: Option<&str>) -> Result<ObjectMetadata> {
    let Some(text) = text else { return Ok(ObjectMetadata::default()) };
    serde_json::from_str(text).map_err(|_| damaged("metadata"))
}
