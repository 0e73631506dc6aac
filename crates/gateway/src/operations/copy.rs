//! Copying on the server.

use http::{HeaderMap, StatusCode};
use sandkeep_objects::sigv4::decode_path;
use sandkeep_objects::{
    BucketName, Conditions, CopyRequest, CopySource, MetadataDirective, ObjectKey, ObjectMetadata,
};

use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::headers::{copy_source_conditions, metadata, quoted, text, write_conditions};
use crate::reply::{self, Reply};
use crate::route::Operation;
use crate::xml::Xml;

/// `PUT /BUCKET/KEY` with `x-amz-copy-source`
pub(super) async fn copy_object(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let mut source = source(call)?;
    let directive = directive(call, bucket, &mut source).await?;
    if directive == MetadataDirective::Copy && source.key == key && source.bucket.as_ref() == Some(bucket) {
        return Err(Fault::invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself without changing \
             the object's metadata, storage class, website redirect location or encryption attributes.",
        ));
    }
    let conditions = write_conditions(&call.headers)?;
    let request = CopyRequest { source, key: key.clone(), metadata: directive, conditions };
    let store = call.bucket(bucket);
    let copied = store.copy(request).await?;
    let modified = match copied.last_modified {
        Some(modified) => modified,
        None => store.head(&key, Conditions::default()).await?.last_modified,
    };
    let mut document = Xml::document("CopyObjectResult");
    document.text("LastModified", &iso_date(modified)).text("ETag", &quoted(&copied.etag));
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// Parses `x-amz-copy-source`: `[/]BUCKET/KEY[?versionId=null]`, percent-encoded.
pub(super) fn source(call: &Call) -> Outcome<CopySource> {
    let (bucket, key) = named_source(&call.headers)?;
    Ok(CopySource { bucket: Some(bucket), key, conditions: copy_source_conditions(&call.headers) })
}

/// The object that the copy reads, if the operation is a copy.
pub(crate) fn copy_source(
    operation: Operation,
    headers: &HeaderMap,
) -> Outcome<Option<(BucketName, ObjectKey)>> {
    if operation.copies() { named_source(headers).map(Some) } else { Ok(None) }
}

fn named_source(headers: &HeaderMap) -> Outcome<(BucketName, ObjectKey)> {
    let invalid = || {
        let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
        Fault::invalid_argument(message)
    };
    let header = text(headers, "x-amz-copy-source")?.ok_or_else(invalid)?;
    let (path, version) = header.split_once("?versionId=").unwrap_or((header, "null"));
    if version != "null" {
        return Err(Fault::invalid_argument("Invalid version id specified"));
    }
    // Some clients encode the slash between bucket and key as well.
    let decoded = decode_path(path.strip_prefix('/').unwrap_or(path));
    let at = decoded.iter().position(|&byte| byte == b'/').ok_or_else(invalid)?;
    let (bucket, key) = (&decoded[..at], &decoded[at + 1..]);
    Ok((String::from_utf8_lossy(bucket).parse()?, ObjectKey::new(key).map_err(|_| invalid())?))
}

/// Where the metadata and tags of the copy come from. A mixture is made of what the source has now, whose version is
/// then the only one that is copied.
async fn directive(call: &Call, bucket: &BucketName, source: &mut CopySource) -> Outcome<MetadataDirective> {
    let (headers, tags) =
        (replaces(call, "x-amz-metadata-directive")?, replaces(call, "x-amz-tagging-directive")?);
    if !headers && !tags {
        return Ok(MetadataDirective::Copy);
    }
    let sent = metadata(&call.headers)?;
    if headers && tags {
        return Ok(MetadataDirective::Replace(sent));
    }
    let of = source.bucket.as_ref().unwrap_or(bucket);
    let info = call.bucket(of).head(&source.key, Conditions::default()).await?;
    source.conditions.check_copy_source(&info)?;
    source.conditions.if_match = Some(info.etag);
    let (stored, sent) = if headers { (sent, info.metadata) } else { (info.metadata, sent) };
    Ok(MetadataDirective::Replace(ObjectMetadata { tags: sent.tags, ..stored }))
}

fn replaces(call: &Call, name: &str) -> Outcome<bool> {
    match text(&call.headers, name)? {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Fault::invalid_argument(format!("Unknown directive in {name}."))),
    }
}
