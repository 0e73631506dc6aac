//! Pages of versions. No bucket has more than one version of a key, whose id is `null`, as on S3 where versioning was
//! never enabled; programs that empty a bucket ask for versions all the same.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>

use http::StatusCode;
use sandkeep_objects::{BucketName, ListedObject};

use super::buckets::owner;
use super::listing::{Encoding, common_prefixes, describe, last_entry, limit, page};
use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::headers::quoted;
use crate::reply::{self, Reply};
use crate::xml::Xml;

/// The id of the one version.
const VERSION: &str = "null";

/// `GET /BUCKET?versions`
pub(super) async fn list_versions(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let query = &call.query;
    let (encoding, limit) = (Encoding::of(query)?, limit(query, "max-keys")?);
    let marker = query.bytes("key-marker").unwrap_or_default();
    let version = query.text("version-id-marker")?;
    if version.is_some_and(|version| version != VERSION || marker.is_empty()) {
        return Err(Fault::invalid_argument("Invalid version id specified"));
    }
    let page = page(call, bucket, marker, None, limit).await?;
    let mut document = Xml::document("ListVersionsResult");
    describe(&mut document, bucket, query, encoding, limit);
    document.text("Prefix", &encoding.apply(query.bytes("prefix").unwrap_or_default()));
    document.text("KeyMarker", &encoding.apply(marker)).text("VersionIdMarker", version.unwrap_or_default());
    document.text("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    if let Some(last) = last_entry(&page).filter(|_| page.next.is_some()) {
        document.text("NextKeyMarker", &encoding.apply(last)).text("NextVersionIdMarker", VERSION);
    }
    for object in &page.objects {
        document.element("Version", |entry| describe_version(entry, object, encoding));
    }
    common_prefixes(&mut document, &page.common_prefixes, encoding);
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

fn describe_version(entry: &mut Xml, object: &ListedObject, encoding: Encoding) {
    entry
        .text("Key", &encoding.apply(object.key.as_bytes()))
        .text("VersionId", VERSION)
        .text("IsLatest", "true")
        .text("LastModified", &iso_date(object.last_modified))
        .text("ETag", &quoted(&object.etag))
        .text("Size", &object.size.to_string());
    owner(entry, "Owner");
    entry.text("StorageClass", "STANDARD");
}
