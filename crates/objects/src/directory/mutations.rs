//! Writes of whole objects, each inside one transaction.

use std::collections::BTreeMap;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use rusqlite::params;

use super::change::Change;
use super::receive::{NewBody, Received};
use super::rows::{BucketId, ObjectRow, find_bucket, find_object, require_object};
use crate::{
    CopyRequest, DeleteConditions, ETag, MetadataDirective, ObjectInfo, ObjectKey, PutRequest, PutResponse,
    Result,
};

/// Publishes a body that was received.
pub(super) fn put(
    change: &mut Change<'_>,
    bucket: BucketId,
    request: PutRequest,
    received: Received<NewBody>,
) -> Result<PutResponse> {
    let existing = find_object(change, bucket, &request.key)?;
    request.conditions.check(existing.as_ref().map(|object| &object.info.etag))?;
    let info = ObjectInfo {
        size: received.size,
        etag: ETag(HEXLOWER.encode(&received.md5)),
        last_modified: SystemTime::now(),
        metadata: request.metadata,
        checksum: received.checksum,
    };
    let body = change.publish(received.body)?;
    let row = ObjectRow { bucket, key: request.key, info, upload: None, body, parts: None };
    store(change, row, existing.as_ref())
}

/// Makes an object that shares the body of another.
pub(super) fn copy(change: &mut Change<'_>, bucket: BucketId, request: CopyRequest) -> Result<PutResponse> {
    let source_bucket = match &request.source.bucket {
        Some(name) => find_bucket(change, name)?,
        None => bucket,
    };
    let source = require_object(change, source_bucket, &request.source.key)?;
    request.source.conditions.check_copy_source(&source.info)?;
    let existing = find_object(change, bucket, &request.key)?;
    request.conditions.check(existing.as_ref().map(|object| &object.info.etag))?;
    let metadata = match request.metadata {
        MetadataDirective::Copy => source.info.metadata,
        MetadataDirective::Replace(metadata) => metadata,
    };
    let checksum = request.checksum.or(source.info.checksum);
    let info = ObjectInfo { last_modified: SystemTime::now(), metadata, checksum, ..source.info };
    let body = change.copy_body(&source.body)?;
    let row = ObjectRow { bucket, key: request.key, info, upload: None, body, parts: source.parts };
    store(change, row, existing.as_ref())
}

/// Deletes an object, if there is one.
pub(super) fn delete(change: &mut Change<'_>, bucket: BucketId, key: &ObjectKey) -> Result<()> {
    let Some(object) = find_object(change, bucket, key)? else { return Ok(()) };
    change
        .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
        .execute(params![bucket.0, key.as_bytes()])?;
    change.release_body(&object.body)
}

/// Deletes an object, if there is one, on conditions.
pub(super) fn delete_if(
    change: &mut Change<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    conditions: &DeleteConditions,
) -> Result<()> {
    conditions.check(find_object(change, bucket, key)?.as_ref().map(|object| &object.info))?;
    delete(change, bucket, key)
}

/// Replaces the tags; the object stays what it is, so its time does as well.
pub(super) fn set_tags(
    change: &mut Change<'_>,
    bucket: BucketId,
    key: &ObjectKey,
    tags: BTreeMap<String, String>,
) -> Result<()> {
    let mut object = require_object(change, bucket, key)?;
    object.info.metadata.tags = tags;
    object.store(change)
}

fn store(change: &mut Change<'_>, object: ObjectRow, existing: Option<&ObjectRow>) -> Result<PutResponse> {
    change.put_object(&object, existing)?;
    Ok(PutResponse { etag: object.info.etag, last_modified: Some(object.info.last_modified) })
}
