//! Copies between the two places: the bytes pass through here, as they come.

use std::ops::Range;

use crate::{
    Body, ByteRange, ChecksumKind, CopyRequest, CopySource, ETag, Error, GetRequest, LateChecksum,
    MetadataDirective, ObjectStore, PutRequest, PutResponse, Result, Upload,
};

/// Conditions of a source refuse a copy where they would answer a read with "not modified".
fn refused(error: Error) -> Error {
    match error {
        Error::NotModified => Error::PreconditionFailed,
        error => error,
    }
}

pub(super) async fn copy(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    request: CopyRequest,
) -> Result<PutResponse> {
    let CopyRequest { source, key, metadata, conditions, checksum } = request;
    let read = GetRequest { key: source.key.clone(), range: None, conditions: source.conditions };
    let there = from.get(read).await.map_err(refused)?;
    let metadata = match metadata {
        MetadataDirective::Copy => {
            let tags = from.tags(&source.key).await;
            // A source without tags need not know what they are.
            let tags =
                if matches!(tags, Err(Error::Unsupported { .. })) { Ok(Default::default()) } else { tags };
            crate::ObjectMetadata { tags: tags?, ..there.info.metadata }
        }
        MetadataDirective::Replace(metadata) => metadata,
    };
    let (length, stream) = (there.info.size, there.body);
    // Another checksum was computed from the same version, which the conditions pin.
    let body = match checksum.or(there.info.checksum.filter(|kept| kept.kind() == ChecksumKind::FullObject)) {
        Some(checksum) => {
            let known = LateChecksum::default();
            known.set(checksum);
            Body::Verified { length, stream, checksum: known }
        }
        None => Body::Stream { length, stream },
    };
    let made = to.put(PutRequest { key: key.clone(), metadata, conditions }, body).await?;
    let last_modified = to.head(&key, Default::default()).await.ok().map(|info| info.last_modified);
    Ok(PutResponse { last_modified: made.last_modified.or(last_modified), ..made })
}

pub(super) async fn copy_part(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    (upload, number): (&Upload, u32),
    source: CopySource,
    range: Range<u64>,
) -> Result<ETag> {
    let bounds = ByteRange::Bounded { start: range.start, end: range.end };
    let read = GetRequest { key: source.key, range: Some(bounds), conditions: source.conditions };
    let there = from.get(read).await.map_err(refused)?;
    if there.range != range {
        return Err(Error::InvalidRange { size: Some(there.info.size) });
    }
    let body = Body::Stream { length: range.end - range.start, stream: there.body };
    to.upload_part(upload, number, body).await
}
