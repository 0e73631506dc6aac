//! What is known about an object, in one document.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html>

use http::StatusCode;
use http::header::LAST_MODIFIED;
use sandkeep_objects::{BucketName, ObjectInfo, ObjectKey, ObjectPart};

use super::checksums;
use crate::call::Call;
use crate::dates::http_date;
use crate::fault::{Fault, Outcome};
use crate::headers::{conditions, text};
use crate::reply::{self, Reply, add_header};
use crate::xml::Xml;

/// Parts in an answer at most.
const PAGE: u32 = 1000;

/// `GET /BUCKET/KEY?attributes`
pub(super) async fn get_attributes(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let asked = asked(call)?;
    let store = call.bucket(bucket);
    let info = store.head(key, conditions(&call.headers)).await?;
    let wants = |name: &str| asked.contains(&name);
    let mut document = Xml::document("GetObjectAttributesResponse");
    if wants("ETag") {
        document.text("ETag", &info.etag.0);
    }
    if wants("Checksum")
        && let Some(checksum) = &info.checksum
    {
        document.element("Checksum", |inner| {
            checksums::element(inner, Some(checksum));
            inner.text("ChecksumType", checksum.kind().name());
        });
    }
    if wants("ObjectParts") {
        write_parts(call, &mut document, &store.object_parts(key).await?)?;
    }
    if wants("StorageClass") {
        document.text("StorageClass", "STANDARD");
    }
    if wants("ObjectSize") {
        document.text("ObjectSize", &info.size.to_string());
    }
    Ok(answer(&info, document))
}

fn answer(info: &ObjectInfo, document: Xml) -> Reply {
    let mut reply = reply::xml(StatusCode::OK, document.finish());
    add_header(&mut reply, LAST_MODIFIED, &http_date(info.last_modified));
    reply
}

fn asked(call: &Call) -> Outcome<Vec<&str>> {
    let known = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];
    let names = text(&call.headers, "x-amz-object-attributes")?.unwrap_or_default();
    let asked: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if asked.is_empty() || asked.iter().any(|name| !known.contains(name)) {
        let message = "Invalid attribute name specified.";
        return Err(Fault::invalid_argument(message).with("ArgumentName", "x-amz-object-attributes"));
    }
    Ok(asked)
}

fn write_parts(call: &Call, document: &mut Xml, parts: &[ObjectPart]) -> Outcome<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let limit = number(call, "x-amz-max-parts")?.unwrap_or(PAGE).min(PAGE);
    let marker = number(call, "x-amz-part-number-marker")?.unwrap_or_default();
    let behind: Vec<&ObjectPart> = parts.iter().filter(|part| part.number > marker).collect();
    let page = &behind[..behind.len().min(limit as usize)];
    let next = page.last().map_or(marker, |part| part.number);
    document.element("ObjectParts", |inner| {
        inner
            .text("PartsCount", &parts.len().to_string())
            .text("PartNumberMarker", &marker.to_string())
            .text("NextPartNumberMarker", &next.to_string())
            .text("MaxParts", &limit.to_string())
            .text("IsTruncated", if page.len() < behind.len() { "true" } else { "false" });
        for part in page {
            inner.element("Part", |entry| {
                checksums::element(entry, part.checksum.as_ref());
                entry.text("PartNumber", &part.number.to_string()).text("Size", &part.size.to_string());
            });
        }
    });
    Ok(())
}

fn number(call: &Call, name: &str) -> Outcome<Option<u32>> {
    let wrong = |_| Fault::invalid_argument(format!("{name} is not a number"));
    text(&call.headers, name)?.map(|text| text.parse().map_err(wrong)).transpose()
}
