//! Reading objects.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderValue, StatusCode};
use sandkeep_objects::{BucketName, Conditions, Error, GetRequest, GetResponse, ObjectInfo, ObjectKey};

use crate::call::Call;
use crate::fault::{Fault, Outcome};
use crate::headers::{conditions, describe, describe_version, range, read_status};
use crate::reply::{self, Reply, add_header};

/// `GET /BUCKET/KEY`
pub(super) async fn get_object(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let range = range(&call.headers);
    let request = GetRequest { key: key.clone(), range, conditions: conditions(&call.headers) };
    let GetResponse { info, range: bytes, body } = match call.bucket(bucket).get(request).await {
        Err(Error::NotModified) => return not_modified(call, bucket, &key).await,
        other => other?,
    };
    check_part_number(call, &info)?;
    let mut reply = reply::stream(read_status(range), bytes.end - bytes.start, body);
    describe(&mut reply, &info, &call.query)?;
    if range.is_some() {
        let value = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, info.size);
        add_header(&mut reply, CONTENT_RANGE, &value);
    }
    Ok(reply)
}

/// `HEAD /BUCKET/KEY`
pub(super) async fn head_object(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let info = match call.bucket(bucket).head(key, conditions(&call.headers)).await {
        Err(Error::NotModified) => return not_modified(call, bucket, key).await,
        other => other?,
    };
    check_part_number(call, &info)?;
    let range = range(&call.headers);
    let bytes = match range {
        Some(range) => range.resolve(info.size)?,
        None => 0..info.size,
    };
    let mut reply = reply::empty(read_status(range));
    describe(&mut reply, &info, &call.query)?;
    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    if range.is_some() {
        let value = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, info.size);
        add_header(&mut reply, CONTENT_RANGE, &value);
    }
    Ok(reply)
}

/// An answer without content still says which version the client has.
async fn not_modified(call: &Call, bucket: &BucketName, key: &ObjectKey) -> Outcome<Reply> {
    let info = call.bucket(bucket).head(key, Conditions::default()).await?;
    let mut reply = reply::empty(StatusCode::NOT_MODIFIED);
    describe_version(&mut reply, &info);
    Ok(reply)
}

/// The parts of an object are not remembered; an object made by one PUT is its own part 1.
fn check_part_number(call: &Call, info: &ObjectInfo) -> Outcome<()> {
    match call.query.number::<u32>("partNumber")? {
        None => Ok(()),
        Some(1) if !info.etag.0.contains('-') => Ok(()),
        Some(_) => Err(Fault::not_implemented("the parameter partNumber of a read")),
    }
}
