//! The parts of multipart uploads.

use http::StatusCode;
use http::header::ETAG;
use sandkeep_objects::{BucketName, ByteRange, Conditions, ObjectKey, PartInfo};

use super::buckets::owner;
use super::checksums;
use super::copy::source;
use super::listing::limit;
use super::multipart::upload;
use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::headers::{parse_range, quoted, text};
use crate::reply::{self, Reply, add_header};
use crate::xml::Xml;

/// `PUT /BUCKET/KEY?uploadId&partNumber`
pub(super) async fn upload_part(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let (upload, number) = (upload(call, key)?, part_number(call)?);
    let (body, verdict) = call.payload()?.into_body();
    let etag = verdict.or(call.bucket(bucket).upload_part(&upload, number, body).await)?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, ETAG, &quoted(&etag));
    verdict.describe(&mut reply);
    Ok(reply)
}

/// `PUT /BUCKET/KEY?uploadId&partNumber` with `x-amz-copy-source`
pub(super) async fn upload_part_copy(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let (upload, number, mut source) = (upload(call, key)?, part_number(call)?, source(call)?);
    let of = source.bucket.clone().unwrap_or_else(|| bucket.clone());
    let info = call.bucket(&of).head(&source.key, Conditions::default()).await?;
    source.conditions.check_copy_source(&info)?;
    // What is copied must be what the range was resolved against.
    source.conditions.if_match = Some(info.etag);
    let range = match text(&call.headers, "x-amz-copy-source-range")? {
        None => 0..info.size,
        Some(range) => copied_range(range, info.size)?,
    };
    let store = call.bucket(bucket);
    let etag = store.upload_part_copy(&upload, number, source, range).await?;
    let mut document = Xml::document("CopyPartResult");
    let modified = iso_date(std::time::SystemTime::now());
    document.text("LastModified", &modified).text("ETag", &quoted(&etag));
    if store.upload_checksum(&upload).await?.is_some() {
        let parts = store.list_parts(&upload).await?;
        let copied = parts.iter().find(|part| part.number == number && part.etag == etag);
        checksums::element(&mut document, copied.and_then(|part| part.checksum.as_ref()));
    }
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// `GET /BUCKET/KEY?uploadId`
pub(super) async fn list_parts(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let upload = upload(call, key)?;
    let (limit, marker) = (limit(&call.query, "max-parts")?, call.query.number::<u32>("part-number-marker")?);
    let marker = marker.unwrap_or_default();
    let store = call.bucket(bucket);
    let mut parts = store.list_parts(&upload).await?;
    parts.retain(|part| part.number > marker);
    let truncated = limit > 0 && parts.len() > limit as usize;
    parts.truncate(limit as usize);
    let mut document = Xml::document("ListPartsResult");
    document
        .text("Bucket", bucket.as_str())
        .text("Key", &upload.key.display())
        .text("UploadId", &upload.id.0);
    owner(&mut document, "Initiator");
    owner(&mut document, "Owner");
    document.text("StorageClass", "STANDARD").text("PartNumberMarker", &marker.to_string());
    let last = parts.last().map_or(marker, |part| part.number);
    document.text("NextPartNumberMarker", &last.to_string()).text("MaxParts", &limit.to_string());
    document.text("IsTruncated", if truncated { "true" } else { "false" });
    if let Some(checksum) = store.upload_checksum(&upload).await? {
        document.text("ChecksumAlgorithm", checksum.algorithm.name());
        document.text("ChecksumType", checksum.kind.name());
    }
    parts.iter().for_each(|part| describe(&mut document, part));
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

fn describe(document: &mut Xml, part: &PartInfo) {
    document.element("Part", |entry| {
        entry
            .text("PartNumber", &part.number.to_string())
            .text("LastModified", &iso_date(part.last_modified))
            .text("ETag", &quoted(&part.etag))
            .text("Size", &part.size.to_string());
        checksums::element(entry, part.checksum.as_ref());
    });
}

fn part_number(call: &Call) -> Outcome<u32> {
    let number = call.query.number::<u32>("partNumber")?;
    number.filter(|number| (1..=10_000).contains(number)).ok_or_else(|| {
        Fault::invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
    })
}

/// Only `bytes=FIRST-LAST`, within the source.
fn copied_range(text: &str, size: u64) -> Outcome<std::ops::Range<u64>> {
    match parse_range(text) {
        Some(ByteRange::Bounded { start, end }) if end <= size => Ok(start..end),
        Some(ByteRange::Bounded { .. }) => {
            let message = format!("Range specified is not valid for source object of size: {size}");
            Err(Fault::bad("InvalidRange", message))
        }
        _ => {
            let message = "The x-amz-copy-source-range value must be of the form bytes=first-last";
            Err(Fault::invalid_argument(message))
        }
    }
}
