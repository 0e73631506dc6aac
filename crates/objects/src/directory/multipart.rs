//! Uploads in parts: the object is assembled from the files of its parts, without copying them.

use std::time::SystemTime;

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use rusqlite::{Connection, OptionalExtension, params};

use super::change::Change;
use super::extents::{self, Extent};
use super::failure::damaged;
use super::rows::{
    BucketId, ObjectRow, StoredBody, checksum_from_sql, find_object, metadata_from_sql, metadata_to_sql,
    time_from_sql, time_to_sql,
};
use crate::listing::successor;
use crate::{
    Checksum, CompletedPart, CreateUpload, ETag, Error, ObjectInfo, ObjectKey, ObjectMetadata, ObjectPart,
    PartInfo, PartsChecksum, PutResponse, Result, Upload, UploadId, UploadInfo, WriteConditions,
};

/// S3's minimum for all parts but the last.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MINIMUM_PART: u64 = 5 * 1024 * 1024;

/// S3's highest part number.
const MAXIMUM_NUMBER: u32 = 10_000;

/// A row of `parts`.
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) extents: Vec<Extent>,
    pub(super) checksum: Option<Checksum>,
}

/// What an upload in progress was begun with.
pub(super) struct Begun {
    metadata: ObjectMetadata,
    pub(super) checksum: Option<PartsChecksum>,
}

/// Refuses numbers that no part can have.
pub(super) fn check_number(number: u32) -> Result<()> {
    if (1..=MAXIMUM_NUMBER).contains(&number) { Ok(()) } else { Err(Error::InvalidPart { number }) }
}

/// Starts an upload.
pub(super) fn create(
    change: &Change<'_>,
    bucket: BucketId,
    request: &CreateUpload,
    checksum: Option<PartsChecksum>,
    id: &str,
) -> Result<()> {
    change
        .prepare_cached(
            "INSERT INTO uploads (id, bucket, key, started, metadata, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            id,
            bucket.0,
            request.key.as_bytes(),
            time_to_sql(SystemTime::now()),
            metadata_to_sql(&request.metadata),
            checksum.map(|checksum| checksum.to_string())
        ])?;
    Ok(())
}

