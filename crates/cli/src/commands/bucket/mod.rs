//! `sandkeep bucket`: the service's buckets.

mod lifecycle;
mod migrate;

use sandkeep_api::{BucketInfo, BucketPlace};
use serde_json::json;

use super::{Result, service};
use crate::arguments::BucketCommand;
use crate::error::Error;
use crate::output::{Output, size};

pub(crate) async fn run(command: BucketCommand, output: Output) -> Result<()> {
    match command {
        BucketCommand::Create { name, service } => {
            let bucket = service::client(&service)?.create_bucket(&name).await?;
            output.result(&bucket, || format!("created bucket {name}"));
        }
        BucketCommand::Ls { service } => {
            let list = service::client(&service)?.buckets().await?;
            output.list(&list.buckets, &["name", "objects", "size", "where", "created"], row);
        }
        BucketCommand::Rm { names, force, service } => {
            let client = service::client(&service)?;
            for name in names {
                client.delete_bucket(&name, force).await.map_err(|error| not_removed(error.into(), &name))?;
                output.result(&json!({ "name": name, "deleted": true }), || format!("removed bucket {name}"));
            }
        }
        BucketCommand::Lifecycle(arguments) => lifecycle::run(arguments, output).await?,
        BucketCommand::Migrate(arguments) => migrate::run(arguments, output).await?,
    }
    Ok(())
}

fn row(bucket: &BucketInfo) -> Vec<String> {
    let more = if bucket.more { "more than " } else { "" };
    let place = match bucket.place {
        BucketPlace::Embedded => "embedded",
        BucketPlace::Remote => "remote",
    };
    vec![
        bucket.name.clone(),
        format!("{more}{}", bucket.objects),
        format!("{more}{}", size(bucket.bytes)),
        place.to_owned(),
        bucket.created_at.to_string(),
    ]
}

fn not_removed(error: Error, name: &str) -> Error {
    match error.code.as_deref() {
        Some("BUCKET_NOT_EMPTY") => error
            .hint(format!("`sandkeep bucket rm --force {name}` removes it with everything in it, for good")),
        _ => error,
    }
}
