//! The gateway's side of what the daemon asks about buckets.

use sandkeep_api::ErrorCode;
use sandkeep_objects::{
    BucketInfo, BucketName, Error, MigrationError, NestedService, ObjectService, PlacedService, Placement,
    S3Client, StoredBucket, Usage,
};

use super::protocol::{Answer, BucketStatus, Elsewhere, Request};
use crate::volumes::chain;

/// Opens the place elsewhere.
pub(super) fn configure(service: &PlacedService, elsewhere: Option<Elsewhere>) -> Result<(), Error> {
    let opened = elsewhere.map(|Elsewhere { s3, bucket, prefix }| {
        Ok::<_, Error>(NestedService::new(S3Client::new(s3)?.bucket(&bucket), &prefix))
    });
    service.set_elsewhere(opened.transpose()?);
    Ok(())
}

/// Answers what is about buckets.
pub(super) async fn answer(service: &PlacedService, request: Request) -> Answer {
    match request {
        Request::Buckets => match service.stored_buckets().await {
            Ok(buckets) => Answer::Buckets(buckets.into_iter().map(status).collect()),
            Err(error) => refused(&error),
        },
        Request::Bucket { name } => match bucket(service, &name).await {
            Ok(bucket) => Answer::Buckets(vec![status(bucket)]),
            Err(error) => refused(&error),
        },
        Request::Migrate { name, options } => match service.migrate(&name, options).await {
            Ok(status) => Answer::Migration(Some(status)),
            Err(error) => not_moved(&error),
        },
        Request::Migration { name } => Answer::Migration(service.migration(&name)),
        Request::CancelMigration { name } => Answer::Migration(service.cancel_migration(&name)),
        Request::Configure { .. } | Request::Serve { .. } | Request::Close { .. } | Request::List => {
            Answer::Failed("this is not about buckets".to_owned())
        }
    }
}

async fn bucket(service: &PlacedService, name: &BucketName) -> Result<StoredBucket, Error> {
    let info: BucketInfo = service.head_bucket(name).await?;
    let usage: Usage = service.usage(name).await?;
    Ok(StoredBucket { info, placement: service.placement(name), usage })
}

fn status(bucket: StoredBucket) -> BucketStatus {
    let StoredBucket { info, placement, usage } = bucket;
    let embedded = placement == Placement::Embedded;
    BucketStatus { name: info.name, created: info.created, embedded, usage }
}

fn refused(error: &Error) -> Answer {
    let code = match error {
        Error::NoSuchBucket { .. } => ErrorCode::BucketNotFound,
        _ => ErrorCode::BucketStoreError,
    };
    Answer::Refused(code, chain(error))
}

fn not_moved(error: &MigrationError) -> Answer {
    let code = match error {
        MigrationError::NoTarget => ErrorCode::ValidationFailed,
        MigrationError::AlreadyThere { .. } => ErrorCode::BucketExists,
        MigrationError::Occupied { .. } => ErrorCode::BucketNotEmpty,
        MigrationError::Running { .. } => ErrorCode::ResourceBusy,
        MigrationError::Store(Error::NoSuchBucket { .. }) => ErrorCode::BucketNotFound,
        _ => ErrorCode::BucketStoreError,
    };
    Answer::Refused(code, chain(error))
}
