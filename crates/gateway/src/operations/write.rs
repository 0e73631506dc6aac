//! Writing objects.

use http::StatusCode;
use http::header::ETAG;
use sandkeep_objects::{BucketName, ObjectKey, PutRequest};

use crate::call::Call;
use crate::fault::Outcome;
use crate::headers::{metadata, quoted, write_conditions};
use crate::reply::{self, Reply, add_header};

/// `PUT /BUCKET/KEY`
pub(super) async fn put_object(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let conditions = write_conditions(&call.headers)?;
    let request = PutRequest { key, metadata: metadata(&call.headers)?, conditions };
    let (body, verdict) = call.payload()?.into_body();
    let stored = verdict.or(call.bucket(bucket).put(request, body).await)?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, ETAG, &quoted(&stored.etag));
    verdict.describe(&mut reply);
    Ok(reply)
}
