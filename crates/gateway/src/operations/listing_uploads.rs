//! Pages of uploads in progress.

use http::StatusCode;
use sandkeep_objects::{BucketName, UploadInfo};

use super::buckets::owner;
use super::listing::{Encoding, common_prefixes, limit};
use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::Outcome;
use crate::query::Query;
use crate::reply::{self, Reply};
use crate::xml::Xml;

/// A page.
#[derive(Default)]
struct Page {
    uploads: Vec<UploadInfo>,
    prefixes: Vec<Vec<u8>>,
    truncated: bool,
}

/// `GET /BUCKET?uploads`
pub(super) async fn list_uploads(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let query = &call.query;
    let (encoding, limit) = (Encoding::of(query)?, limit(query, "max-uploads")?);
    let uploads = call.bucket(bucket).list_uploads(query.bytes("prefix").unwrap_or_default()).await?;
    let page = page(uploads, query, limit as usize)?;
    let mut document = Xml::document("ListMultipartUploadsResult");
    document.text("Bucket", bucket.as_str());
    for (element, parameter) in
        [("KeyMarker", "key-marker"), ("Prefix", "prefix"), ("Delimiter", "delimiter")]
    {
        document.text(element, &encoding.apply(query.bytes(parameter).unwrap_or_default()));
    }
    document.text("UploadIdMarker", query.text("upload-id-marker")?.unwrap_or_default());
    document.text("MaxUploads", &limit.to_string());
    encoding.describe(&mut document);
    describe(&mut document, &page, encoding);
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

fn describe(document: &mut Xml, page: &Page, encoding: Encoding) {
    document.text("IsTruncated", if page.truncated { "true" } else { "false" });
    if page.truncated {
        let last = page.uploads.last();
        let key = last.map(|last| last.upload.key.as_bytes()).max(page.prefixes.last().map(Vec::as_slice));
        document.text("NextKeyMarker", &encoding.apply(key.unwrap_or_default()));
        document.text("NextUploadIdMarker", last.map_or("", |last| &last.upload.id.0));
    }
    for info in &page.uploads {
        document.element("Upload", |entry| {
            entry
                .text("Key", &encoding.apply(info.upload.key.as_bytes()))
                .text("UploadId", &info.upload.id.0);
            owner(entry, "Initiator");
            owner(entry, "Owner");
            entry.text("StorageClass", "STANDARD").text("Initiated", &iso_date(info.started));
        });
    }
    common_prefixes(document, &page.prefixes, encoding);
}

/// Takes the page out of all uploads, which come ordered by key and then by age.
fn page(uploads: Vec<UploadInfo>, query: &Query, limit: usize) -> Outcome<Page> {
    let mut page = Page::default();
    for info in behind_marker(uploads, query)? {
        let group = group_of(query, info.upload.key.as_bytes());
        if group.is_some() && group == page.prefixes.last().map(Vec::as_slice) {
            continue;
        }
        if page.uploads.len() + page.prefixes.len() == limit {
            page.truncated = limit > 0;
            break;
        }
        match group.map(<[u8]>::to_vec) {
            Some(group) => page.prefixes.push(group),
            None => page.uploads.push(info),
        }
    }
    Ok(page)
}

/// Uploads behind `key-marker`, or of that key and behind `upload-id-marker`.
fn behind_marker(uploads: Vec<UploadInfo>, query: &Query) -> Outcome<Vec<UploadInfo>> {
    let Some(key) = query.bytes("key-marker").filter(|key| !key.is_empty()) else { return Ok(uploads) };
    let id = query.text("upload-id-marker")?;
    let marked =
        |info: &UploadInfo| info.upload.key.as_bytes() == key && Some(info.upload.id.0.as_str()) == id;
    let start = match uploads.iter().position(marked) {
        Some(marked) => marked + 1,
        None => uploads.partition_point(|info| {
            let found = info.upload.key.as_bytes();
            found <= key || (group_of(query, found) == Some(key))
        }),
    };
    Ok(uploads.into_iter().skip(start).collect())
}

fn group_of<'k>(query: &Query, key: &'k [u8]) -> Option<&'k [u8]> {
    let delimiter = query.bytes("delimiter").filter(|delimiter| !delimiter.is_empty())?;
    let prefix = query.bytes("prefix").unwrap_or_default();
    let rest = key.strip_prefix(prefix)?;
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}
