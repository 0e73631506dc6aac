//! Reading objects.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderValue, StatusCode};
use sandkeep_objects::{
    BucketName, ByteRange, Checksum, ChecksumKind, Conditions, Error, GetRequest, GetResponse, ObjectInfo,
    ObjectKey,
};

use super::checksums;
use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::{conditions, describe, describe_version, range, read_status};
use crate::reply::{self, Reply, add_header};

/// `GET /BUCKET/KEY`
pub(super) async fn get_object(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let mut conditions = conditions(&call.headers);
    let part = match part(call, bucket, &key, &conditions).await {
        Err(PartFault::NotModified) => return not_modified(call, bucket, &key).await,
        other => other?,
    };
    let range = part.as_ref().map_or_else(|| range(&call.headers), |part| part.range);
    if let Some(part) = &part {
        // What is read must be what the part was found in.
        conditions.if_match = Some(part.etag.clone());
    }
    let request = GetRequest { key: key.clone(), range, conditions };
    let GetResponse { info, range: bytes, body } = match call.bucket(bucket).get(request).await {
        Err(Error::NotModified) => return not_modified(call, bucket, &key).await,
        other => other?,
    };
    let mut reply = reply::stream(read_status(range), bytes.end - bytes.start, body);
    describe(&mut reply, &info, &call.query)?;
    if range.is_some() {
        let value = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, info.size);
        add_header(&mut reply, CONTENT_RANGE, &value);
    }
    describe_checksum(call, &mut reply, &info, part.as_ref(), range);
    Ok(reply)
}

/// `HEAD /BUCKET/KEY`
pub(super) async fn head_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let conditions = conditions(&call.headers);
    let info = match call.bucket(bucket).head(key, conditions.clone()).await {
        Err(Error::NotModified) => return not_modified(call, bucket, key).await,
        other => other?,
    };
    let part = match part(call, bucket, key, &conditions).await {
        Err(PartFault::NotModified) => return not_modified(call, bucket, key).await,
        other => other?,
    };
    let range = part.as_ref().map_or_else(|| range(&call.headers), |part| part.range);
    let bytes = ByteRange::resolve_optional(range, info.size)?;
    let mut reply = reply::empty(read_status(range));
    describe(&mut reply, &info, &call.query)?;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    if range.is_some() {
        let value = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, info.size);
        add_header(&mut reply, CONTENT_RANGE, &value);
    }
    describe_checksum(call, &mut reply, &info, part.as_ref(), range);
    Ok(reply)
}

/// An answer without content still says which version the client has.
async fn not_modified(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let info = call.bucket(bucket).head(key, Conditions::default()).await?;
    let mut reply = reply::empty(StatusCode::NOT_MODIFIED);
    describe_version(&mut reply, &info);
    Ok(reply)
}

/// The part that a read names.
struct Part {
    /// None if it is the whole object.
    range: Option<ByteRange>,
    etag: sandkeep_objects::ETag,
    checksum: Option<Checksum>,
    /// Parts of the object; none if it was not made of parts.
    count: Option<usize>,
}

/// Why there is no part to read.
enum PartFault {
    NotModified,
    Other(Fault),
}

impl From<PartFault> for Fault {
    fn from(fault: PartFault) -> Self {
        match fault {
            PartFault::NotModified => Error::NotModified.into(),
            PartFault::Other(fault) => fault,
        }
    }
}

impl From<Fault> for PartFault {
    fn from(fault: Fault) -> Self {
        Self::Other(fault)
    }
}

impl From<Error> for PartFault {
    fn from(error: Error) -> Self {
        match error {
            Error::NotModified => Self::NotModified,
            other => Self::Other(other.into()),
        }
    }
}

/// Finds what `partNumber` names. An object that was written at once is its own part 1.
async fn part(
    call: &Call,
    bucket: &BucketName,
    key: &ObjectKey,
    conditions: &Conditions,
) -> Result<Option<Part>, PartFault> {
    let Some(number) = call.query.number::<u32>("partNumber")? else { return Ok(None) };
    if range(&call.headers).is_some() {
        let message = "Cannot specify both Range header and partNumber query parameter";
        return Err(Fault::invalid_request(message).into());
    }
    let store = call.bucket(bucket);
    let info = store.head(key, conditions.clone()).await?;
    let parts = store.object_parts(key).await?;
    if parts.is_empty() && number == 1 {
        return Ok(Some(Part { range: None, etag: info.etag, checksum: info.checksum, count: None }));
    }
    let Some(at) = parts.iter().position(|part| part.number == number) else {
        let message = "The requested partnumber is not satisfiable";
        return Err(Fault::bad("InvalidPart", message).into());
    };
    let start: u64 = parts[..at].iter().map(|part| part.size).sum();
    // An empty part (the last may be one) has no range; its object is then empty as well, or read as nothing.
    let range = (parts[at].size > 0).then_some(ByteRange::Bounded { start, end: start + parts[at].size });
    let checksum = parts[at].checksum.clone();
    Ok(Some(Part { range, etag: info.etag, checksum, count: Some(parts.len()) }))
}

/// A checksum is told where it is that of the bytes that follow.
fn describe_checksum(
    call: &Call,
    reply: &mut Reply,
    info: &ObjectInfo,
    part: Option<&Part>,
    range: Option<ByteRange>,
) {
    if let Some(count) = part.and_then(|part| part.count) {
        add_header(reply, "x-amz-mp-parts-count", &count.to_string());
    }
    let checksum = match (part, range) {
        (Some(part), _) => part.checksum.as_ref(),
        (None, None) => info.checksum.as_ref(),
        (None, Some(_)) => None,
    };
    if checksums::wanted(call)
        && let Some(checksum) = checksum
    {
        let kind = info.checksum.as_ref().map_or(ChecksumKind::FullObject, Checksum::kind);
        checksums::describe(reply, checksum, kind);
    }
}
