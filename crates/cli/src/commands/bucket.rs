//! `sandkeep bucket`: buckets of the embedded store.

use serde_json::json;

use super::{Result, service};
use crate::arguments::BucketCommand;
use crate::output::Output;

pub(crate) async fn run(command: BucketCommand, output: Output) -> Result<()> {
    match command {
        BucketCommand::Create { name, service } => {
            let bucket = service::client(&service)?.create_bucket(&name).await?;
            output.result(&bucket, || format!("created bucket {name}"));
        }
        BucketCommand::Ls { service } => {
            let list = service::client(&service)?.buckets().await?;
            output.list(&list.buckets, &["name", "created"], |bucket| {
                vec![bucket.name.clone(), bucket.created_at.to_string()]
            });
        }
        BucketCommand::Rm { names, service } => {
            let client = service::client(&service)?;
            for name in names {
                client.delete_bucket(&name).await?;
                output.result(&json!({ "name": name, "deleted": true }), || format!("removed bucket {name}"));
            }
        }
    }
    Ok(())
}
