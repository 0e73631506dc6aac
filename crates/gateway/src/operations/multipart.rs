//! Multipart uploads: beginning and end.

use http::StatusCode;
use http::header::HOST;
use sandkeep_objects::sigv4::encode_path;
use sandkeep_objects::{
    BucketName, Checksum, CompletedPart, Conditions, CreateUpload, Error, ObjectKey, ObjectStore, Upload,
    UploadId,
};

use super::checksums;
use super::write::missing_target;
use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::{metadata, parse_etag, quoted, text, write_conditions};
use crate::reply::{self, Reply, add_header};
use crate::xml::{Document, Record, Xml};

/// Parts at most, as on S3.
const MAX_PARTS: usize = 10_000;

/// `POST /BUCKET/KEY?uploads`
pub(super) async fn create_upload(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let request = CreateUpload { key, metadata: metadata(&call.headers)? };
    let store = call.bucket(bucket);
    let checksum = checksums::of_upload(call)?;
    let upload = store.create_checked_upload(request, checksum.unwrap_or(checksums::DEFAULT)).await?;
    let mut document = Xml::document("InitiateMultipartUploadResult");
    document
        .text("Bucket", bucket.as_str())
        .text("Key", &upload.key.display())
        .text("UploadId", &upload.id.0);
    let mut reply = reply::xml(StatusCode::OK, document.finish());
    if let Some(checksum) = checksum {
        add_header(&mut reply, "x-amz-checksum-algorithm", checksum.algorithm.name());
        add_header(&mut reply, "x-amz-checksum-type", checksum.kind.name());
    }
    Ok(reply)
}

/// `POST /BUCKET/KEY?uploadId`
pub(super) async fn complete_upload(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let conditions = write_conditions(&call.headers)?;
    let upload = upload(call, key)?;
    let body = call.document_without_checksum(super::DOCUMENT_LIMIT).await?;
    let document = Document::parse(&body, "CompleteMultipartUpload", "Part", MAX_PARTS)?;
    let parts = document.records.iter().map(completed_part).collect::<Outcome<Vec<_>>>()?;
    if parts.is_empty() {
        return Err(Fault::malformed_xml());
    }
    if !parts.is_sorted_by(|earlier, later| earlier.number < later.number) {
        let message = "The list of parts was not in ascending order. Parts must be ordered by part number.";
        return Err(Fault::bad("InvalidPartOrder", message));
    }
    let store = call.bucket(bucket);
    let mut checksum = checksum(call, &*store, &upload, &parts, &document).await?;
    let completed = store.complete_upload(&upload, &parts, conditions.clone()).await;
    let completed = missing_target(&*store, &upload.key, &conditions, completed).await?;
    if checksum.is_none() {
        // A repeated completion answers as the first one did.
        let conditions = Conditions { if_match: Some(completed.etag.clone()), ..Conditions::default() };
        checksum = store.head(&upload.key, conditions).await.ok().and_then(|info| info.checksum);
    }
    let mut document = Xml::document("CompleteMultipartUploadResult");
    document
        .text("Location", &location(call, bucket, &upload.key)?)
        .text("Bucket", bucket.as_str())
        .text("Key", &upload.key.display())
        .text("ETag", &quoted(&completed.etag));
    checksums::element(&mut document, checksum.as_ref());
    document.optional("ChecksumType", checksum.as_ref().map(|checksum| checksum.kind().name()));
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// The checksum of the object that a completion makes, compared with what the client says. An upload that is gone is
/// the store's to judge: it may have been completed already by the same request.
async fn checksum(
    call: &Call,
    store: &dyn ObjectStore,
    upload: &Upload,
    parts: &[CompletedPart],
    document: &Document,
) -> Outcome<Option<Checksum>> {
    let uploaded = match store.list_parts(upload).await {
        Err(Error::NoSuchUpload { .. }) => return Ok(None),
        other => other?,
    };
    let begun = store.upload_checksum(upload).await?;
    let records: Vec<(u32, &Record)> = parts.iter().map(|part| part.number).zip(&document.records).collect();
    checksums::check_completion(call, begun, &uploaded, &records)
}

/// `DELETE /BUCKET/KEY?uploadId`
pub(super) async fn abort_upload(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let (store, upload) = (call.bucket(bucket), upload(call, key)?);
    // The store forgives what is not there, S3 does not.
    store.upload_checksum(&upload).await?;
    store.abort_upload(&upload).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// The upload that a request names.
pub(super) fn upload(call: &Call, key: ObjectKey) -> Outcome<Upload> {
    let id = call.query.text("uploadId")?.ok_or_else(|| Fault::invalid_argument("uploadId is empty"))?;
    Ok(Upload { key, id: UploadId(id.to_owned()) })
}

fn completed_part(record: &Record) -> Outcome<CompletedPart> {
    let number = record.get("PartNumber").and_then(|number| number.trim().parse().ok());
    let etag = record.get("ETag").map(|etag| parse_etag(etag.trim()));
    match (number, etag) {
        (Some(number), Some(etag)) => Ok(CompletedPart { number, etag }),
        _ => Err(Fault::malformed_xml()),
    }
}

fn location(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<String> {
    let host = text(&call.headers, HOST)?.unwrap_or_default();
    Ok(format!("http://{host}/{bucket}/{}", encode_path(key.as_bytes())))
}
