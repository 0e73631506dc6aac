//! Copying on the server.

use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use sandkeep_objects::sigv4::decode_path;
use sandkeep_objects::{
    BucketName, Checksum, ChecksumAlgorithm, ChecksumKind, Conditions, CopyRequest, CopySource, GetRequest,
    MetadataDirective, ObjectKey, ObjectMetadata,
};

use super::checksums;
use super::write::missing_target;
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
    let checksum = new_checksum(call, bucket, &mut source).await?;
    let given = conditions.clone();
    let request = CopyRequest { source, key: key.clone(), metadata: directive, conditions, checksum };
    let store = call.bucket(bucket);
    let outcome = store.copy(request).await;
    let copied = missing_target(&*store, &key, &given, outcome).await?;
    let info = store.head(&key, Conditions::default()).await?;
    let modified = copied.last_modified.unwrap_or(info.last_modified);
    let mut document = Xml::document("CopyObjectResult");
    document.text("LastModified", &iso_date(modified)).text("ETag", &quoted(&copied.etag));
    if info.etag == copied.etag {
        checksums::element(&mut document, info.checksum.as_ref());
        document.optional("ChecksumType", info.checksum.as_ref().map(|checksum| checksum.kind().name()));
    }
    Ok(reply::xml(StatusCode::OK, document.finish()))
}

/// The checksum that `x-amz-checksum-algorithm` asks for, if the source has another one: its bytes are read for that.
async fn new_checksum(
    call: &Call,
    bucket: &BucketName,
    source: &mut CopySource,
) -> Outcome<Option<Checksum>> {
    let Some(name) = text(&call.headers, "x-amz-checksum-algorithm")? else { return Ok(None) };
    let unknown = |_| Fault::invalid_request("Checksum algorithm provided is unsupported.");
    let algorithm: ChecksumAlgorithm = name.parse().map_err(unknown)?;
    let store = call.bucket(source.bucket.as_ref().unwrap_or(bucket));
    let info = store.head(&source.key, Conditions::default()).await?;
    source.conditions.check_copy_source(&info)?;
    let known =
        |checksum: &Checksum| checksum.algorithm == algorithm && checksum.kind() == ChecksumKind::FullObject;
    if info.checksum.as_ref().is_some_and(known) {
        return Ok(None);
    }
    // What is copied must be what was read.
    source.conditions.if_match = Some(info.etag);
    let request =
        GetRequest { conditions: source.conditions.clone(), ..GetRequest::whole(source.key.clone()) };
    let (mut body, mut hasher) = (store.get(request).await?.body, algorithm.hasher());
    while let Some(bytes) = body.next().await {
        hasher.update(&bytes?);
    }
    Ok(Some(hasher.checksum()))
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
