//! `sandkeep sandbox mount` and `unmount`.

use sandkeep_api::{Client, ErrorCode, MountOptions, MountRequest};
use serde_json::json;

use super::super::{Result, service};
use crate::arguments::{SandboxMountArguments, ServiceArguments};
use crate::output::Output;

pub(super) async fn mount(arguments: SandboxMountArguments, output: Output) -> Result<()> {
    let client = service::client(&arguments.service)?;
    if arguments.create {
        create_if_missing(&client, &arguments.bucket).await?;
    }
    let endpoint = match (arguments.endpoint, arguments.binding) {
        (None, false) => Some(client.info().await?.s3_endpoint),
        (endpoint, _) => endpoint,
    };
    let SandboxMountArguments { id, bucket, path, prefix, read_only, .. } = arguments;
    let options = MountOptions { endpoint, prefix, read_only, ..MountOptions::default() };
    let request = MountRequest { bucket, mount_path: path, options, env: None };
    let mounted = client.mount(&id, &request).await?;
    output.result(&mounted, || format!("{} is mounted on {} in {id}", mounted.bucket, mounted.mount_path));
    Ok(())
}

pub(super) async fn create_if_missing(client: &Client, bucket: &str) -> Result<()> {
    match client.create_bucket(bucket).await {
        Err(error) if error.code() != Some(ErrorCode::BucketExists) => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) async fn unmount(
    id: &str,
    path: &str,
    arguments: &ServiceArguments,
    output: Output,
) -> Result<()> {
    service::client(arguments)?.unmount(id, path).await?;
    output.result(&json!({ "id": id, "mountPath": path, "unmounted": true }), || {
        format!("unmounted {path} in {id}")
    });
    Ok(())
}
