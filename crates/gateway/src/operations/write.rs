//! Writing objects.

use http::StatusCode;
use http::header::ETAG;
use sandkeep_objects::{
    BucketName, Conditions, Error, ObjectKey, ObjectStore, PutRequest, Result as StoreResult, WriteConditions,
};

use crate::call::Call;
use crate::fault::Outcome;
use crate::headers::{metadata, quoted, write_conditions};
use crate::reply::{self, Reply, add_header};

/// `PUT /BUCKET/KEY`
pub(super) async fn put_object(call: &Call, bucket: &BucketName, key: ObjectKey) -> Outcome<Reply> {
    let conditions = write_conditions(&call.headers)?;
    let metadata = metadata(&call.headers)?;
    let request = PutRequest { key: key.clone(), metadata, conditions: conditions.clone() };
    let (body, verdict) = call.payload()?.into_body();
    let store = call.bucket(bucket);
    let outcome = store.put(request, body).await;
    let stored = verdict.or(missing_target(&*store, &key, &conditions, outcome).await)?;
    let mut reply = reply::empty(StatusCode::OK);
    add_header(&mut reply, ETAG, &quoted(&stored.etag));
    verdict.describe(&mut reply);
    Ok(reply)
}

/// Where `If-Match` failed because there is no object, S3 says so.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
pub(super) async fn missing_target<T: Send>(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    conditions: &WriteConditions,
    outcome: StoreResult<T>,
) -> StoreResult<T> {
    match (outcome, conditions) {
        (Err(Error::PreconditionFailed), WriteConditions::IfMatch(_)) => {
            store.head(key, Conditions::default()).await?;
            Err(Error::PreconditionFailed)
        }
        (outcome, _) => outcome,
    }
}