/// What an upload in progress was begun with.
pub(super) fn find(connection: &Connection, bucket: BucketId, upload: &Upload) -> Result<Begun> {
    let row: Option<(Option<String>, Option<String>)> = connection
        .prepare_cached("SELECT metadata, checksum FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3")?
        .query_row(params![upload.id.0, bucket.0, upload.key.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (metadata, checksum) = row.ok_or_else(|| Error::NoSuchUpload { upload: upload.id.0.clone() })?;
    let metadata = metadata_from_sql(metadata.as_deref())?;
    Ok(Begun { metadata, checksum: checksum_from_sql(checksum)? })
}

/// The parts of which an object was made.
pub(super) fn parts_of(object: &ObjectRow) -> Result<Vec<ObjectPart>> {
    let Some(text) = &object.parts else { return Ok(Vec::new()) };
    serde_json::from_str(text).map_err(|_| damaged("the parts of an object"))
}

/// Adds a part in place of an earlier one of its number.
pub(super) fn put_part(change: &mut Change<'_>, upload: &Upload, part: &Part) -> Result<ETag> {
    let sql = "DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING extents";
    let replaced: Option<Vec<u8>> = change
        .prepare_cached(sql)?
        .query_row(params![upload.id.0, part.number], |row| row.get(0))
        .optional()?;
    if let Some(replaced) = replaced {
        change.release(&extents::decode(&replaced)?)?;
    }
    let etag = HEXLOWER.encode(&part.md5);
    change
        .prepare_cached(
            "INSERT INTO parts (upload, number, size, etag, modified, extents, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            upload.id.0,
            part.number,
            part.size.cast_signed(),
            etag,
            time_to_sql(SystemTime::now()),
            extents::encode(&part.extents),
            part.checksum.as_ref().map(ToString::to_string)
        ])?;
    Ok(ETag(etag))
}

/// Publishes the object; a repetition of a completion that succeeded answers the same.
pub(super) fn complete(
    change: &mut Change<'_>,
    bucket: BucketId,
    upload: &Upload,
    parts: &[CompletedPart],
    conditions: &WriteConditions,
) -> Result<PutResponse> {
    let existing = find_object(change, bucket, &upload.key)?;
    let begun = match (find(change, bucket, upload), &existing) {
        (Err(Error::NoSuchUpload { .. }), Some(object)) if object.upload.as_ref() == Some(&upload.id.0) => {
            return Ok(response(&object.info));
        }
        (found, _) => found?,
    };
    conditions.check(existing.as_ref().map(|object| &object.info.etag))?;
    let assembled = assemble(change, upload, parts)?;
    let sums = assembled.parts.iter().map(|part| (part.checksum.as_ref(), part.size));
    let info = ObjectInfo {
        size: assembled.size,
        etag: assembled.etag,
        last_modified: SystemTime::now(),
        metadata: begun.metadata,
        checksum: begun.checksum.and_then(|checksum| checksum.combine(sums)),
    };
    let object = ObjectRow {
        bucket,
        key: upload.key.clone(),
        info,
        upload: Some(upload.id.0.clone()),
        body: StoredBody::Extents(assembled.extents),
        parts: Some(serde_json::to_string(&assembled.parts).expect("numbers and text always become JSON")),
    };
    change.put_object(&object, existing.as_ref())?;
    forget(change, upload)?;
    Ok(response(&object.info))
}

/// Forgets an upload and its parts.
pub(super) fn abort(change: &mut Change<'_>, bucket: BucketId, upload: &Upload) -> Result<()> {
    match find(change, bucket, upload) {
        Ok(_) => forget(change, upload),
        Err(Error::NoSuchUpload { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Forgets all uploads of a bucket that goes away.
pub(super) fn abort_all(change: &mut Change<'_>, bucket: BucketId) -> Result<()> {
    for info in list_uploads(change, bucket, b"")? {
        forget(change, &info.upload)?;
    }
    Ok(())
}

/// The parts of an upload by number.
pub(super) fn list_parts(connection: &Connection, upload: &Upload) -> Result<Vec<PartInfo>> {
    let mut select = connection.prepare_cached(
        "SELECT number, size, etag, modified, checksum FROM parts WHERE upload = ?1 ORDER BY number",
    )?;
    let mut rows = select.query([&upload.id.0])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        parts.push(PartInfo {
            number: row.get(0)?,
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            etag: ETag(row.get(2)?),
            last_modified: time_from_sql(row.get(3)?),
            checksum: checksum_from_sql(row.get(4)?)?,
        });
    }
    Ok(parts)
}

/// Uploads in progress by key, the older first.
pub(super) fn list_uploads(
    connection: &Connection,
    bucket: BucketId,
    prefix: &[u8],
) -> Result<Vec<UploadInfo>> {
    let mut select = connection.prepare_cached(
        "SELECT id, key, started FROM uploads
         WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key, started",
    )?;
    let mut rows = select.query(params![bucket.0, prefix, successor(prefix)])?;
    let mut uploads = Vec::new();
    while let Some(row) = rows.next()? {
        let key = ObjectKey::new(row.get::<_, Vec<u8>>(1)?)?;
        let upload = Upload { key, id: UploadId(row.get(0)?) };
        uploads.push(UploadInfo { upload, started: time_from_sql(row.get(2)?) });
    }
    Ok(uploads)
}

fn response(info: &ObjectInfo) -> PutResponse {
    PutResponse { etag: info.etag.clone(), last_modified: Some(info.last_modified) }
}

/// What the parts of a completion make together.
struct Assembled {
    size: u64,
    etag: ETag,
    extents: Vec<Extent>,
    parts: Vec<ObjectPart>,
}

/// Takes the parts out of the upload; those that stay are not wanted.
fn assemble(change: &Change<'_>, upload: &Upload, parts: &[CompletedPart]) -> Result<Assembled> {
    check_order(parts)?;
    let mut assembled =
        Assembled { size: 0, etag: ETag(String::new()), extents: Vec::new(), parts: Vec::new() };
    let mut md5 = Md5::new();
    for (index, wanted) in parts.iter().enumerate() {
        let part = take_part(change, upload, wanted)?;
        if part.size < MINIMUM_PART && index + 1 < parts.len() {
            return Err(Error::PartTooSmall { number: wanted.number });
        }
        md5.update(part.md5);
        assembled.size += part.size;
        assembled.extents.extend(part.extents);
        let (number, size, checksum) = (part.number, part.size, part.checksum);
        assembled.parts.push(ObjectPart { number, size, checksum });
    }
    assembled.etag = ETag(format!("{}-{}", HEXLOWER.encode(&md5.finalize()), parts.len()));
    Ok(assembled)
}

fn check_order(parts: &[CompletedPart]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::InvalidPart { number: 1 });
    }
    match parts.windows(2).find(|pair| pair[0].number >= pair[1].number) {
        Some(pair) => Err(Error::InvalidPart { number: pair[1].number }),
        None => Ok(()),
    }
}

fn take_part(change: &Change<'_>, upload: &Upload, wanted: &CompletedPart) -> Result<Part> {
    let sql = "DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING size, etag, extents, checksum";
    let mut delete = change.prepare_cached(sql)?;
    let row: Option<(i64, String, Vec<u8>, Option<String>)> = delete
        .query_row(params![upload.id.0, wanted.number], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((size, etag, encoded, checksum)) = row.filter(|(_, etag, ..)| *etag == wanted.etag.0) else {
        return Err(Error::InvalidPart { number: wanted.number });
    };
    let md5 = HEXLOWER.decode(etag.as_bytes()).ok().and_then(|md5| md5.try_into().ok());
    Ok(Part {
        number: wanted.number,
        size: size.cast_unsigned(),
        md5: md5.ok_or_else(|| damaged("a part's MD5"))?,
        extents: extents::decode(&encoded)?,
        checksum: checksum_from_sql(checksum)?,
    })
}

/// Removes an upload and the parts that it still has.
fn forget(change: &mut Change<'_>, upload: &Upload) -> Result<()> {
    let unused: Vec<Vec<u8>> = change
        .prepare_cached("DELETE FROM parts WHERE upload = ?1 RETURNING extents")?
        .query_map([&upload.id.0], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for encoded in unused {
        change.release(&extents::decode(&encoded)?)?;
    }
    change.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([&upload.id.0])?;
    Ok(())
}
