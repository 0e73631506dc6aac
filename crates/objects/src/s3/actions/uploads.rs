//! Multipart uploads. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use std::time::SystemTime;

use http::Method;
use serde::Deserialize;

use crate::s3::action::Action;
use crate::s3::headers::unquoted;
use crate::s3::xml;
use crate::sigv4::decode_path;
use crate::{BucketName, ObjectKey, PartInfo, Result, Upload, UploadId, UploadInfo};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    upload_id: String,
}

/// The id in the answer to CreateMultipartUpload.
pub(in crate::s3) fn parse_created(body: &[u8]) -> Result<UploadId> {
    Ok(UploadId(xml::parse::<Initiated>(body)?.upload_id))
}

/// A request about an upload.
pub(in crate::s3) fn request(method: Method, bucket: &BucketName, upload: &Upload) -> Action {
    Action::object(method, bucket, &upload.key).query("uploadId", upload.id.0.as_bytes())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<u32>,
    #[serde(rename = "Part", default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Part {
    part_number: u32,
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
    last_modified: Option<String>,
}

/// A page of parts, and the marker of the next one.
pub(in crate::s3) fn parse_parts(body: &[u8]) -> Result<(Vec<PartInfo>, Option<u32>)> {
    let document: Parts = xml::parse(body)?;
    let info = |part: Part| PartInfo {
        number: part.part_number,
        size: part.size,
        etag: unquoted(&part.etag),
        last_modified: part
            .last_modified
            .as_deref()
            .and_then(super::timestamp)
            .unwrap_or(SystemTime::UNIX_EPOCH),
        checksum: None,
    };
    let next = document.next_part_number_marker.filter(|_| document.is_truncated);
    Ok((document.parts.into_iter().map(info).collect(), next))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    encoding_type: Option<String>,
    #[serde(rename = "Upload", default)]
    uploads: Vec<Started>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Started {
    key: String,
    upload_id: String,
    initiated: Option<String>,
}

/// Where a listing of uploads goes on: key and upload id.
pub(in crate::s3) type UploadMarker = (Vec<u8>, String);

/// The request for a page of uploads.
pub(in crate::s3) fn list_request(
    bucket: &BucketName,
    prefix: &[u8],
    marker: Option<&UploadMarker>,
) -> Action {
    let mut action = Action::bucket(Method::GET, bucket).query("uploads", b"").query("encoding-type", b"url");
    if !prefix.is_empty() {
        action = action.query("prefix", prefix);
    }
    if let Some((key, upload)) = marker {
        action = action.query("key-marker", key).query("upload-id-marker", upload.as_bytes());
    }
    action
}

/// A page of uploads, and where the next one starts.
pub(in crate::s3) fn parse_list(body: &[u8]) -> Result<(Vec<UploadInfo>, Option<UploadMarker>)> {
    let document: Uploads = xml::parse(body)?;
    let encoded = document.encoding_type.as_deref() == Some("url");
    let decode =
        |text: &str| if encoded { decode_path(&text.replace('+', " ")) } else { text.as_bytes().to_vec() };
    let info = |started: &Started| {
        let started_at = started.initiated.as_deref().and_then(super::timestamp);
        let upload =
            Upload { key: ObjectKey::new(decode(&started.key))?, id: UploadId(started.upload_id.clone()) };
        Ok(UploadInfo { upload, started: started_at.unwrap_or(SystemTime::UNIX_EPOCH) })
    };
    let next = document.next_key_marker.as_deref().filter(|_| document.is_truncated).map(decode);
    let next = next.map(|key| (key, document.next_upload_id_marker.unwrap_or_default()));
    Ok((document.uploads.iter().map(info).collect::<Result<_>>()?, next))
}
